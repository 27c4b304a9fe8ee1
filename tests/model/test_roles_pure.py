"""Axes and fans of each pure function, counted by hand from what it computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P
from model.roles import IMAGE, SEQUENCE, TOKENS, check, floats

import jinit


def named(**shapes):
    """Return parameters of these shapes."""
    return {name: floats(*shape) for name, shape in shapes.items()}


def stacked(params, x):
    return lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, params["w"])[0]


def indexed(params, x):
    def body(i, h):
        return jnp.tanh(h @ lax.dynamic_index_in_dim(params["w"], i, keepdims=False))

    return lax.fori_loop(0, 3, body, x)


def until(params, x):
    return lax.while_loop(lambda h: jnp.sum(h) < 1, lambda h: h @ params["w"], x)


def branches(params, x):
    return lax.cond(x.sum() > 0, lambda h: h @ params["w"], lambda h: h @ params["v"], x)


def over_devices(params, x):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def local(w, x):
        return lax.psum(x @ w, "a")

    spread = jax.shard_map(
        local, mesh=mesh, in_specs=(P("a", "b"), P(None, "a")), out_specs=P(None, "b")
    )
    return spread(params["w"], x)


def standardized(params, x):
    w = params["w"]
    centered = w - w.mean((0, 1, 2), keepdims=True)
    gain = params["gain"][None, None, None]
    w = centered / jnp.sqrt(w.var((0, 1, 2), keepdims=True) + 1e-5) * gain
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers)


def channels_first(params, x):
    return lax.conv_general_dilated(x, params["w"], (1, 1), "SAME")


def fused_heads(params, x):
    q, k, v = jnp.split(x @ params["qkv"], 3, axis=-1)
    weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / 4.0)
    return weights @ v @ params["out"]


def sliced_kernel(params, x):
    q, k = (x @ params["w"][:, start : start + 8] for start in (0, 8))
    return q * k


def rotated(params, x):
    q = (x @ params["q"]).reshape(*x.shape[:-1], 2, 8)
    one, two = jnp.split(q, 2, axis=-1)
    angle = jnp.arange(7.0)[None, :, None, None] * jnp.arange(8.0)[None, None, None]
    q = q * jnp.cos(angle) + jnp.concatenate([-two, one], -1) * jnp.sin(angle)
    return jnp.einsum("bqhd,bkhd->bhqk", q, q)


def merged_adapter(params, x):
    return x @ (params["w"] + 2.0 * params["a"] @ params["b"])


def with_token(params, x):
    token = jnp.broadcast_to(params["token"], (x.shape[0], 1, 16))
    return (jnp.concatenate([token, x], 1) + params["position"][None]) @ params["w"]


def relative(params, x):
    logits = x @ x.swapaxes(-1, -2)
    distance = np.abs(np.arange(7)[:, None] - np.arange(7))
    return logits + params["table"][distance][None, ..., 0]


def one_hot(params, tokens):
    return jax.nn.one_hot(tokens, 100) @ params["table"]


def normalized(params, x):
    w = params["w"]
    return x @ (params["g"][None] * w / jnp.linalg.norm(w, axis=0, keepdims=True))


def latent_queries(params, x):
    q = params["latent"] @ params["q"]
    return jax.nn.softmax(q @ (x @ params["k"]).swapaxes(-1, -2))


def unrolled(params, x):
    h = jnp.zeros((2, 4))
    for step in range(3):
        h = jnp.tanh(jnp.concatenate([x[:, step], h], -1) @ params["w"])
    return h


SAME_PADDING = {"w": (3, 3, 16, 32), "gain": (32,)}
PURE = {
    "einsum": (
        lambda p, x: jnp.einsum("bsd,dhk->bshk", x, p["w"]), named(w=(16, 4, 5)), SEQUENCE,
        {"w": "kernel in,out,out 16 20"},
    ),
    "einsum with the kernel first": (
        lambda p, x: jnp.einsum("hkd,bsd->bshk", p["w"], x), named(w=(4, 5, 16)), SEQUENCE,
        {"w": "kernel out,out,in 16 20"},
    ),
    "experts": (
        lambda p, x: jnp.einsum("ebd,edf->ebf", x, p["w"]), named(w=(2, 16, 5)), SEQUENCE,
        {"w": "kernel batch,in,out 16 5"},
    ),
    "kernel times columns": (
        lambda p, x: p["w"] @ x, named(w=(5, 7)), SEQUENCE, {"w": "kernel out,in 7 5"},
    ),
    "transposed kernel": (
        lambda p, x: x @ p["w"].T, named(w=(5, 16)), SEQUENCE, {"w": "kernel out,in 16 5"},
    ),
    "reshaped kernel": (
        lambda p, x: x @ p["w"].reshape(16, 20), named(w=(4, 4, 4, 5)), SEQUENCE,
        {"w": "kernel in,in,out,out 16 20"},
    ),
    "one axis with two roles": (
        lambda p, x: jnp.einsum("bsd,de->bse", x, p["w"].reshape(16, 5)), named(w=(80,)), SEQUENCE,
        {"w": "kernel in·out 16 5"},
    ),
    "scan": (stacked, named(w=(3, 16, 16)), SEQUENCE, {"w": "kernel stacked,in,out 16 16"}),
    "loop with an index": (
        indexed, named(w=(3, 16, 16)), SEQUENCE, {"w": "kernel stacked,in,out 16 16"},
    ),
    "while": (until, named(w=(16, 16)), SEQUENCE, {"w": "kernel in,out 16 16"}),
    "cond": (
        branches, named(w=(16, 5), v=(16, 5)), SEQUENCE,
        {"w": "kernel in,out 16 5", "v": "kernel in,out 16 5"},
    ),
    "shard_map": (
        over_devices, named(w=(16, 6)), floats(7, 16), {"w": "kernel in,out 16 6"},
    ),
    "checkpoint and jit": (
        lambda p, x: jax.checkpoint(jax.jit(lambda w, x: jax.nn.relu(x @ w)))(p["w"], x),
        named(w=(16, 5)), SEQUENCE, {"w": "kernel in,out 16 5"},
    ),
    "standardized kernel": (
        standardized, named(**SAME_PADDING), IMAGE,
        {"w": "kernel spatial,spatial,in,out 144 288", "gain": "scale out"},
    ),
    "channels first": (
        channels_first, named(w=(32, 16, 3, 3)), floats(2, 16, 8, 8),
        {"w": "kernel out,in,spatial,spatial 144 288"},
    ),
    "fused query, key and value": (
        fused_heads, named(qkv=(16, 24), out=(8, 16)), SEQUENCE,
        {"qkv": "kernel in,out 16 24", "out": "kernel in,out 8 16"},
    ),
    "sliced kernel": (
        sliced_kernel, named(w=(16, 16)), SEQUENCE, {"w": "kernel in,out 16 8"},
    ),
    "rotated queries": (rotated, named(q=(16, 16)), SEQUENCE, {"q": "kernel in,out 16 16"}),
    "merged adapter": (
        merged_adapter, named(w=(16, 5), a=(16, 2), b=(2, 5)), SEQUENCE,
        {"w": "kernel in,out 16 5", "a": "kernel in,out 16 2", "b": "kernel in,out 2 5"},
    ),
    "token and positions": (
        with_token, named(token=(1, 1, 16), position=(8, 16), w=(16, 5)), SEQUENCE,
        {"token": "token unit,unit,out", "position": "position out,out", "w": "kernel in,out 16 5"},
    ),
    "relative positions": (
        relative, named(table=(7, 1)), SEQUENCE, {"table": "embedding lookup,unit 1 1"},
    ),
    "one-hot lookup": (
        one_hot, named(table=(100, 8)), TOKENS, {"table": "embedding lookup,out 1 8"},
    ),
    "indexed lookup": (
        lambda p, t: p["table"][t], named(table=(100, 8)), TOKENS,
        {"table": "embedding lookup,out 1 8"},
    ),
    "normalized kernel": (
        normalized, named(w=(16, 5), g=(5,)), SEQUENCE,
        {"w": "kernel in,out 16 5", "g": "scale out"},
    ),
    "latent queries": (
        latent_queries, named(latent=(3, 16), q=(16, 8), k=(16, 8)), SEQUENCE,
        {"q": "kernel in,out 16 8", "k": "kernel in,out 16 8"},
    ),
    "unrolled recurrence": (
        unrolled, named(w=(20, 4)), SEQUENCE, {"w": "kernel in,out 20 4"},
    ),
    "scaled branch": (
        lambda p, x: x + p["gate"][None, None] * jnp.tanh(x @ p["w"]),
        named(gate=(16,), w=(16, 16)), SEQUENCE,
        {"gate": "scale out", "w": "kernel in,out 16 16"},
    ),
    "unused": (
        lambda p, x: x @ p["w"], named(w=(16, 5), spare=(3,)), SEQUENCE,
        {"w": "kernel in,out 16 5", "spare": "unused"},
    ),
    "sorted kernel": (
        lambda p, x: x @ jnp.sort(p["w"], 0), named(w=(16, 5)), SEQUENCE, {"w": "unread"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PURE)
def test_pure_functions(name):
    apply, params, example, expected = PURE[name]
    check(jinit.trace(apply, params, example), expected)


def test_the_table_is_complete():
    assert len(PURE) >= 29
