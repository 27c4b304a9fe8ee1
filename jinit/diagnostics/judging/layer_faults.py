"""Faults of single layers."""

import math

import jax.numpy as jnp

from jinit.diagnostics.judging.cures import (
    gain_cause,
    has_large_mean,
    kernel_cure,
    layer_name,
    needed_scale,
    size_cure,
    underflow_cure,
    weight_std,
)
from jinit.diagnostics.judging.finding import Case, Finding, percent_text
from jinit.diagnostics.judging.input_faults import STANDARDIZE, reads_inputs
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    LARGE_INPUT_SECOND,
    MAX_LOG_GAIN,
    MIN_FAN_ENTRIES,
    MIN_KERNEL_ENTRIES,
    NARROW_DTYPE_MAX,
    NARROW_DTYPE_TINY,
    OVERFLOW_MARGIN,
    SATURATED_FRACTION,
    UNDERFLOW_FRACTION,
    UNDERFLOW_RMS_RATIO,
)
from jinit.gains import wrong_fan_cause

_TOO_LARGE = "finite, but too large to be squared in float32"


def find_overflow(case: Case, number: int) -> Finding | None:
    """Find numbers beyond the range of their dtype."""
    row = case.layers[number]
    if row.weight.nonfinite:
        return _find_nonfinite_weights(case, row)
    result, dtype = row.statistics.preactivation, row.contraction.dtype
    limit = float(jnp.finfo(dtype).max)
    broken = [layer.path for layer in case.layers if layer.weight.nonfinite]
    if result.nonfinite:
        earlier = [
            layer.path for layer in case.layers[:number] if layer.statistics.preactivation.nonfinite
        ]
        sources = earlier or broken
        if not (sources or math.isfinite(row.statistics.input.second)):
            return _find_nonfinite_source(case)
        cause = (
            f"its results, of up to {result.largest:.3g}, are {_TOO_LARGE}"
            if math.isfinite(result.mean)
            else "its results are not finite"
        )
        source = sources[0] if sources else ""
        return Finding("overflowing", cause, _overflow_cure(row, limit), source)
    if result.largest > limit / OVERFLOW_MARGIN:
        cause = f"its largest result, {result.largest:.3g}, is close to the largest {dtype}"
        return Finding("overflowing", cause, _overflow_cure(row, limit))
    if row.statistics.gradient.nonfinite:
        later = [
            layer.path for layer in case.layers[number + 1 :] if layer.statistics.gradient.nonfinite
        ]
        sources, cause = broken or later[-1:], "its gradient is not finite"
        source = sources[0] if sources else ""
        return Finding("overflowing", cause, _overflow_cure(row, limit), source)
    return None


def _find_nonfinite_weights(case: Case, row: LayerRow) -> Finding:
    if math.isfinite(row.weight.mean):
        cause = f"its weights, which differ by up to {row.weight.value_range:.3g}, are {_TOO_LARGE}"
        return Finding("overflowing", cause, kernel_cure(row))
    cure = case.parameters.redraw_cure(row.leaf.path)
    return Finding("overflowing", "some of its weights are NaN or infinite", cure)


def _find_nonfinite_source(case: Case) -> Finding:
    """Return the finding on the first layer with a nonfinite input, if all kernels are finite."""
    cause = "its input is not finite"
    if case.parameters.nonfinite:
        path = case.parameters.nonfinite[0]
        cure = case.parameters.redraw_cure(path)
        is_finite = math.isfinite(case.parameters.weights[path].mean)
        what = (
            f"the entries of {path} are {_TOO_LARGE}"
            if is_finite
            else f"{path} contains NaN or infinity"
        )
        return Finding("overflowing", f"{cause}: {what}", cure)
    cure = "look for log or sqrt of a negative number and for divisions by zero before it"
    return Finding("overflowing", cause, cure)


def _overflow_cure(row: LayerRow, limit: float) -> str:
    if limit < NARROW_DTYPE_MAX:
        dtype = row.contraction.dtype
        return f"dtype=jnp.bfloat16: the largest {dtype} is {limit:g}, the largest bfloat16 3e38"
    return kernel_cure(row)


def find_underflow(case: Case, number: int) -> Finding | None:
    """Find gradients below the range of their dtype."""
    row = case.layers[number]
    gradient, dtype = row.statistics.gradient, row.contraction.dtype
    smallest, rms = float(jnp.finfo(dtype).tiny), math.sqrt(gradient.second)
    if smallest < NARROW_DTYPE_TINY or not rms:
        return None
    if gradient.underflow_fraction < UNDERFLOW_FRACTION or rms > UNDERFLOW_RMS_RATIO * smallest:
        return None
    return Finding(
        "underflowing",
        f"{percent_text(gradient.underflow_fraction)} of its gradient entries are below "
        f"{smallest:.2g}, the smallest {dtype}, and are lost",
        underflow_cure(dtype, rms),
    )


