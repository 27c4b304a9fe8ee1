"""Find equal units and equal parameters by random products.

Equal arrays have equal products with any random numbers. Arrays that differ by chance have three
equal products with a probability of about 1e-15 only. Gradient descent keeps equal units equal.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.measuring.floating import widen

_PRODUCT_COUNT = 3
_PRODUCT_TOLERANCE = 1e-6
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
    input_axes = _input_axes(axes)
    output_axes = [axis for axis in range(value.ndim) if axis not in input_axes]
    ordered = jnp.transpose(widen(value), (*input_axes, *output_axes))
    matrix = ordered.reshape(math.prod(value.shape[axis] for axis in input_axes), -1)
    over_inputs, over_outputs = (_random_numbers(size) for size in matrix.shape)
    return RandomProducts(
        outputs=jnp.asarray(over_inputs @ matrix), inputs=jnp.asarray(over_outputs @ matrix.T)
    )


def _input_axes(axes: Sequence[str]) -> list[int]:
    """Return the axes that are summed over; if none is, the first unless it is the only axis."""
    summed_axes = [axis for axis, role in enumerate(axes) if role in _INPUT_AXES]
    return summed_axes or list(range(len(axes) > 1))


@lru_cache(maxsize=256)
def _random_numbers(size: int) -> np.ndarray:
    return np.random.default_rng(size).standard_normal((_PRODUCT_COUNT, size), np.float32)


def count_equal_units(*products: RandomProducts) -> tuple[int, int]:
    """Count the units that equal an earlier unit in every one of several arrays.

    Units whose entries are all zero do not count.

    Returns:
      The number of outputs and the number of inputs.
    """
    outputs, inputs = products[0].outputs.shape[-1], products[0].inputs.shape[-1]
    return (
        _count_equal_columns([each.outputs for each in products]) if inputs >= _MIN_FAN else 0,
        _count_equal_columns([each.inputs for each in products]) if outputs >= _MIN_FAN else 0,
    )


def _count_equal_columns(products: Sequence[Array]) -> int:
    columns = np.concatenate([_normalize_columns(np.asarray(each)) for each in products])
    ordered = columns[:, np.argsort(columns.sum(0))]
    is_equal = np.all(np.abs(np.diff(ordered)) <= _PRODUCT_TOLERANCE, axis=0)
    is_nonzero = np.any(ordered != 0, axis=0)
    return int((is_equal & is_nonzero[1:]).sum())


def _normalize_columns(columns: np.ndarray) -> np.ndarray:
    rms = np.sqrt(np.mean(columns.astype(np.float64) ** 2))
    return columns / rms if rms > 0 and np.isfinite(rms) else columns


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
