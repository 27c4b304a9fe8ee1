"""The cause of a kernel that does not fit, as a sentence, and its cure, as a line of code."""

import math
from typing import Any

import jax.numpy as jnp

from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    MAX_MEAN_SHARE,
    MIN_KERNEL_ENTRIES,
    UNDERFLOW_RMS_RATIO,
)
from jinit.gains import NeededScale, activation_text, needed, shape_fan_in, wrong_fan_cause
from jinit.model import Leaf
from jinit.theory import moments

_NAMED_INITIALIZERS = {1.0: "jinit.lecun_normal()", 2.0: "jinit.he_normal()"}
_VARIANCE_TOLERANCE = 1e-3
"""Relative difference below which two variances are equal."""
_MISSING_BIASES = 0.25
"""Share of the needed variance of biases below which they count as missing."""


def layer_name(row: LayerRow) -> str:
    """Return the name of the activation that follows a layer, for a message."""
    activation = row.leaf.activation
    return activation_text(None if activation is None else activation.unscaled)


def needed_scale(row: LayerRow) -> NeededScale | None:
    """Return the scale that a layer needs; None if no scale keeps signal and gradient."""
    scale = needed(row.leaf)
    return scale if scale is None or scale.is_stable else None


def kernel_cure(row: LayerRow) -> str:
    """Return the layer arguments that initialize a kernel well."""
    leaf, scale = row.leaf, needed_scale(row)
    if scale is None:
        initializer = initializer_text(leaf, 1 / leaf.weight_factor**2)
        return f"nn.tanh with kernel_init={initializer} instead of {layer_name(row)}"
    if leaf.normalized_by:
        return _carrier_cure(row, scale)
    cure = f"kernel_init={initializer_text(leaf, scale.weights / leaf.weight_factor**2)}"
    if not scale.biases:
        return cure
    return f"{cure}, bias_init=jinit.normal({math.sqrt(scale.biases):.3g})"


def size_cure(row: LayerRow) -> str:
    """Return the cure of what follows a layer and is too large or too small.

    A normalization removes the scale of the kernel before it: its own scale sets the size.
    """
    if row.is_normalized and row.leaf.rescaled_by:
        return f"initialize {row.leaf.rescaled_by} with jinit.ones"
    return kernel_cure(row)


def initializer_text(leaf: Leaf, variance: float) -> str:
    """Return the code of an initializer of a kernel.

    An initializer reads the fan-in off the shape. Where this is not the number of products that are
    summed, as in a transposed kernel, the code states the standard deviation.

    Args:
      leaf: the kernel.
      variance: variance of its entries times its fan-in.
    """
    fan_in = leaf.fan_in
    if fan_in and fan_in != shape_fan_in(leaf.shape):
        return f"jinit.normal({math.sqrt(variance / fan_in):.4g})"
    for known, name in _NAMED_INITIALIZERS.items():
        if abs(variance / known - 1) < _VARIANCE_TOLERANCE:
            return name
    return f'jinit.variance_scaling({variance:.4g}, "fan_in", "truncated_normal")'


def _carrier_cure(row: LayerRow, scale: NeededScale) -> str:
    """Return the cure of a kernel whose own scale a normalization removes."""
    leaf = row.leaf
    if not leaf.normalized_rms or not leaf.fan_in:
        factor = math.sqrt(scale.weights / row.squared_gain) if row.squared_gain else 1.0
        return f"multiply the result of {leaf.path} by {factor:.4g}: its kernel is normalized"
    value = math.sqrt(scale.weights / leaf.fan_in) / leaf.normalized_rms
    if leaf.scale_path:
        return f"jinit.constant({value:.4g}) for {leaf.scale_path}, which scales this kernel"
    return f"multiply the normalized kernel by {value:.4g}: it has no scale of its own"


def _gradient_effect(row: LayerRow) -> str:
    """Return what an activation without a critical point does to the gradient."""
    activation = row.leaf.activation
    grows = activation is not None and moments(activation.unscaled).chi > 1
    return "makes the gradient grow" if grows else "shrinks the gradient"


def has_large_mean(row: LayerRow) -> bool:
    """Return whether the mean of a kernel outweighs the differences of its weights."""
    if math.prod(row.leaf.shape) < MIN_KERNEL_ENTRIES:
        return False
    return row.weight.mean**2 > MAX_MEAN_SHARE * row.weight.second


def weight_std(row: LayerRow) -> float:
    """Return the standard deviation of a layer's kernel."""
    return math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0))


def missing_biases(row: LayerRow) -> float:
    """Return the variance of the biases that a layer needs and lacks, over that of its results."""
    scale = needed_scale(row)
    if scale is None or row.statistics.bias_second > _MISSING_BIASES * scale.biases:
        return 0.0
    second = row.statistics.preactivation.second
    return min(scale.biases / second, 1.0) if second > 0 else 1.0


def _purpose(row: LayerRow, name: str) -> str:
    """Return what the needed gain of a kernel does, as a verb phrase."""
    if row.log_small_start < 0:
        return f"is what the first of {row.leaf.chain_length} layers of {name} needs"
    return "keeps the signal" if name == "identity" else f"is what {name} needs"


def gain_cause(row: LayerRow) -> str:
    """Return what is wrong with the scale of a kernel: its mean, its fan-in or its gain."""
    gain, scale = math.sqrt(row.used_squared_gain), needed_scale(row)
    if has_large_mean(row):
        return (
            f"its weights have mean {row.weight.mean:.3g}, not zero, so all units get nearly "
            "the same sum"
        )
    fan_cause = wrong_fan_cause(row.leaf, weight_std(row))
    if fan_cause:
        return fan_cause
    name = layer_name(row)
    if scale is None:
        return f"{name} {_gradient_effect(row)} at any gain that keeps the signal"
    purpose = _purpose(row, name)
    cause = (
        f"its gain √(fan_in · mean w²) is {gain:.3g}, where {math.sqrt(scale.weights):.3g} "
        f"{purpose}"
    )
    if missing_biases(row):
        biases = math.sqrt(row.statistics.bias_second)
        cause += (
            f", with biases of standard deviation {math.sqrt(scale.biases):.2g} instead of "
            f"{biases:.2g}"
        )
    return cause


def underflow_cure(dtype: Any, size: float) -> str:
    """Return the cure of gradients of some size that a dtype of few exponents loses."""
    limits = jnp.finfo(dtype)
    exponent = math.ceil(math.log2(2 * UNDERFLOW_RMS_RATIO * float(limits.tiny) / size))
    factor = 2 ** min(exponent, math.floor(math.log2(float(limits.max))))  # a number of that dtype
    return f"dtype=jnp.bfloat16, or multiply the loss by {factor:d} and divide the gradient by it"
