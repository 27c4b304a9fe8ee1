"""Healthy networks that mix rows: graphs, sets, sequences."""

import jax
import jax.numpy as jnp
from diagnostics.zoo.parts import (
    DEGREES,
    GRAPH,
    RECEIVERS,
    ROWS,
    SENDERS,
    SET_LABELS,
    SETS,
    SYMMETRIC,
    WIDTH,
    X,
    attention,
    layer_norm,
    stack,
)
from jax.nn import gelu, leaky_relu, relu, softmax

SQUARE = (WIDTH, WIDTH)
ON_SETS = {"inputs": (SETS,), "targets": (SET_LABELS,), "finish": lambda h: layer_norm(h).mean(1)}
ATTENTION = dict.fromkeys(("query", "key", "value", "out"), SQUARE)
PERCEPTRON = {"up": ((WIDTH, 2 * WIDTH), 2.0), "down": (2 * WIDTH, WIDTH)}


def graph_convolution(p, h, graph):
    return relu(graph @ h @ p["w"])


def residual_graph_convolution(p, h, graph):
    return (h + relu(graph @ h @ p["w"])) / 2**0.5


def graph_attention(p, h, graph):
    values = h @ p["w"]
    scores = leaky_relu(values @ p["left"] + (values @ p["right"]).T, 0.2)
    return h + softmax(jnp.where(graph > 0, scores, -1e9), -1) @ relu(layer_norm(values))


def message_passing(p, h):
    pairs = jnp.concatenate([h[SENDERS], h[RECEIVERS]], -1)
    messages = jax.ops.segment_sum(relu(pairs @ p["message"]), RECEIVERS, ROWS) / DEGREES
    return layer_norm(h + jnp.concatenate([h, messages], -1) @ p["update"])


def segment_mean(p, h):
    means = jax.ops.segment_sum((h @ p["w"])[SENDERS], RECEIVERS, ROWS) / DEGREES
    return (h + relu(means)) / 2**0.5


def isomorphism(p, h, graph):
    inner = relu(layer_norm((h + graph @ h) @ p["up"]))
    return h + inner @ p["down"]


def deep_set(p, h):
    return relu(h @ p["own"] + h.mean(1, keepdims=True) @ p["mean"])


def max_pooling(p, h):
    h = relu(h @ p["point"])
    pooled = jnp.broadcast_to(h.max(1, keepdims=True), h.shape)
    return relu(layer_norm(jnp.concatenate([h, pooled], -1) @ p["join"]))


def perceptron(p, h):
    return gelu(h @ p["up"]) @ p["down"]


def pre_norm(p, h):
    h = h + attention(p, layer_norm(h))
    return h + perceptron(p, layer_norm(h))


def post_norm(p, h):
    h = layer_norm(h + attention(p, h))
    return layer_norm(h + perceptron(p, h))


def linear_attention(p, h):
    return h + attention(p, layer_norm(h), softmax=False)


def kernel_attention(p, h):
    """Linear attention by a feature map (Katharopoulos et al., 2020)."""
    u = layer_norm(h)
    query, key = (jax.nn.elu(u @ p[name]) + 1 for name in ("query", "key"))
    sums = jnp.einsum("bkd,bke->bde", key, u @ p["value"])
    total = jnp.einsum("bqd,bd->bq", query, key.sum(1))[..., None]
    return h + (jnp.einsum("bqd,bde->bqe", query, sums) / total) @ p["out"]


def mixer(p, h):
    tokens = layer_norm(h).swapaxes(1, 2)
    h = h + (gelu(tokens @ p["tokens up"]) @ p["tokens down"]).swapaxes(1, 2)
    return h + perceptron(p, layer_norm(h))


def fourier(p, h):
    h = layer_norm(h + jnp.fft.fft2(h, norm="ortho").real)
    return layer_norm(h + perceptron(p, h))


def fourier_plain(p, h):
    return relu(jnp.fft.fft(h @ p["w"], norm="ortho").real * 2**0.5)


def shifted(p, h):
    """Rows see their neighbors by shifts of some channels (as in shift-based networks)."""
    parts = jnp.split(h, 4, -1)
    rolled = [jnp.roll(part, shift, 1) for part, shift in zip(parts, (-1, 0, 1, 2), strict=True)]
    return relu(jnp.concatenate(rolled, -1) @ p["w"])


def shifted_windows(p, h):
    windows = pre_norm(p, jnp.roll(h, 1, 1).reshape(-1, 4, WIDTH))
    return jnp.roll(windows.reshape(h.shape), -1, 1)


def causal_mean(p, h):
    sums = jnp.cumsum(h @ p["w"], 1) / jnp.arange(1, h.shape[1] + 1)[None, :, None] ** 0.5
    return layer_norm(h + relu(sums))


ON_GRAPH = {"inputs": (X, SYMMETRIC)}
HE = {"w": (SQUARE, 2.0)}
NETWORKS = {
    "graph convolution": stack(graph_convolution, HE, **ON_GRAPH),
    "residual graph convolution": stack(residual_graph_convolution, HE, **ON_GRAPH),
    "graph attention": stack(
        graph_attention,
        {"w": SQUARE, "left": (WIDTH, 1), "right": (WIDTH, 1)},
        inputs=(X, GRAPH),
        finish=layer_norm,
    ),
    "message passing": stack(
        message_passing, {"message": ((2 * WIDTH, WIDTH), 2.0), "update": (2 * WIDTH, WIDTH)}
    ),
    "segment mean": stack(segment_mean, HE),
    "graph isomorphism": stack(isomorphism, PERCEPTRON, inputs=(X, GRAPH), finish=layer_norm),
    "deep sets": stack(deep_set, {"own": SQUARE, "mean": SQUARE}, **ON_SETS),
    "max pooling": stack(
        max_pooling, {"point": (SQUARE, 2.0), "join": (2 * WIDTH, WIDTH)}, **ON_SETS
    ),
    "pre-norm transformer": stack(pre_norm, ATTENTION | PERCEPTRON, **ON_SETS),
    "post-norm transformer": stack(post_norm, ATTENTION | PERCEPTRON, **ON_SETS),
    "linear attention": stack(linear_attention, ATTENTION, **ON_SETS),
    "kernel attention": stack(kernel_attention, ATTENTION, **ON_SETS),
    "mixer": stack(
        mixer, {"tokens up": ((8, 16), 2.0), "tokens down": (16, 8)} | PERCEPTRON, **ON_SETS
    ),
    "Fourier mixing": stack(fourier, PERCEPTRON, **ON_SETS),
    "Fourier layers": stack(fourier_plain, HE),
    "shifts": stack(shifted, HE, **ON_SETS),
    "shifted windows": stack(shifted_windows, ATTENTION | PERCEPTRON, **ON_SETS),
    "cumulative mean": stack(causal_mean, HE, **ON_SETS),
}
