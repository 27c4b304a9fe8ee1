"""Parts of a network that are equal from the start, and so stay equal: found by random products.

What is equal has equal products with any numbers; what differs by chance agrees in three of them
only once in 10^15 or so.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.statistics import wide

_PRODUCTS = 3
_NEAR = 1e-6
_COMPARED = 64
"""Entries by which arrays are told apart before all are compared."""
_SUMMED = ("in", "spatial")
_FEWEST = 3
"""Entries below which units may have equal weights by chance."""


class Products(NamedTuple):
    """Of one parameter, laid out as inputs × outputs, with fixed random numbers."""

    outputs: Array
    """Three for each output: sums over inputs."""
    inputs: Array
    """Three for each input: sums over outputs."""


@partial(jax.jit, static_argnames="words")
def products(value: Array, words: tuple[str, ...]) -> Products:
    """Of a parameter whose axes are described by `words`."""
    inputs = _inputs(words)
    outputs = [axis for axis in range(value.ndim) if axis not in inputs]
    laid = jnp.transpose(wide(value), (*inputs, *outputs))
    matrix = laid.reshape(math.prod(value.shape[axis] for axis in inputs), -1)
    down, across = (_numbers(size) for size in matrix.shape)
    return Products(jnp.asarray(down @ matrix), jnp.asarray(across @ matrix.T))


def _inputs(words: Sequence[str]) -> list[int]:
    """Axes that are summed over; without any, the first but not the last."""
    found = [axis for axis, word in enumerate(words) if word in _SUMMED]
    return found or list(range(len(words) > 1))


@lru_cache(maxsize=256)
def _numbers(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((_PRODUCTS, size), np.float32)


def repeated(*found: Products) -> tuple[int, int]:
    """How many outputs and how many inputs are those of another in every array; zeros are not."""
    sizes = found[0].outputs.shape[-1], found[0].inputs.shape[-1]
    return (
        _repeated([each.outputs for each in found]) if sizes[1] >= _FEWEST else 0,
        _repeated([each.inputs for each in found]) if sizes[0] >= _FEWEST else 0,
    )


def _repeated(products: Sequence[Array]) -> int:
    columns = np.concatenate([_scaled(np.asarray(each)) for each in products])
    ordered = columns[:, np.argsort(columns.sum(0))]
    near = np.all(np.abs(np.diff(ordered)) <= _NEAR, axis=0)
    there = np.any(ordered != 0, axis=0)
    return int((near & there[1:]).sum())


def _scaled(columns: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.mean(columns**2, dtype=np.float64))
    return columns / scale if scale > 0 and np.isfinite(scale) else columns


def alike(found: Mapping[str, Products]) -> dict[str, str]:
    """By path, an earlier parameter whose products, up to rounding, are the same."""
    seen: dict[Any, str] = {}
    equal = {}
    for path, each in found.items():
        total = np.asarray(each.outputs, np.float64).sum(-1)
        label = each.outputs.shape, each.inputs.shape, *(f"{number:.4g}" for number in total)
        first = seen.setdefault(label, path)
        if first != path:
            equal[path] = first
    return equal


def twins(arrays: Mapping[str, Any]) -> dict[str, str]:
    """By path, the earlier array that is equal, entry by entry; constant ones do not count."""
    seen: dict[Any, list[tuple[str, np.ndarray]]] = {}
    found = {}
    for path, each in arrays.items():
        array = numbers(each)
        first = array.reshape(-1)[:_COMPARED]
        near = seen.setdefault((array.shape, first.tobytes()), [])
        equal = [earlier for earlier, other in near if np.array_equal(array, other)]
        if equal and array.size > 1 and (array != array.flat[0]).any():
            found[path] = equal[0]
        near.append((path, array))
    return found


def numbers(leaf: Any) -> np.ndarray:
    """A parameter as NumPy's numbers of at least 32 bits; a random key as its data."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return array if array.dtype.itemsize > 2 or array.dtype.kind in "iub" else array.astype("f4")
