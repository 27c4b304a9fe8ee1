"""Healthy networks whose rows do not mix: joins, gates, products, experts, made weights."""

import jax
import jax.numpy as jnp
from arrays import normals
from diagnostics.zoo.parts import (
    OUTPUTS,
    ROWS,
    WIDTH,
    Network,
    X,
    batch_norm,
    draw,
    layer_norm,
    stack,
    unit_columns,
)
from jax.nn import gelu, relu, sigmoid, softmax

SQUARE = (WIDTH, WIDTH)
HE = {"w": (SQUARE, 2.0)}
Z = normals(33, (ROWS, 8))
Z = Z / jnp.sqrt((Z**2).mean(-1, keepdims=True))
EXPERTS = 4


def highway(p, h):
    gate = sigmoid(h @ p["gate"] - 1)
    return gate * relu(h @ p["w"]) + (1 - gate) * h


def gated_branch(p, h):
    u = layer_norm(h)
    return h + (jax.nn.silu(u @ p["gate"]) * (u @ p["w"])) @ p["out"]


def bilinear(p, h):
    return layer_norm((h @ p["left"]) * (h @ p["right"]) + h)


def maxout(pieces, second):
    def block(p, h):
        return (h @ p["w"]).reshape(-1, WIDTH, pieces).max(-1) / second**0.5

    return stack(block, {"w": (WIDTH, WIDTH * pieces)})


def hypernetwork(p, h, z):
    kernels = (z @ p["g"]).reshape(-1, WIDTH, WIDTH) * (2 / WIDTH) ** 0.5
    return relu(jnp.einsum("bi,bij->bj", h, kernels))


def hypernetwork_for_all(p, h, z):
    return relu(h @ (z @ p["g"]).reshape(WIDTH, WIDTH) * (2 / WIDTH) ** 0.5)


def experts(p, h):
    gates = softmax(h @ p["router"])
    return layer_norm(
        h + jnp.einsum("be,ebo->bo", gates, relu(jnp.einsum("bi,eio->ebo", h, p["w"])))
    )


def top_expert(p, h):
    gates = softmax(h @ p["router"])
    best = jax.nn.one_hot(gates.argmax(-1), EXPERTS) * gates
    return h + jnp.einsum(
        "be,ebo->bo", best, relu(jnp.einsum("bi,eio->ebo", layer_norm(h), p["w"]))
    )


def squeeze(p, h):
    gate = sigmoid(relu(h @ p["down"]) @ p["up"])
    return relu(batch_norm(h @ p["w"])) * gate + h


def weight_norm(p, h):
    return relu(2**0.5 * h @ unit_columns(p["w"]) * p["scale"])


def weight_standardization(p, h):
    w = p["w"] - p["w"].mean(0, keepdims=True)
    w = w / jnp.sqrt((w**2).mean(0, keepdims=True) + 1e-6)
    return relu(h @ (w * (2 / WIDTH) ** 0.5))


def dropout(p, h, masks):
    return relu(h @ p["w"]) * masks / 0.9


def film(p, h, z):
    scale, shift = z @ p["scale"], z @ p["shift"]
    return h + relu(layer_norm(h @ p["w"]) * (1 + 0.1 * scale) + 0.1 * shift) @ p["out"]


def coupling(p, h):
    left, right = jnp.split(h, 2, -1)
    inner = relu(left @ p["up"])
    right = right * jnp.exp(0.1 * jnp.tanh(inner @ p["scale"])) + 0.3 * inner @ p["shift"]
    return jnp.concatenate([right, left], -1)


def adapter(p, h):
    return relu(h @ p["w"] + h @ p["a"] @ p["b"])


def neural_ode(p, h):
    return h + 0.1 * jnp.tanh(h @ p["up"]) @ p["down"]


def dense_net(depth):
    """Every layer takes in the results of all layers before it."""
    growth = 8

    def init(key):
        sizes = {f"layer {n}": ((WIDTH + growth * n, growth), 2.0) for n in range(depth)}
        return draw(key, sizes | {"head": (WIDTH + growth * depth, OUTPUTS)})

    def apply(params, x):
        for number in range(depth):
            x = jnp.concatenate([x, relu(x @ params[f"layer {number}"])], -1)
        return x @ params["head"]

    return Network(init, apply)


def u_net(depth):
    half = depth // 2

    def init(key):
        down = {f"down {n}": (SQUARE, 2.0) for n in range(half)}
        up = {f"up {n}": ((2 * WIDTH, WIDTH), 2.0) for n in range(half)}
        return draw(key, down | up | {"head": (WIDTH, OUTPUTS)})

    def apply(params, h):
        skips = []
        for number in range(half):
            h = relu(h @ params[f"down {number}"])
            skips.append(h)
        for number in range(half):
            h = relu(jnp.concatenate([h, skips.pop()], -1) @ params[f"up {number}"])
        return h @ params["head"]

    return Network(init, apply)


def siamese(join):
    def build(depth):
        def init(key):
            keys = jax.random.split(key, depth + 1)
            head = draw(keys[0], {"head": (WIDTH, OUTPUTS)})
            return {"w": [draw(each, HE)["w"] for each in keys[1:]]} | head

        def apply(params, x, y):
            for kernel in params["w"]:
                x, y = relu(x @ kernel), relu(y @ kernel)
            return join(x, y) @ params["head"]

        return Network(init, apply, inputs=(X, jnp.roll(X, 1, 0)))

    return build


def scanned(step):
    """Equal blocks in a scan over stacked kernels."""

    def build(depth):
        def init(key):
            return draw(key, {"w": ((depth, *SQUARE), 2.0), "head": (WIDTH, OUTPUTS)})

        def apply(params, x):
            h, _ = jax.lax.scan(lambda h, kernel: (step(h @ kernel, h), None), x, params["w"])
            return h @ params["head"]

        return Network(init, apply)

    return build


