"""Faults of loops: signals and gradients that grow or fade through the iterations."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jinit.diagnostics.judging.cures import gain_cause, needed_scale
from jinit.diagnostics.judging.finding import Case, Finding, factor_text, percent_text
from jinit.diagnostics.judging.interval import log_or_infinity, power_law_growth
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    EXPLAINED_SHARE,
    FADED,
    FASTEST_FADING,
    GAIN_TOLERANCE,
    LEAST_GRADIENT,
    MIN_ITERATIONS,
)
from jinit.gains import needed_gate_bias
from jinit.model import Leaf, Place


class Fading(NamedTuple):
    """The gradient that a loop passes back, as root mean squares."""

    iterations: int
    ratio: float
    """Gradient at the second iteration over that at the last; the state of the first may be zero.
    """
    factor: float
    """Factor of the gradient per iteration, over those at which it can be told from zero."""


def loop_rows(rows: Sequence[LayerRow]) -> dict[Place, list[LayerRow]]:
    """Return the layers that each loop applies in all iterations, by the place of the loop."""
    loops: dict[Place, list[LayerRow]] = {}
    for row in rows:
        if row.iteration_sizes is not None:
            loops.setdefault(row.contraction.place[:-1], []).append(row)
    return loops


def find_fading(rows: Sequence[LayerRow]) -> Fading | None:
    """Return how the gradient fades through the iterations of a loop; None if it does not.

    Args:
      rows: the layers of the loop.
    """
    sizes = [row.iteration_sizes.gradient_total for row in rows if row.iteration_sizes is not None]
    total = np.sum(sizes, axis=0)
    if len(total) < 3 or not total[-1] > 0:
        return None
    first = next(n for n in range(1, len(total)) if total[n] > LEAST_GRADIENT * total[-1])
    ratio = math.sqrt(total[1] / total[-1])
    if not ratio < FADED:
        return None
    steps = max(len(total) - 1 - first, 1)
    return Fading(len(total), ratio, float(total[first] / total[-1]) ** (0.5 / steps))


def find_recurrent_growth(case: Case, number: int) -> Finding | None:
    """Find a kernel, shared by all iterations of a loop, that lets signal or gradient explode."""
    row = case.layers[number]
    sizes = row.iteration_sizes
    if sizes is None or len(sizes.second) < MIN_ITERATIONS:
        return None
    count = len(sizes.second)
    first = count // 4  # the state may be initialized with zeros
    steps = count - first
    signal = _log_ratio(sizes.second[-1], sizes.second[first])
    gradient = _log_ratio(sizes.gradient_total[first], sizes.gradient_total[-1])
    limit = power_law_growth(1 + steps)
    if not max(signal, gradient) > limit or math.isinf(max(signal, gradient)):
        return None
    name, growth = ("signal", signal) if signal > limit else ("gradient", gradient)
    worst = _worst_loop_layer(case, row)
    return Finding(
        verdict="exploding",
        cause=f"its {name} becomes {factor_text(growth)} as large in {steps} iterations of its "
        f"loop, {factor_text(growth / steps)} in each: {gain_cause(worst)}",
        cure="recurrent_kernel_init=jinit.orthogonal()",
        source="" if worst is row else worst.path,
    )


def _log_ratio(last: float, first: float) -> float:
    return log_or_infinity(float(last)) - log_or_infinity(float(first))


def _worst_loop_layer(case: Case, row: LayerRow) -> LayerRow:
    """Return the layer of the same loop whose gain is farthest from 1."""
    loop = row.contraction.place[:-1]
    same_loop = [
        layer
        for layer in case.layers
        if layer.contraction.place[:-1] == loop and layer.squared_gain
    ]
    return max(same_loop, key=lambda layer: abs(math.log(layer.squared_gain)), default=row)


def find_recurrent_fading(case: Case, number: int) -> Finding | None:
    """Find a closed forget gate, or a recurrent kernel with a small gain, that forgets the state.

    A gradient that fades more slowly is no fault: it is that of the usual initializations, and a
    recurrence with a short memory learns what needs no longer one.
    """
    row = case.layers[number]
    if row.iteration_sizes is None or len(row.iteration_sizes.second) < MIN_ITERATIONS:
        return None
    loops = loop_rows(case.layers)
    loop = loops[row.contraction.place[:-1]]
    recurrent = [each for each in loop if each.leaf.is_recurrent]
    fading = find_fading(loop)
    if row not in recurrent or fading is None or not fading.factor < FASTEST_FADING:
        return None
    symptom = (
        f"its gradient becomes {fading.factor:.2g} times as large in each of {fading.iterations} "
        "iterations on its way back"
    )
    gate = _closed_gate(case, loop, is_only=len(loops) == 1)
    if gate is not None:
        return _blame_gate(case, gate, symptom) if row is recurrent[0] else None
    worst = min(recurrent, key=_log_gain_error)
    error = -_log_gain_error(worst)
    explained = EXPLAINED_SHARE * -2 * math.log(fading.factor)
    if row is not worst or error < max(GAIN_TOLERANCE, explained):
        return None
    return Finding("vanishing", f"{symptom}: {gain_cause(row)}", _orthogonal_cure(row))


def _closed_gate(case: Case, loop: Sequence[LayerRow], *, is_only: bool) -> Leaf | None:
    """Return the bias of a forget gate of a loop that is more closed than one of bias zero."""
    biases = {row.leaf.bias_path for row in loop}
    for path, leaf in case.parameters.leaves.items():
        gate = needed_gate_bias(leaf)
        if gate is None or gate.size != leaf.shape[-1] or path not in case.parameters.weights:
            continue  # with other gates in one bias, its mean says nothing
        belongs = path in biases or is_only
        if belongs and case.parameters.weights[path].mean + 1 - gate.value < 0:
            return leaf
    return None


def _blame_gate(case: Case, leaf: Leaf, symptom: str) -> Finding:
    gate, mean = needed_gate_bias(leaf), case.parameters.weights[leaf.path].mean
    value = 1.0 if gate is None else gate.value
    kept = 1 / (1 + math.exp(-(mean + 1 - value)))
    return Finding(
        "vanishing",
        f"{symptom}: with biases of mean {mean:.3g} in {leaf.path}, the forget gate keeps only "
        f"{percent_text(round(kept, 3))} of the state",
        f"initialize {leaf.path} with jinit.constant({value:.3g})",
        leaf.path,
    )


def _orthogonal_cure(row: LayerRow) -> str:
    scale = needed_scale(row)
    gain = 1.0 if scale is None else math.sqrt(scale.weights) / row.leaf.weight_factor
    argument = "" if math.isclose(gain, 1, rel_tol=1e-3) else f"{gain:.4g}"
    return f"recurrent_kernel_init=jinit.orthogonal({argument})"


def _log_gain_error(row: LayerRow) -> float:
    """Return ln of the squared gain over the needed one; 0 if either is unknown."""
    scale = needed_scale(row)
    if scale is None or not row.used_squared_gain:
        return 0.0
    return math.log(row.used_squared_gain / scale.weights)
