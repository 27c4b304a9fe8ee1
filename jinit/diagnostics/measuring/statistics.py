"""Statistics of one layer, from the values of a forward pass and the gradients of a backward pass.

Every function is pure, takes arrays of any floating-point dtype and computes in float32 or in the
array's own higher precision.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.judging.thresholds import SATURATION_MARGIN
from jinit.diagnostics.measuring.floating import widen

MAX_ROWS = 128
"""Number of rows from which correlations and ranks are computed, spread evenly over all rows."""

Scalar = Any
"""An array of one number; a float after it is read."""


class InputStatistics(NamedTuple):
    """Statistics of a layer's input."""

    second: Scalar
    """Mean square."""
    zero_fraction: Scalar
    """Fraction of entries that are 0."""
    dead_fraction: Scalar
    """Fraction of units that are 0 for every example and position."""
    saturated_fraction: Scalar
    """Fraction of entries at a limit of the activation before the layer."""


class PreactivationStatistics(NamedTuple):
    """Statistics of a layer's pre-activations, its bias included."""

    mean: Scalar
    second: Scalar
    """Mean square."""
    largest: Scalar
    """Largest absolute value."""
    nonfinite: Scalar
    """1 if an entry is NaN or infinite, else 0."""
    decorrelation: Scalar
    """1 - c, where c is the mean correlation (uncentered) of pairs of rows."""
    effective_rank: Scalar
    """Participation ratio of the spectrum of the centered rows."""


class GradientStatistics(NamedTuple):
    """Statistics of the loss gradient of one example with respect to a layer's pre-activations."""

    mean: Scalar
    second: Scalar
    """Mean square over examples, positions and units."""
    total: Scalar
    """Sum of squares over positions and units, mean over examples."""
    nonfinite: Scalar
    """1 if an entry is NaN or infinite, else 0."""
    underflow_fraction: Scalar
    """Fraction of entries below the smallest normal number of a dtype of less than 32 bits."""


class WeightStatistics(NamedTuple):
    """Statistics of one parameter and its gradient."""

    mean: Scalar
    second: Scalar
    """Mean square."""
    gradient_second: Scalar
    """Mean square of the gradient."""
    inner_product: Scalar
    """⟨W, ∂W⟩."""
    nonfinite: Scalar
    """1 if an entry is NaN, infinite or too large to be squared, else 0."""
    value_range: Scalar
    """Largest minus smallest entry."""
    update_second: Scalar
    """Mean square of the optimizer's first update; NaN without an optimizer."""

    @property
    def is_zero(self) -> bool:
        """Whether every entry is zero; small ones may have a mean square of zero as well."""
        return bool(self.value_range == 0 and self.mean == 0)


@partial(jax.jit, static_argnames=("units", "limits"))
def input_statistics(
    x: Array, units: Sequence[int], limits: Sequence[float] | None
) -> InputStatistics:
    """Return the statistics of a signal.

    Args:
      x: the signal.
      units: axes that enumerate units.
      limits: limits of the activation that the signal is a result of; None if it is unbounded.
    """
    other_axes = tuple(axis for axis in range(x.ndim) if axis not in units)
    value = widen(x)
    return InputStatistics(
        second=mean_square(value),
        zero_fraction=zero_fraction(value),
        dead_fraction=zero_fraction(jnp.abs(value).max(other_axes)),
        saturated_fraction=saturated_fraction(value, limits),
    )


def zero_fraction(value: Array) -> Array:
    """Return the fraction of zeros.

    The mean of a comparison would take XLA three times as long to compile.
    """
    return jnp.mean(1 - jnp.abs(jnp.sign(value)))


def saturated_fraction(value: Array, limits: Sequence[float] | None) -> Array:
    """Return the fraction of entries at one of two limits; 0 without limits."""
    if limits is None:
        return jnp.zeros(())
    low, high = limits
    margin = SATURATION_MARGIN * (high - low)
    middle, reach = (low + high) / 2, (high - low) / 2 - margin
    return jnp.mean(1 + jnp.sign(jnp.abs(value - middle) - reach)) / 2


