"""Networks whose layers are joined by more than an activation, each with a healthy twin."""

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals
from jax.nn import relu, softmax

import jinit

ROWS, WIDTH, OUTPUTS = 16, 24, 3
X = normals(20, (ROWS, WIDTH))
SETS = normals(21, (8, 6, WIDTH))
SEQUENCES = normals(22, (8, 24, WIDTH))
ADJACENCY = np.random.default_rng(0).random((ROWS, ROWS)) < 0.4
GRAPH = np.asarray(ADJACENCY | np.eye(ROWS, dtype=bool), np.float32)
SENDERS, RECEIVERS = np.nonzero(GRAPH)
DEGREES = GRAPH.sum(1, keepdims=True)


def layer_norm(h):
    centered = h - h.mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-6)


def gather_sum(h):
    return jax.ops.segment_sum(h[SENDERS], RECEIVERS, ROWS)


def causal_mean(h):
    return jnp.cumsum(h, 1) / jnp.arange(1, h.shape[1] + 1)[None, :, None]


def pieces(h):
    return h.reshape(*h.shape[:-1], 4, h.shape[-1] // 4)


def maxout(h, factor):
    return factor * jnp.repeat(pieces(h).max(-2), 4, -1)


# name: (batch, gain, mixing of a faulty network, of a healthy one, the operation that is named)
MIXES = {
    "sum over rows": (
        (X,), 2,
        lambda h: relu(h + h.sum(0, keepdims=True)),
        lambda h: relu((h + h.mean(0, keepdims=True)) / 2),
        "the sum over axis 0",
    ),
    "segment sum": (
        (X,), 2,
        lambda h: relu(gather_sum(h)),
        lambda h: relu(gather_sum(h) / DEGREES),
        "segment_sum",
    ),
    "adjacency": (
        (X, GRAPH), 2,
        lambda h, graph: relu(graph @ h),
        lambda h, graph: relu((graph / DEGREES) @ h),
        "the matrix product with input 1",
    ),
    "attention over neighbors": (
        (X, GRAPH), 2,
        lambda h, graph: relu((h @ h.T * graph) @ h),
        lambda h, graph: relu(softmax(jnp.where(graph > 0, h @ h.T / WIDTH, -1e9), -1) @ h),
        "matrix product",
    ),
    "sum pooling": (
        (SETS,), 2,
        lambda h: relu(h + h.sum(1, keepdims=True)),
        lambda h: relu((h + h.mean(1, keepdims=True)) / 2),
        "the sum over axis 1",
    ),
    "cumulative sum": (
        (SEQUENCES,), 2,
        lambda h: relu(jnp.cumsum(h, 1)),
        lambda h: relu(causal_mean(h)),
        "cumsum over axis 1",
    ),
    "maxout": ((X,), 1, lambda h: maxout(h, 3.0), lambda h: maxout(h, 1 / 1.25), "the factor 3"),
    "products of neighbors": (
        (X,), 1,
        lambda h: 2 * h * jnp.roll(h, 1, -1),
        lambda h: layer_norm(h + h * jnp.roll(h, 1, -1) / 2),
        "the product of",
    ),
    "Fourier transform": (
        (X,), 2,
        lambda h: relu(jnp.fft.fft(h).real),
        lambda h: relu(jnp.fft.fft(h, norm="ortho").real * 2**0.5),
        "fft",
    ),
    "outer products": (
        (SETS,), 1,
        lambda h: h + jnp.einsum("bnd,bmd,bme->bne", h, h, h),
        lambda h: layer_norm(h + jnp.einsum("bnm,bme->bne", softmax(
            jnp.einsum("bnd,bmd->bnm", h, h) / WIDTH**0.5, -1), h)),
        "matrix product",
    ),
}  # fmt: skip


def mixed_network(name, depth, is_healthy):
    """The Model of a network with this mixing after each layer, and its batch."""
    batch, gain, faulty, healthy, _ = MIXES[name]
    mix = healthy if is_healthy else faulty

    def init(key):
        kernels = normals(key, (depth + 1, WIDTH, WIDTH)) * (gain / WIDTH) ** 0.5
        return {"hidden": list(kernels[:-1]), "out": kernels[-1, :, :OUTPUTS] / gain**0.5}

    def apply(params, h, *others):
        for kernel in params["hidden"]:
            h = mix(h @ kernel, *others)
        return h @ params["out"]

    params = jax.eval_shape(init, jax.random.key(0))
    return jinit.trace(apply, params, *batch, init=init), batch
