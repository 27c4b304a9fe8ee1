"""The walk that scales and shifts every unit of a network, and statistics of units."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.layers import evaluate_layers
from jinit.calibrate.unit_operands import AppliedOperands, UnitOperand
from jinit.calibrate.units import UnitSite
from jinit.model import Model, Place, PyTree, Tap

_SMALLEST = 1e-20
"""Smallest variance of a unit that is scaled to another one in float32."""
_SMALLEST_RELATIVE = 1e-12
"""Smallest variance in units of the squared mean; what is below is rounding in float32."""


class UnitStatistics(NamedTuple):
    """Statistics of the units of a layer, the largest over its units."""

    mean: Array
    """Absolute mean."""
    std_error: Array
    """Absolute relative deviation of the standard deviation from the wanted one."""
    dead: Array
    """Number of units without variance."""


def measure_units(
    model: Model, params: PyTree, batches: DataBatches, sites: Sequence[UnitSite], scale: float
) -> UnitStatistics:
    """Return the statistics of all layers, with one number per row of `row_names`.

    Args:
      model: the network.
      params: its parameters.
      batches: the data.
      sites: the layers.
      scale: the wanted standard deviation.
    """
    taps = {site.last.place: partial(_measure, site.last, scale) for site in sites}
    seen = evaluate_layers(model, params, batches, taps)
    rows = [_rows(site, seen[site.last.place]) for site in sites]
    if not rows:
        return UnitStatistics(*[jnp.zeros(0)] * 3)
    return jax.tree.map(lambda *values: jnp.concatenate(values), *rows)


def _rows(site: UnitSite, seen: UnitStatistics) -> UnitStatistics:
    flat = jax.tree.map(lambda each: each.reshape(-1), seen)
    return flat if site.is_stacked else jax.tree.map(lambda each: each.max(keepdims=True), flat)


def _measure(
    operand: UnitOperand, scale: float, operands: Any, result: Array, probe: Any
) -> tuple[Array, UnitStatistics]:
    del operands, probe
    mean, variance, is_alive = unit_moments(operand, result)
    error = jnp.abs(jnp.sqrt(variance) / scale - 1)
    largest = jnp.max(jnp.where(is_alive, error, 0), initial=0)
    count = jnp.sum(~is_alive).astype(jnp.float32)
    return result, UnitStatistics(jnp.max(jnp.abs(mean), initial=0), largest, count)


def unit_moments(operand: UnitOperand, result: Array) -> tuple[Array, Array, Array]:
    """Return mean and variance of every unit, and whether it has a variance; used inside taps.

    Args:
      operand: the operand whose units are meant.
      result: values of one batch, in the shape of the result.
    """
    wide = result.astype(jnp.float32)
    mean = operand.mean(wide)
    variance = operand.mean((wide - mean) ** 2)
    is_alive = (variance > _SMALLEST) & (variance > _SMALLEST_RELATIVE * mean**2)
    return mean, variance, is_alive & jnp.isfinite(variance)


def normalize_units(
    model: Model, params: PyTree, batches: DataBatches, sites: Sequence[UnitSite], scale: float
) -> PyTree:
    """Return the parameters with which every unit has mean 0 and a standard deviation `scale`.

    Args:
      model: the network.
      params: its parameters.
      batches: the data.
      sites: the layers, none of which has a reason to be left alone.
      scale: the standard deviation.
    """
    factors = [site.factor for site in sites]
    offsets = [site.offset for site in sites if site.offset is not None]
    taps: dict[Place, Tap] = {each.place: partial(_scale_units, each, scale) for each in factors}
    taps |= {each.place: partial(shift_units, each, 0.0) for each in offsets}
    seen = evaluate_layers(model, params, batches, taps)
    applied = AppliedOperands(model, params, [*factors, *offsets])
    return applied.update(_at(factors, seen), _at(offsets, seen))


def _at(operands: Sequence[UnitOperand], seen: Mapping[Place, Any]) -> dict[Place, Any]:
    return {each.place: seen[each.place] for each in operands}


def _scale_units(
    operand: UnitOperand, scale: float, operands: Any, result: Array, probe: Any
) -> tuple[Array, Array]:
    """Scale every unit, and observe the factors of the kernel or the scale."""
    del operands, probe
    _, variance, is_alive = unit_moments(operand, result)
    factor = jnp.where(is_alive, scale / jnp.sqrt(jnp.where(is_alive, variance, 1)), 1)
    scaled = (factor * result.astype(jnp.float32)).astype(result.dtype)
    on_operand = operand.on_operand(factor)
    return scaled, 1 / on_operand if operand.operation.name == "div" else on_operand


def shift_units(
    operand: UnitOperand, target: float, operands: Any, result: Array, probe: Any
) -> tuple[Array, Array]:
    """Shift every unit to a mean, and observe the biases that do; a tap of a sum with a bias.

    Args:
      operand: the bias.
      target: the mean.
      operands: operands of the sum.
      result: its result.
      probe: not used.
    """
    del probe
    signal = operands[1 - operand.operand].astype(jnp.float32)
    if operand.operation.name == "sub" and operand.operand == 0:
        bias = operand.mean(signal) + target
        return (bias - signal).astype(result.dtype), bias
    shift = target - operand.mean(signal)
    sign = -1 if operand.operation.name == "sub" else 1
    return (signal + shift).astype(result.dtype), sign * shift