@partial(jax.jit, static_argnames="units")
def preactivation_statistics(h: Array, units: Sequence[int]) -> PreactivationStatistics:
    """Return the statistics of pre-activations whose axes `units` enumerate units."""
    value = widen(h)
    second, rows = mean_square(value), _sample_rows(value, units)
    return PreactivationStatistics(
        mean=value.mean(),
        second=second,
        largest=jnp.abs(value).max(),
        nonfinite=_is_nonfinite(second),
        decorrelation=_decorrelation(rows),
        effective_rank=_effective_rank(rows),
    )


@partial(jax.jit, static_argnames="examples")
def gradient_statistics(gradient: Array, examples: int) -> GradientStatistics:
    """Return the statistics of a gradient, rescaled to the gradient of a single example.

    Args:
      gradient: gradient of a mean over examples.
      examples: number of examples.
    """
    value = widen(gradient) * examples
    second = mean_square(value)
    info = jnp.finfo(gradient.dtype)
    # Entries too small for float32 are already 0, so only 16-bit dtypes show an underflow.
    underflow = jnp.mean(jnp.abs(gradient) < info.tiny, dtype=jnp.float32)
    return GradientStatistics(
        mean=value.mean(),
        second=second,
        total=_keep_finite(second * value.size / examples, jnp.isfinite(second)),
        nonfinite=_is_nonfinite(second),
        underflow_fraction=underflow if info.bits < 32 else jnp.zeros(()),
    )


@jax.jit
def weight_statistics(value: Array, gradient: Array, update_second: Array) -> WeightStatistics:
    """Return the statistics of a parameter.

    Args:
      value: the parameter.
      gradient: its gradient.
      update_second: mean square of its first update.
    """
    value, gradient = widen(value), widen(gradient)
    second = jnp.mean(value**2)
    return WeightStatistics(
        mean=value.mean(),
        second=second,
        gradient_second=jnp.mean(gradient**2),
        inner_product=jnp.sum(value * gradient),
        nonfinite=_is_nonfinite(second),
        value_range=value.max() - value.min(),
        update_second=update_second,
    )


def mean_square(value: Array) -> Array:
    """Return the mean square, at most the largest number of the dtype: it is infinite or NaN only
    if an entry is."""
    return _keep_finite(jnp.mean(value**2), jnp.isfinite(jnp.abs(value).max()))


def _keep_finite(second: Array, is_finite: Array) -> Array:
    return jnp.where(is_finite, jnp.minimum(second, jnp.finfo(second.dtype).max), second)


def _is_nonfinite(second: Array) -> Array:
    return (~jnp.isfinite(second)).astype(jnp.float32)


def _sample_rows(value: Array, units: Sequence[int]) -> Array:
    """Return at most `MAX_ROWS` rows, spread evenly, with the units along the last axis."""
    unit_axes = [axis for axis in range(value.ndim) if axis in units]
    other_axes = [axis for axis in range(value.ndim) if axis not in units]
    count = math.prod(value.shape[axis] for axis in other_axes)
    rows = jnp.transpose(value, (*other_axes, *unit_axes)).reshape(count, -1)
    if count <= MAX_ROWS:
        return rows
    return rows[jnp.asarray([round(i * (count - 1) / (MAX_ROWS - 1)) for i in range(MAX_ROWS)])]


def _decorrelation(rows: Array) -> Array:
    """Return 1 - c from differences, which keeps its digits where all rows are nearly equal."""
    count = rows.shape[0]
    if count < 2:
        return jnp.full((), jnp.nan)
    norms = jnp.sqrt(jnp.sum(rows**2, -1, keepdims=True))
    directions = rows / jnp.where(norms > 0, norms, 1)
    return jnp.sum((directions - directions.mean(0, keepdims=True)) ** 2) / (count - 1)


def _effective_rank(rows: Array) -> Array:
    """Return (tr C)² / tr C² for the covariance C of the rows."""
    centered = rows - rows.mean(0, keepdims=True)
    centered = centered / jnp.maximum(jnp.abs(centered).max(), jnp.finfo(rows.dtype).tiny)
    is_wide = rows.shape[0] < rows.shape[1]
    gram = centered @ centered.T if is_wide else centered.T @ centered
    return jnp.trace(gram) ** 2 / jnp.maximum(jnp.sum(gram**2), jnp.finfo(rows.dtype).tiny)
