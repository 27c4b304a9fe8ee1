"""Find equal units and equal parameters by random products.

Equal arrays have equal products with any random numbers. Arrays that differ by chance have three
equal products with a probability of about 1e-15 only. Training keeps units equal that are equal in
their weights and in the gradients of these.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.judging.thresholds import EQUAL_UNITS_TOLERANCE
from jinit.diagnostics.measuring.floating import widen

_PRODUCT_COUNT = 3
_INPUT_AXES = ("in", "spatial")
_MIN_FAN = 3
"""Fewest entries of a unit's weights at which equality by chance is ruled out."""


class RandomProducts(NamedTuple):
    """Products of one parameter, as a matrix of inputs × outputs, with fixed random numbers."""

    outputs: Array
    """Sums over inputs: an array (3, outputs)."""
    inputs: Array
    """Sums over outputs: an array (3, inputs)."""


@partial(jax.jit, static_argnames="axes")
def random_products(value: Array, axes: tuple[str, ...]) -> RandomProducts:
    """Return the random products of a parameter with these axis roles."""
    return RandomProducts(*_products(widen(value), axes))


def host_products(value: np.ndarray, axes: tuple[str, ...]) -> RandomProducts:
    """Return the random products of an array in the memory of the host: nothing is compiled."""
    wide = np.asarray(value, jnp.promote_types(value.dtype, jnp.float32))
    with np.errstate(all="ignore"):  # products that are not finite are handled where they are read
        return RandomProducts(*_products(wide, axes))


def _products(value: Any, axes: tuple[str, ...]) -> tuple[Any, Any]:
    """Return the sums over inputs and the sums over outputs, for an array of JAX or NumPy."""
    input_axes = _input_axes(axes)
    output_axes = [axis for axis in range(value.ndim) if axis not in input_axes]
    ordered = value.transpose(*input_axes, *output_axes)
    matrix = ordered.reshape(math.prod(value.shape[axis] for axis in input_axes), -1)
    over_inputs, over_outputs = (_random_numbers(size) for size in matrix.shape)
    return over_inputs @ matrix, over_outputs @ matrix.T


def _input_axes(axes: Sequence[str]) -> list[int]:
    """Return the axes that are summed over; if none is, the first unless it is the only axis."""
    summed_axes = [axis for axis, role in enumerate(axes) if role in _INPUT_AXES]
    return summed_axes or list(range(len(axes) > 1))


@lru_cache(maxsize=256)
def _random_numbers(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((_PRODUCT_COUNT, size), np.float32)


def count_equal_units(*products: RandomProducts) -> tuple[int, int]:
    """Count the units that equal an earlier unit in every one of several arrays.

    Units whose entries in the last array are all zero do not count: units of zero weights differ
    from each other as soon as they learn, and units of zero gradients do not learn.

    Args:
      products: random products of one parameter, or of a parameter and of its gradient.

    Returns:
      The number of outputs and the number of inputs; zero if a product is not finite.
    """
    outputs, inputs = products[0].outputs.shape[-1], products[0].inputs.shape[-1]
    # Two arrays agree by chance less often than one.
    min_fan = _MIN_FAN if len(products) == 1 else 1
    return (
        _count_equal_columns([each.outputs for each in products]) if inputs >= min_fan else 0,
        _count_equal_columns([each.inputs for each in products]) if outputs >= min_fan else 0,
    )


def repeats_units(products: RandomProducts) -> bool:
    """Return whether any two units are equal, zeros included.

    Args:
      products: random products of one parameter.
    """
    everywhere = jax.tree.map(np.ones_like, products)
    return any(count_equal_units(products, everywhere))


def _count_equal_columns(products: Sequence[Array]) -> int:
    columns = [_normalize_columns(np.asarray(each, np.float64)) for each in products]
    if not all(np.isfinite(each).all() for each in columns):
        return 0
    order = np.argsort(np.concatenate(columns).sum(0))
    ordered = [each[:, order] for each in columns]
    is_equal = np.all([_equals_previous(each) for each in ordered], axis=0)
    is_nonzero = np.any(ordered[-1] != 0, axis=0)
    return int((is_equal & is_nonzero[1:]).sum())


def _normalize_columns(columns: np.ndarray) -> np.ndarray:
    largest = np.abs(columns).max(initial=0.0)
    return columns / largest if largest > 0 and np.isfinite(largest) else columns


def _equals_previous(columns: np.ndarray) -> np.ndarray:
    """Return, for every column but the first, whether it equals the one before it."""
    sizes = np.abs(columns).max(0)
    differences = np.abs(np.diff(columns)).max(0)
    return differences <= EQUAL_UNITS_TOLERANCE * np.maximum(sizes[1:], sizes[:-1])


def find_equal_products(products: Mapping[str, RandomProducts]) -> dict[str, str]:
    """Return, for each path, the path of an earlier parameter with the same products.

    Args:
      products: random products by path; they are compared up to rounding.
    """
    first_paths: dict[Any, str] = {}
    equal = {}
    for path, parameter in products.items():
        sums = np.asarray(parameter.outputs, np.float64).sum(-1)
        shapes = parameter.outputs.shape, parameter.inputs.shape
        label = *shapes, *(f"{number:.4g}" for number in sums)
        first = first_paths.setdefault(label, path)
        if first != path:
            equal[path] = first
    return equal
