"""Faults of single layers."""

import math

import jax.numpy as jnp

from jinit.diagnostics.judging.cures import (
    gain_cause,
    has_large_mean,
    kernel_cure,
    layer_name,
    needed_scale,
    weight_std,
)
from jinit.diagnostics.judging.finding import Case, Finding, percent_text
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    DEAD_DEVIATIONS,
    DEAD_FRACTION,
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

_ZERO_ENDS = ("residual", "output")
"""Ends after which a kernel of zeros is a deliberate initialization."""


def find_overflow(case: Case, number: int) -> Finding | None:
    """Find numbers beyond the range of their dtype."""
    row = case.layers[number]
    if row.weight.nonfinite:
        cure = f"draw them again: jinit.init(model, key, only={row.leaf.path!r}, keep=params)"
        return Finding("overflowing", "some of its weights are NaN or infinite", cure)
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
        cause = "its results are not finite"
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


def _find_nonfinite_source(case: Case) -> Finding:
    """Return the finding on the first layer with a nonfinite input, if all kernels are finite."""
    cause = "its input is not finite"
    if case.nonfinite_paths:
        path = case.nonfinite_paths[0]
        cure = f"draw it again: jinit.init(model, key, only={path!r}, keep=params)"
        return Finding("overflowing", f"{cause}: {path} contains NaN or infinity", cure)
    return Finding("overflowing", cause, "look for NaN and infinity in the inputs")


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
        "dtype=jnp.bfloat16, or multiply the loss by 1024 and divide the gradient by 1024",
    )


def find_symmetry(case: Case, number: int) -> Finding | None:
    """Find kernels, units or inputs that are equal."""
    row = case.layers[number]
    if row.leaf.path in case.equal_leaves:
        other = case.equal_leaves[row.leaf.path]
        cause = f"its kernel equals {other}, entry by entry: one key was used twice"
        return Finding("symmetric", cause, "give each its own key: jax.random.split(key)")
    cause = _symmetry_cause(row)
    return Finding("symmetric", cause, kernel_cure(row)) if cause else None


def _symmetry_cause(row: LayerRow) -> str:
    """Return what is equal within one layer; empty if nothing is."""
    if _has_constant_kernel(row):
        is_zero = row.weight.second == 0
        if is_zero and _may_be_zero(row):
            return ""
        value = "zero" if is_zero else f"the same number, {row.weight.mean:.3g}"
        return f"all of its weights are {value}, so its units stay equal"
    if row.statistics.preactivation.identical == 1 and row.statistics.input.second > 0:
        return "all of its units compute the same function"
    return _equal_weights_cause(row)


def _has_constant_kernel(row: LayerRow) -> bool:
    return row.weight.value_range == 0 and math.prod(row.leaf.shape) > 1


def _may_be_zero(row: LayerRow) -> bool:
    """Return whether a kernel of zeros is deliberate: before a residual sum or an output, or added
    to the results of another kernel."""
    activation = row.leaf.activation
    return activation is None or activation.end in _ZERO_ENDS or activation.kernel_count > 1


def _equal_weights_cause(row: LayerRow) -> str:
    counts = row.equal_counts
    for name, count, lasting in zip(("unit", "input"), counts.weights, counts.both, strict=True):
        if count:
            verb = f"{name} has" if count == 1 else f"{name}s have"
            time = "and equal gradients keep them equal" if lasting else "until gradients differ"
            return f"{count} {verb} the same weights as another {name}, {time}"
    return ""


def find_dead_units(case: Case, number: int) -> Finding | None:
    """Find units that are zero for every example."""
    row, consumer = case.layers[number], case.consumer(number)
    if row.statistics.input.second == 0:
        live = [layer for layer in case.layers[:number] if layer.statistics.input.second > 0]
        source = live[-1].path if live else ""
        cure = "" if source else "give inputs of mean square 1"
        return Finding("dead", "its input is zero for every example", cure, source)
    if consumer is None or row.width < 2 or row.statistics.preactivation.second == 0:
        return None
    dead_fraction = consumer.statistics.input.dead_fraction
    if dead_fraction < _dead_limit(row.width):
        return None
    symptom = f"{percent_text(dead_fraction)} of its units are 0 for every example"
    if row.has_dominant_biases:
        biases = math.sqrt(row.statistics.bias_second)
        cause = f"{symptom}: its biases, of RMS {biases:.3g}, outweigh its sums"
        return Finding("dead", cause, "bias_init=jinit.zeros")
    if row.is_normalized:
        cause = (
            f"{symptom} after the normalization; its scale, its bias or a batch of one example "
            "is the cause"
        )
        return Finding("dead", cause, "scale_init=jinit.ones, bias_init=jinit.zeros, more examples")
    return Finding("dead", symptom, kernel_cure(row))


def _dead_limit(width: int) -> float:
    """Return the fraction of dead units from which on a layer is dead."""
    chance = 0.5 + DEAD_DEVIATIONS * math.sqrt(0.25 / width)
    return max(DEAD_FRACTION, min(1.0, chance))


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
        return Finding("saturated", cause, "scale the inputs to mean 0 and standard deviation 1")
    return Finding("saturated", symptom, kernel_cure(row))


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
    axes = dict(enumerate(row.leaf.axes))
    cure = f"jinit.init(model, key, rules), which reads the axes from the computation: {axes}"
    return Finding("misscaled", cause, cure)