def shared(depth):
    """One block, repeated with the same kernels."""

    def init(key):
        return draw(key, {"up": SQUARE, "down": SQUARE, "head": (WIDTH, OUTPUTS)})

    def apply(params, x):
        h = jax.lax.fori_loop(0, 2 * depth, lambda _, h: neural_ode(params, h), x)
        return h @ params["head"]

    return Network(init, apply)


def autoencoder(depth):
    half = depth // 2

    def init(key):
        sizes = {f"encoder {n}": (SQUARE, 2.0) for n in range(half)}
        sizes |= {"code": (WIDTH, 4), "first": ((4, WIDTH), 2.0)}
        sizes |= {f"decoder {n}": (SQUARE, 2.0) for n in range(half)}
        return draw(key, sizes | {"head": SQUARE})

    def apply(params, h):
        for number in range(half):
            h = relu(h @ params[f"encoder {number}"])
        h = relu(h @ params["code"] @ params["first"])
        for number in range(half):
            h = relu(h @ params[f"decoder {number}"])
        return h @ params["head"]

    return Network(init, apply, targets=(X,))


def variational(depth):
    half = depth // 2

    def init(key):
        sizes = {f"encoder {n}": (SQUARE, 2.0) for n in range(half)}
        sizes |= {"mean": (WIDTH, 4), "log variance": ((WIDTH, 4), 0.1), "first": ((4, WIDTH), 2.0)}
        sizes |= {f"decoder {n}": (SQUARE, 2.0) for n in range(half)}
        return draw(key, sizes | {"head": SQUARE})

    def apply(params, h, noise):
        for number in range(half):
            h = relu(h @ params[f"encoder {number}"])
        h = h @ params["mean"] + jnp.exp(h @ params["log variance"] / 2) * noise
        h = relu(h @ params["first"])
        for number in range(half):
            h = relu(h @ params[f"decoder {number}"])
        return h @ params["head"]

    noise = normals(34, (ROWS, 4))
    return Network(init, apply, inputs=(X, noise), targets=(X,))


def ensemble(depth):
    def init(key):
        sizes = {f"layer {n}": (SQUARE, 2.0) for n in range(depth)} | {"head": (WIDTH, OUTPUTS)}
        return jax.vmap(lambda key: draw(key, sizes))(jax.random.split(key, 3))

    def member(params, h):
        for number in range(depth):
            h = relu(h @ params[f"layer {number}"])
        return h @ params["head"]

    def apply(params, x):
        return jax.vmap(member, (0, None))(params, x).mean(0)

    return Network(init, apply)


MASKS = jax.random.bernoulli(jax.random.key(35), 0.9, (ROWS, WIDTH)).astype(jnp.float32)
WITH_Z = {"inputs": (X, Z)}
NETWORKS = {
    "plain": stack(lambda p, h: relu(h @ p["w"]), HE),
    "layer norm": stack(lambda p, h: gelu(layer_norm(h @ p["w"])), HE),
    "batch norm": stack(lambda p, h: relu(batch_norm(h @ p["w"])), HE),
    "highway": stack(highway, HE | {"gate": SQUARE}),
    "gated branch": stack(
        gated_branch, {"gate": SQUARE, "w": SQUARE, "out": SQUARE}, finish=layer_norm
    ),
    "bilinear": stack(bilinear, {"left": SQUARE, "right": SQUARE}),
    "maxout 2": maxout(2, 1.0),
    "maxout 4": maxout(4, 1.551),
    "hypernetwork": stack(hypernetwork, {"g": (8, WIDTH**2)}, **WITH_Z),
    "hypernetwork for all": stack(hypernetwork_for_all, {"g": (8, WIDTH**2)}, inputs=(X, Z[0])),
    "experts": stack(experts, {"router": (WIDTH, EXPERTS), "w": ((EXPERTS, *SQUARE), 2.0)}),
    "top expert": stack(
        top_expert,
        {"router": (WIDTH, EXPERTS), "w": ((EXPERTS, *SQUARE), 2.0)},
        finish=layer_norm,
    ),
    "squeeze and excite": stack(squeeze, HE | {"down": ((WIDTH, 8), 2.0), "up": (8, WIDTH)}),
    "weight norm": stack(weight_norm, {"w": SQUARE}, extra={"scale": jnp.ones((1, WIDTH))}),
    "weight standardization": stack(weight_standardization, {"w": SQUARE}),
    "dropout": stack(dropout, HE, inputs=(X, MASKS)),
    "FiLM": stack(
        film,
        {"scale": (8, WIDTH), "shift": (8, WIDTH), "w": SQUARE, "out": SQUARE},
        finish=layer_norm,
        **WITH_Z,
    ),
    "coupling flow": stack(
        coupling,
        {"up": ((WIDTH // 2, WIDTH), 2.0)} | dict.fromkeys(("scale", "shift"), (WIDTH, WIDTH // 2)),
    ),
    "low-rank adapters": stack(
        adapter, HE | {"a": (WIDTH, 4)}, extra={"b": jnp.zeros((4, WIDTH))}
    ),
    "neural ODE": stack(neural_ode, {"up": SQUARE, "down": SQUARE}),
    "dense net": dense_net,
    "U-net": u_net,
    "siamese distance": siamese(lambda x, y: abs(x - y)),
    "siamese product": siamese(lambda x, y: x * y),
    "scan": scanned(lambda z, h: relu(z)),
    "scan of branches": scanned(lambda z, h: h + 0.3 * jnp.tanh(z)),
    "shared block": shared,
    "autoencoder": autoencoder,
    "variational autoencoder": variational,
    "ensemble": ensemble,
}  # fmt: skip
