"""Parts of a network that are equal from the start, and so stay equal: found by random products.

What is equal has equal products with any numbers; what differs by chance has three such only once
in 10^18 or so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.statistics import wide

_PRODUCTS = 3
_NEAR = 1e-6
_SUMMED = ("in", "spatial")


class Repeats(NamedTuple):
    """Of one parameter."""

    outputs: Array
    """Units whose weights are those of another unit."""
    inputs: Array
    """Inputs whose weights are those of another input."""
    mark: Array
    """Products that parameters of one shape share only if they are equal."""


def repeats(value: Array, words: Sequence[str]) -> Repeats:
    """Of a parameter whose axes are described by `words`; zeros do not count as repeated."""
    inputs = [axis for axis, word in enumerate(words) if word in _SUMMED]
    outputs = [axis for axis in range(value.ndim) if axis not in inputs]
    laid = jnp.transpose(wide(value), (*inputs, *outputs))
    rows = 1
    for axis in inputs:
        rows *= value.shape[axis]
    matrix = laid.reshape(rows, -1)
    left, right = (_numbers(size) for size in matrix.shape)
    down, across = left @ matrix, right @ matrix.T
    mark = jnp.sum(down * right, axis=1)
    if not inputs or not outputs:
        return Repeats(jnp.zeros(()), jnp.zeros(()), mark)
    return Repeats(_repeated(down), _repeated(across), mark)


def _numbers(size: int) -> Array:
    return jax.random.normal(jax.random.key(size), (_PRODUCTS, size))


def _repeated(products: Array) -> Array:
    """How many columns are equal to another one, and not zero."""
    scale = jnp.sqrt(jnp.mean(products**2))
    ordered = products[:, jnp.argsort(products[0])]
    near = jnp.all(jnp.abs(jnp.diff(ordered)) <= _NEAR * scale, axis=0)
    there = jnp.any(ordered != 0, axis=0)
    return jnp.sum(near & there[1:], dtype=jnp.float32)
