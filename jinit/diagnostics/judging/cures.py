"""The cause of a kernel that does not fit, as a sentence, and its cure, as a line of code."""

import math
from typing import NamedTuple

from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import MAX_MEAN_SHARE
from jinit.gains import activation_name, wrong_fan_cause
from jinit.model import Activation
from jinit.theory import moments, stable_critical_point

_NAMED_INITIALIZERS = {1.0: "jinit.lecun_normal()", 2.0: "jinit.he_normal()"}
_VARIANCE_TOLERANCE = 1e-3
"""Relative difference below which two variances are equal."""
_ALTERNATIVE = "nn.tanh with kernel_init=jinit.lecun_normal()"


class NeededVariances(NamedTuple):
    """Variances at which signal and gradient keep their size from layer to layer."""

    weights: float
    """σ_w²: variance of the weights times the fan-in."""
    biases: float
    """σ_b²."""


def activation_text(activation: Activation | None) -> str:
    """Return the name of an activation for a message."""
    if activation is None:
        return "what follows"
    return activation_name(activation) or "its activation"


def needed_variances(row: LayerRow) -> NeededVariances | None:
    """Return the critical variances of a layer; None if its activation has no critical point."""
    activation = row.leaf.activation
    if activation is None or not row.has_scalar_activation or activation.is_identity:
        return NeededVariances(1.0, 0.0)
    point = stable_critical_point(activation)
    return None if point is None else NeededVariances(*point)


def kernel_cure(row: LayerRow) -> str:
    """Return the layer arguments that initialize a kernel well."""
    needed = needed_variances(row)
    if needed is None:
        return f"{_ALTERNATIVE} instead of {activation_text(row.leaf.activation)}"
    names = [
        name
        for variance, name in _NAMED_INITIALIZERS.items()
        if abs(needed.weights / variance - 1) < _VARIANCE_TOLERANCE
    ]
    scaled = f'jinit.variance_scaling({needed.weights:.4g}, "fan_in", "truncated_normal")'
    cure = f"kernel_init={names[0] if names else scaled}"
    if not needed.biases:
        return cure
    return f"{cure}, bias_init=jinit.normal({math.sqrt(needed.biases):.3g})"


def _gradient_effect(row: LayerRow) -> str:
    """Return what an activation without a critical point does to the gradient."""
    activation = row.leaf.activation
    grows = activation is not None and moments(activation).chi > 1
    return "makes the gradient grow" if grows else "shrinks the gradient"


def has_large_mean(row: LayerRow) -> bool:
    """Return whether the mean of a kernel outweighs the differences of its weights."""
    return row.weight.mean**2 > MAX_MEAN_SHARE * row.weight.second


def weight_std(row: LayerRow) -> float:
    """Return the standard deviation of a layer's kernel."""
    return math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0))


def gain_cause(row: LayerRow) -> str:
    """Return what is wrong with the scale of a kernel: its mean, its fan-in or its gain."""
    gain, needed = math.sqrt(row.squared_gain), needed_variances(row)
    if has_large_mean(row):
        return (
            f"its weights have mean {row.weight.mean:.3g}, not zero, so all units get nearly "
            "the same sum"
        )
    fan_cause = wrong_fan_cause(row.leaf, weight_std(row))
    if fan_cause:
        return fan_cause
    name = activation_text(row.leaf.activation)
    if needed is None:
        return f"{name} {_gradient_effect(row)} at any gain that keeps the signal"
    purpose = "keeps the signal" if name == "identity" else f"is what {name} needs"
    return (
        f"its gain √(fan_in · mean w²) is {gain:.3g}, where {math.sqrt(needed.weights):.3g} "
        f"{purpose}"
    )
