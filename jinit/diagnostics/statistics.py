"""What is measured of one layer, from its signals on the way forward and gradients on the way back.

Every function is pure, takes arrays of any floating dtype and computes in float32 at least.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

_ROWS = 128
"""Rows of which correlations and ranks are taken; they are spread evenly over all."""
# An entry is saturated within this share of its activation's range from either limit: for tanh
# that is |y| > 0.95, for the logistic function the same inputs doubled.
_SATURATION_MARGIN = 0.025
_ALIKE = 1e-6
"""Units that differ by less than this share of the largest are the same."""


class Taken(NamedTuple):
    """Of what a layer takes in."""

    second: Array
    """Mean square."""
    zero: Array
    """Share of entries that are 0."""
    dead: Array
    """Share of units that are 0 for every example and position."""
    saturated: Array
    """Share of entries at a limit of the activation that they come from."""


class Made(NamedTuple):
    """Of a layer's pre-activations, its bias included."""

    mean: Array
    second: Array
    """Mean square."""
    largest: Array
    """Largest absolute value."""
    broken: Array
    """Share of entries that are NaN or infinite."""
    identical: Array
    """Whether all units are the same for every example; if nothing arrives, NaN."""
    apart: Array
    """1 - c, with c the mean correlation (uncentred cosine) of pairs of rows."""
    rank: Array
    """Effective rank of the rows about their mean: their participation ratio."""


class Back(NamedTuple):
    """Of the gradient of the loss with respect to a layer's pre-activations."""

    mean: Array
    second: Array
    """Mean square over examples, positions and units."""
    total: Array
    """Sum of squares."""
    broken: Array
    """Share of entries that are NaN or infinite."""
    lost: Array
    """Share of entries that are 0 or too small for their dtype."""


class Weight(NamedTuple):
    """Of one parameter and its gradient."""

    mean: Array
    second: Array
    """Mean square."""
    gradient_second: Array
    """Mean square of the gradient."""
    inner: Array
    """⟨W, ∂W⟩."""
    broken: Array
    """Share of entries that are NaN or infinite."""
    zero: Array
    """Share of entries that are 0."""
    spread: Array
    """Largest minus smallest entry."""
    update_second: Array
    """Mean square of the optimizer's first update; NaN without an optimizer."""


def wide(value: Array) -> Array:
    """In float32 at least."""
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))


def taken(x: Array, units: Sequence[int], ends: Sequence[float] | None) -> Taken:
    """Of a signal whose axes `units` enumerate units, and the limits of its activation."""
    others = tuple(axis for axis in range(x.ndim) if axis not in units)
    zero, value = x == 0, wide(x)
    return Taken(
        jnp.mean(value**2),
        _share(zero),
        _share(jnp.all(zero, axis=others)),
        jnp.zeros(()) if ends is None else _share(_saturated(value, ends)),
    )


def _saturated(value: Array, ends: Sequence[float]) -> Array:
    low, high = ends
    margin = _SATURATION_MARGIN * (high - low)
    return (value < low + margin) | (value > high - margin)


def made(h: Array, units: Sequence[int]) -> Made:
    """Of pre-activations whose axes `units` enumerate units."""
    value = wide(h)
    chosen = _rows(value, units)
    apart, rank = _apart(chosen), _rank(chosen)
    return Made(
        value.mean(),
        jnp.mean(value**2),
        jnp.abs(value).max(),
        _share(~jnp.isfinite(value)),
        _identical(value, units),
        apart,
        rank,
    )


def back(gradient: Array, examples: int) -> Back:
    """Of a gradient of a mean over `examples`; it is that of one example that counts."""
    value = wide(gradient) * examples
    smallest = jnp.finfo(gradient.dtype).tiny
    return Back(
        value.mean(),
        jnp.mean(value**2),
        jnp.sum(value**2) / examples,
        _share(~jnp.isfinite(value)),
        _share(jnp.abs(gradient) < smallest),
    )


def weight(value: Array, gradient: Array, update: Array | None) -> Weight:
    """Of a parameter, its gradient and its first update."""
    value, gradient = wide(value), wide(gradient)
    return Weight(
        value.mean(),
        jnp.mean(value**2),
        jnp.mean(gradient**2),
        jnp.sum(value * gradient),
        _share(~jnp.isfinite(value)),
        _share(value == 0),
        value.max() - value.min(),
        jnp.full((), jnp.nan) if update is None else jnp.mean(wide(update) ** 2),
    )


def _share(mask: Array) -> Array:
    return jnp.mean(mask, dtype=jnp.float32)


def _identical(value: Array, units: Sequence[int]) -> Array:
    spread = (value.max(units) - value.min(units)).max()
    size = jnp.abs(value).max()
    several = sum(value.shape[axis] for axis in units) > len(units)
    alike = (spread <= _ALIKE * size).astype(jnp.float32)
    return jnp.where(size > 0, alike, jnp.nan) if several else jnp.zeros(())


def _rows(value: Array, units: Sequence[int]) -> Array:
    """Units along the last axis; at most so many rows, spread evenly."""
    behind = [axis - value.ndim for axis in range(value.ndim) if axis in units]
    others = [axis for axis in range(value.ndim) if axis not in units]
    count = 1
    for axis in others:
        count *= value.shape[axis]
    laid = jnp.transpose(value, (*others, *(axis + value.ndim for axis in behind)))
    rows = laid.reshape(count, -1)
    if count <= _ROWS:
        return rows
    return rows[jnp.asarray([round(i * (count - 1) / (_ROWS - 1)) for i in range(_ROWS)])]


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
