"""Parts of the networks of the zoo: kernels, normalizations, inputs, and stacks of equal blocks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals

import jinit

ROWS, WIDTH, OUTPUTS = 32, 32, 3
X = normals(30, (ROWS, WIDTH))
SETS = normals(31, (16, 8, WIDTH))
IMAGES = normals(32, (16, 8, 8, 3))
LABELS = jnp.arange(ROWS) % OUTPUTS
SET_LABELS = jnp.arange(16) % OUTPUTS

_LINKS = np.random.default_rng(0).random((ROWS, ROWS)) < 0.15
GRAPH = np.asarray(_LINKS | _LINKS.T | np.eye(ROWS, dtype=bool), np.float32)
DEGREES = GRAPH.sum(1, keepdims=True)
SYMMETRIC = jnp.asarray(GRAPH / np.sqrt(DEGREES * DEGREES.T))
SENDERS, RECEIVERS = np.nonzero(GRAPH)


class Network(NamedTuple):
    """A function of parameters and inputs, its initialization and a batch."""

    init: Callable[[jax.Array], Any]
    apply: Callable[..., jax.Array]
    inputs: tuple[Any, ...] = (X,)
    targets: tuple[jax.Array, ...] = (LABELS,)

    def model(self):
        params = jax.eval_shape(self.init, jax.random.key(0))
        return jinit.trace(self.apply, params, *self.inputs, init=self.init)


def draw(key, sizes):
    """Draw kernels by name: `sizes` has shapes, and squared gains other than 1 after them."""
    drawn = {}
    for number, (name, size) in enumerate(sizes.items()):
        shape, gain = size if isinstance(size[0], tuple) else (size, 1.0)
        normals = jax.random.normal(jax.random.fold_in(key, number), shape)
        drawn[name] = (
            normals * (gain / np.prod(shape[-2:-1] if len(shape) < 4 else shape[:-1])) ** 0.5
        )
    return drawn


def stack(
    block,
    sizes,
    *,
    stem=None,
    apply_stem=jnp.matmul,
    head=None,
    finish=lambda h: h,
    extra=None,
    **batch,
):
    """Return a function of the depth: a stem, equal blocks, and a head.

    Args:
      block: function of a block's parameters, the signal and further inputs.
      sizes: those of a block, for `draw`.
      stem: shape of a kernel before the blocks, if there is one.
      apply_stem: function of the inputs and that kernel.
      head: shape of the last kernel.
      finish: function of the signal before the head.
      extra: values of parameters that are not drawn, by name.
      batch: inputs and targets, if not the usual ones.
    """

    def build(depth):
        def init(key):
            keys = jax.random.split(key, depth + 2)
            blocks = [draw(each, sizes) | (extra or {}) for each in keys[2:]]
            params = {"blocks": blocks} | draw(keys[0], {"head": head or (WIDTH, OUTPUTS)})
            return params | (draw(keys[1], {"stem": stem}) if stem else {})

        def apply(params, x, *others):
            h = apply_stem(x, params["stem"]) if stem else x
            for each in params["blocks"]:
                h = block(each, h, *others)
            return finish(h) @ params["head"]

        return Network(init, apply, **batch)

    return build


def layer_norm(h):
    centered = h - h.mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-6)


def batch_norm(h):
    axes = tuple(range(h.ndim - 1))
    centered = h - h.mean(axes, keepdims=True)
    return centered * jax.lax.rsqrt((centered**2).mean(axes, keepdims=True) + 1e-5)


def unit_columns(kernel):
    return kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)


def attention(p, h, heads=4, softmax=True):
    """Multi-head attention with kernels query, key, value and out."""

    def split(kernel):
        return (h @ kernel).reshape(*h.shape[:-1], heads, -1)

    query, key, value = (split(p[name]) for name in ("query", "key", "value"))
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    weights = jax.nn.softmax(scores, -1) if softmax else scores / h.shape[-2] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(h.shape) @ p["out"]


def conv(h, kernel, groups=1, strides=(1, 1)):
    return jax.lax.conv_general_dilated(
        h, kernel, strides, "SAME", feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
