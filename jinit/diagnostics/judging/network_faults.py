"""Faults of a whole network: its inputs, its targets, its loss, its gradient."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from jinit.diagnostics.judging.cures import gain_cause, kernel_cure, needed_scale
from jinit.diagnostics.judging.finding import Case, Finding
from jinit.diagnostics.judging.input_faults import (
    STANDARDIZE,
    find_input_fault,
    nonfinite_text,
    reading_layer,
)
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    DEVIATIONS,
    EXPLAINED_SHARE,
    LARGE_INPUT_RMS,
    MAX_LOSS_RATIO,
    MAX_TARGET_RATIO,
    MAX_TARGET_RMS,
    MAX_UNEXPLAINED_LOSS_RATIO,
)
from jinit.diagnostics.measuring.batch_facts import ArrayFacts
from jinit.diagnostics.measuring.observe import OutputStatistics

_REGRESSION_LOSS = "mean squared error"


@dataclass(frozen=True)
class NetworkCase:
    """A case, and what is known about the whole network."""

    layers: Case
    loss: float
    loss_name: str
    classes: int
    """Length of the last axis of the first output."""
    outputs: OutputStatistics
    targets: tuple[ArrayFacts, ...]
    unread: int
    """Number of products that were not measured."""
    joined_kernels: tuple[tuple[str, ...], ...] = ()
    """Paths of kernels that were joined and measured as one."""
    complex_kernels: tuple[str, ...] = ()
    """Paths of kernels whose products are complex and were not measured."""

    @property
    def chance(self) -> float:
        """Loss of a uniform guess; infinite unless the loss is a cross-entropy."""
        return math.log(self.classes) if self.loss_name == "cross-entropy" else math.inf

    @property
    def is_finite(self) -> bool:
        """Whether the loss and the results of all layers are finite."""
        rows = self.layers.layers
        return math.isfinite(self.loss) and not any(
            row.statistics.preactivation.nonfinite for row in rows
        )


class NetworkFinding(NamedTuple):
    """A finding that is not about one layer, and the layer where it shows."""

    finding: Finding
    layer: int | None
    """Number of the layer; None in a network without layers."""


def find_network_fault(case: NetworkCase, has_faulty_layer: bool) -> NetworkFinding | None:
    """Find a fault of inputs, targets, loss or gradient; the `source` of the finding says of which.

    Args:
      case: the network.
      has_faulty_layer: whether one of its layers has a fault, which then explains a large loss.
    """
    last = len(case.layers.layers) - 1 if case.layers.layers else None
    inputs = find_input_fault(case.layers, case.is_finite)
    if inputs is not None:
        return NetworkFinding(inputs, reading_layer(case.layers))
    fault = _find_target_fault(case) or _find_lost_gradient(case)
    if fault is not None:
        return NetworkFinding(fault, last)
    if has_faulty_layer:
        return None
    fault = _find_nonfinite_loss(case)
    return _find_large_loss(case, last) if fault is None else NetworkFinding(fault, last)


def _find_target_fault(case: NetworkCase) -> Finding | None:
    """Find targets that are not finite, or of a regression out of scale."""
    for facts in case.targets:
        if facts.nonfinite and not math.isfinite(case.loss):
            cure = "remove these examples: keep those where jnp.isfinite(y) is true"
            return Finding("overflowing", nonfinite_text(facts), cure, "targets")
        if _is_out_of_scale(case, facts):
            cause = (
                f"the targets are too large: {facts.name} has RMS {facts.rms:.3g}, the outputs "
                f"{_output_rms(case):.3g}, so that the loss is {case.loss:.3g}"
            )
            cure = "y = (y - y.mean(0)) / y.std(0).clip(1e-3), with those of the training set"
            return Finding("misscaled", cause, cure, "targets")
    return None


def _is_out_of_scale(case: NetworkCase, facts: ArrayFacts) -> bool:
    is_large = facts.rms > max(MAX_TARGET_RMS, MAX_TARGET_RATIO * _output_rms(case))
    return is_large and (case.loss_name == _REGRESSION_LOSS or case.loss > facts.rms)


def _output_rms(case: NetworkCase) -> float:
    return math.hypot(float(case.outputs.mean), float(case.outputs.std))


def _find_nonfinite_loss(case: NetworkCase) -> Finding | None:
    if math.isfinite(case.loss):
        return None
    cause = f"the loss is {case.loss}, though the results of all layers are finite"
    cure = (
        f"look at {case.loss_name} and at the last operations for log(0), division by zero and "
        "masks without entries: jax.nn.log_softmax(x) instead of jnp.log(jax.nn.softmax(x))"
    )
    return Finding("overflowing", cause, cure, "loss")


def _find_lost_gradient(case: NetworkCase) -> Finding | None:
    """Find a network in which no parameter has a gradient."""
    facts = case.layers.parameters
    if not facts.weights or any(each.gradient_second != 0 for each in facts.weights.values()):
        return None
    if facts.zero_gradients.dead:
        return None  # these have findings of their own
    cause = (
        "no parameter receives a gradient: the loss is constant, or an operation such as argmax, "
        "rounding, a cast to integers, stop_gradient or a factor of zero stops it"
    )
    cure = (
        "compute the loss from the outputs by operations with a derivative: cross-entropy of the "
        "logits instead of the accuracy of their argmax"
    )
    return Finding("vanishing", cause, cure, "loss")


def _find_large_loss(case: NetworkCase, last: int | None) -> NetworkFinding | None:
    """Find a loss far above that of a guess: inputs, gains or an unknown factor are too large."""
    ratio, std = case.loss / case.chance, float(case.outputs.std)
    if not ratio > MAX_LOSS_RATIO:
        return None
    symptom = (
        f"the loss, {case.loss:.3g}, is {ratio:.2g} times that of a uniform guess, because the "
        f"logits have standard deviation {std:.3g}"
    )
    large = [facts for facts in case.layers.inputs if facts.rms > LARGE_INPUT_RMS]
    if large:
        cause = f"{symptom}: the inputs are too large, {large[0].name} has RMS {large[0].rms:.3g}"
        finding = Finding("misscaled", cause, STANDARDIZE, "inputs")
        return NetworkFinding(finding, reading_layer(case.layers))
    finding = _find_large_normalization(case, symptom)
    if finding is not None:
        return NetworkFinding(finding, last)
    worst = _worst_gain(case)
    if worst is not None:
        row = case.layers.layers[worst]
        finding = Finding("misscaled", f"{symptom}: {gain_cause(row)}", kernel_cure(row))
        return NetworkFinding(finding, worst)
    if ratio > MAX_UNEXPLAINED_LOSS_RATIO:
        cause = f"{symptom}: what lies between the last layer and the loss is too large"
        return NetworkFinding(
            Finding("misscaled", cause, f"divide the logits by {std:.2g}", "loss"), last
        )
    return None


def _find_large_normalization(case: NetworkCase, symptom: str) -> Finding | None:
    """Find scales and biases of normalizations that make the signal larger than inputs may be."""
    facts = case.layers.parameters
    sizes = {
        path: math.sqrt(facts.weights[path].second)
        for path, leaf in facts.leaves.items()
        if leaf.is_normalization and path in facts.weights
    }
    path = max(sizes, key=sizes.__getitem__, default="")
    if not path or not sizes[path] > LARGE_INPUT_RMS:
        return None
    name = facts.leaves[path].role
    cause = f"{symptom}: the {name} of a normalization, {path}, has RMS {sizes[path]:.3g}"
    value = "jinit.ones" if name == "scale" else "jinit.zeros"
    return Finding("misscaled", cause, f"initialize {path} with {value}", path)


def _worst_gain(case: NetworkCase) -> int | None:
    """Return the layer with the largest gain error, if such errors explain the large logits."""
    errors = [_log_gain_error(row) for row in case.layers.layers]
    total = sum(max(error, 0.0) for error in errors)
    if not errors or total < EXPLAINED_SHARE * 2 * math.log(float(case.outputs.std)):
        return None
    return errors.index(max(errors))


def _log_gain_error(row: LayerRow) -> float:
    """Return the logarithm of the squared gain over the needed one.

    It is zero where the gain does not change the size of the outputs, because a normalization or a
    softmax follows, and where chance explains it: the mean square of n independent normal numbers
    has a relative standard deviation of √(2/n).
    """
    scale = needed_scale(row)
    is_hidden = row.is_normalized or row.leaf.end == "softmax"
    if scale is None or is_hidden or not row.used_squared_gain:
        return 0.0
    error = math.log(row.used_squared_gain / scale.weights)
    chance = DEVIATIONS * math.sqrt(2 / math.prod(row.leaf.shape))
    return error if abs(error) > chance else 0.0
