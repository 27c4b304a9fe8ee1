"""What is measured of one layer, from its signals on the way forward and gradients on the way back.

Every function is pure, takes arrays of any floating dtype and computes in float32 at least.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

ROWS = 128
"""Rows of which correlations and ranks are taken; they are spread evenly over all."""
# An entry is saturated within this share of its activation's range from either limit: for tanh
# that is |y| > 0.95, for the logistic function the same inputs doubled.
_SATURATION_MARGIN = 0.025
_ALIKE = 1e-6
"""Units that differ by less than this share of the largest are the same."""


Number = Any
"""An array of one number; once it was read, a float."""


class Taken(NamedTuple):
    """Of what a layer takes in."""

    second: Number
    """Mean square."""
    zero: Number
    """Share of entries that are 0."""
    dead: Number
    """Share of units that are 0 for every example and position."""
    saturated: Number
    """Share of entries at a limit of the activation that they come from."""


class Made(NamedTuple):
    """Of a layer's pre-activations, its bias included."""

    mean: Number
    second: Number
    """Mean square."""
    largest: Number
    """Largest absolute value."""
    broken: Number
    """Whether an entry is NaN or infinite, or too large to be squared."""
    identical: Number
    """Whether all units are the same for every example; if nothing arrives, NaN."""
    apart: Number
    """1 - c, with c the mean correlation (uncentred cosine) of pairs of rows."""
    rank: Number
    """Effective rank of the rows about their mean: their participation ratio."""


class Back(NamedTuple):
    """Of the gradient of the loss with respect to a layer's pre-activations."""

    mean: Number
    second: Number
    """Mean square over examples, positions and units."""
    total: Number
    """Sum of squares."""
    broken: Number
    """Whether an entry is NaN or infinite, or too large to be squared."""
    lost: Number
    """Share of entries that are 0 or too small for a dtype of less than 32 bits."""


class Weight(NamedTuple):
    """Of one parameter and its gradient."""

    mean: Number
    second: Number
    """Mean square."""
    gradient_second: Number
    """Mean square of the gradient."""
    inner: Number
    """⟨W, ∂W⟩."""
    broken: Number
    """Whether an entry is NaN or infinite, or too large to be squared."""
    spread: Number
    """Largest minus smallest entry."""
    update_second: Number
    """Mean square of the optimizer's first update; NaN without an optimizer."""


def wide(value: Array) -> Array:
    """In float32 at least."""
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))


@partial(jax.jit, static_argnames=("units", "ends"))
def taken(x: Array, units: Sequence[int], ends: Sequence[float] | None) -> Taken:
    """Of a signal whose axes `units` enumerate units, and the limits of its activation."""
    others = tuple(axis for axis in range(x.ndim) if axis not in units)
    value = wide(x)
    return Taken(
        jnp.mean(value**2),
        zeros(value),
        zeros(jnp.abs(value).max(others)),
        saturated(value, ends),
    )


def zeros(value: Array) -> Array:
    """Share of zeros; a mean of comparisons takes XLA three times as long to compile."""
    return jnp.mean(1 - jnp.abs(jnp.sign(value)))


def saturated(value: Array, ends: Sequence[float] | None) -> Array:
    """Share of entries at either of two limits; without any, none."""
    if ends is None:
        return jnp.zeros(())
    low, high = ends
    margin = _SATURATION_MARGIN * (high - low)
    middle, reach = (low + high) / 2, (high - low) / 2 - margin
    return jnp.mean(1 + jnp.sign(jnp.abs(value - middle) - reach)) / 2


@partial(jax.jit, static_argnames="units")
def made(h: Array, units: Sequence[int]) -> Made:
    """Of pre-activations whose axes `units` enumerate units."""
    value = wide(h)
    second, chosen = jnp.mean(value**2), _rows(value, units)
    high, low = value.max(units), value.min(units)
    largest = jnp.maximum(high.max(), -low.min())
    several = sum(value.shape[axis] for axis in units) > len(units)
    return Made(
        value.mean(),
        second,
        largest,
        _broken(second),
        _identical((high - low).max(), largest) if several else jnp.zeros(()),
        _apart(chosen),
        _rank(chosen),
    )


@partial(jax.jit, static_argnames="examples")
def back(gradient: Array, examples: int) -> Back:
    """Of a gradient of a mean over `examples`; it is that of one example that counts."""
    value = wide(gradient) * examples
    second = jnp.mean(value**2)
    normal = jnp.finfo(gradient.dtype)
    low = normal.bits < 32  # whatever is smaller than float32 can hold is 0 by now
    lost = jnp.mean(jnp.abs(gradient) < normal.tiny, dtype=jnp.float32) if low else jnp.zeros(())
    return Back(value.mean(), second, second * value.size / examples, _broken(second), lost)


@jax.jit
def weight(value: Array, gradient: Array, update_second: Array) -> Weight:
    """Of a parameter, its gradient, and the mean square of its first update."""
    value, gradient = wide(value), wide(gradient)
    second = jnp.mean(value**2)
    return Weight(
        value.mean(),
        second,
        jnp.mean(gradient**2),
        jnp.sum(value * gradient),
        _broken(second),
        value.max() - value.min(),
        update_second,
    )


def _broken(second: Array) -> Array:
    return (~jnp.isfinite(second)).astype(jnp.float32)


def _identical(spread: Array, largest: Array) -> Array:
    alike = (spread <= _ALIKE * largest).astype(jnp.float32)
    return jnp.where(largest > 0, alike, jnp.nan)


def _rows(value: Array, units: Sequence[int]) -> Array:
    """Units along the last axis; at most so many rows, spread evenly."""
    behind = [axis - value.ndim for axis in range(value.ndim) if axis in units]
    others = [axis for axis in range(value.ndim) if axis not in units]
    count = 1
    for axis in others:
        count *= value.shape[axis]
    laid = jnp.transpose(value, (*others, *(axis + value.ndim for axis in behind)))
    rows = laid.reshape(count, -1)
    if count <= ROWS:
        return rows
    return rows[jnp.asarray([round(i * (count - 1) / (ROWS - 1)) for i in range(ROWS)])]


def _apart(rows: Array) -> Array:
    """1 - c from differences, which keeps the digits where all rows are nearly one."""
    count = rows.shape[0]
    if count < 2:
        return jnp.full((), jnp.nan)
    sizes = jnp.sqrt(jnp.sum(rows**2, -1, keepdims=True))
    directions = rows / jnp.where(sizes > 0, sizes, 1)
    return jnp.sum((directions - directions.mean(0, keepdims=True)) ** 2) / (count - 1)


def _rank(rows: Array) -> Array:
    centred = rows - rows.mean(0, keepdims=True)
    centred = centred / jnp.maximum(jnp.abs(centred).max(), jnp.finfo(rows.dtype).tiny)
    gram = centred @ centred.T if rows.shape[0] < rows.shape[1] else centred.T @ centred
    return jnp.trace(gram) ** 2 / jnp.maximum(jnp.sum(gram**2), jnp.finfo(rows.dtype).tiny)