def find_symmetry(case: Case, number: int) -> Finding | None:
    """Find kernels that equal another one, and units or inputs that training keeps equal."""
    row = case.layers[number]
    if row.leaf.path in case.parameters.equal:
        other = case.parameters.equal[row.leaf.path]
        cause = f"its kernel equals {other}, entry by entry: one key was used twice"
        return Finding("symmetric", cause, "give each its own key: jax.random.split(key)")
    units, inputs = row.equal_counts.both
    if units:
        return Finding("symmetric", _equality_cause(row, "unit", units), kernel_cure(row))
    if inputs and any(_has_equal_units(layer) for layer in _sources(case, number)):
        return Finding("symmetric", _equality_cause(row, "input", inputs), kernel_cure(row))
    return None


def _sources(case: Case, number: int) -> list[LayerRow]:
    """Return the layers whose activations a layer takes in."""
    return [layer for layer in case.layers if layer.next_layer == number]


def _has_equal_units(row: LayerRow) -> bool:
    """Return whether units have the same weights: equal inputs of the network are no fault."""
    return row.weight.value_range == 0 or row.equal_counts.weights[0] > 0


def _equality_cause(row: LayerRow, name: str, count: int) -> str:
    are_equal = f"{name} has" if count == 1 else f"{name}s have"
    value = f" ({row.weight.mean:.3g})" if row.weight.value_range == 0 else ""
    return (
        f"{count} {are_equal} the same weights{value} and the same gradient as another {name}, so "
        "training keeps them equal"
    )


def find_saturation(case: Case, number: int) -> Finding | None:
    """Find activations at their limits."""
    row, consumer = case.layers[number], case.consumer(number)
    limit = max(SATURATED_FRACTION, case.expectations[number].fractions.saturated_limit)
    if consumer is None or consumer.statistics.input.saturated_fraction <= limit:
        return None
    symptom = (
        f"{percent_text(consumer.statistics.input.saturated_fraction)} of its activations are at "
        f"the limits of {layer_name(row)}: its pre-activations have RMS "
        f"{math.sqrt(row.statistics.preactivation.second):.3g}"
    )
    if row.has_dominant_biases:
        return Finding("saturated", f"{symptom}, mostly from biases", "bias_init=jinit.zeros")
    input_second = row.statistics.input.second
    if input_second > LARGE_INPUT_SECOND and row.squared_gain < LARGE_INPUT_SECOND:
        cause = f"{symptom}, because its input has RMS {math.sqrt(input_second):.3g}"
        return _blame_input(case, number, cause)
    return Finding("saturated", symptom, size_cure(row))


def _blame_input(case: Case, number: int, cause: str) -> Finding:
    """Return the finding on a layer that saturates because its input is too large."""
    if reads_inputs(case, number):
        return Finding("saturated", cause, STANDARDIZE, "inputs")
    return Finding("saturated", cause, "normalize its input: nn.LayerNorm()(h)")


def find_misscaled_kernel(case: Case, number: int) -> Finding | None:
    """Find a gain that is wrong by itself, whatever the other layers do."""
    row = case.layers[number]
    if math.prod(row.leaf.shape) < MIN_KERNEL_ENTRIES or not row.squared_gain:
        return None
    if has_large_mean(row):
        return Finding("misscaled", gain_cause(row), kernel_cure(row))
    error = _smallest_gain_error(row)
    if abs(error) < MAX_LOG_GAIN:
        return None
    if row.is_normalized:
        return Finding("misscaled", _hidden_scale_cause(row, error), kernel_cure(row))
    consumer = case.consumer(number)
    # As in low-rank adapters, whose second kernel is zero.
    is_unused = consumer is not None and consumer.weight.second == 0
    if error < 0 and (row.has_free_scale or is_unused):
        return None
    return Finding("exploding" if error > 0 else "vanishing", gain_cause(row), kernel_cure(row))


def _smallest_gain_error(row: LayerRow) -> float:
    """Return ln of the squared gain over the needed one or over 1, whichever is closer."""
    scale = needed_scale(row)
    candidates = (1.0,) if scale is None else (1.0, scale.weights)
    return min((math.log(row.used_squared_gain / each) for each in candidates), key=abs)


def _hidden_scale_cause(row: LayerRow, error: float) -> str:
    """Return the cause for a kernel whose scale the next normalization removes."""
    factor = row.used_squared_gain
    speed = f"{factor:.2g} times slower" if error > 0 else f"{1 / factor:.2g} times faster"
    return (
        f"{gain_cause(row)}; the normalization after it removes the scale, but the direction of "
        f"its weights changes {speed}"
    )


def find_wrong_fan(case: Case, number: int) -> Finding | None:
    """Find a kernel that is scaled by other axes than those that are summed over."""
    row = case.layers[number]
    cause = wrong_fan_cause(row.leaf, weight_std(row))
    if not cause or row.is_normalized or math.prod(row.leaf.shape) < MIN_FAN_ENTRIES:
        return None
    return Finding("misscaled", cause, kernel_cure(row))
