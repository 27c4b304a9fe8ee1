"""Faults that operations between layers cause: growth and decay of signal or gradient."""

import math
from collections.abc import Mapping, Sequence

from jinit.diagnostics.judging.cures import gain_cause, kernel_cure, needed_variances
from jinit.diagnostics.judging.finding import Finding, factor_text
from jinit.diagnostics.judging.growth import (
    Growth,
    Step,
    find_explosions,
    find_gradient_explosions,
    find_lost_gradients,
)
from jinit.diagnostics.judging.investigation import Culprit, Investigation
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import GAIN_TOLERANCE
from jinit.diagnostics.measuring.every_operation import OperationSizes
from jinit.model import Place

_Sizes = Mapping[Place, OperationSizes]


def find_growth(case: Investigation, judged: Sequence[Finding]) -> dict[int, Finding]:
    """Return a finding for each layer that takes part in a growth or a decay over the network.

    Signals that grow come first, then gradients that grow, then gradients that decay. A layer takes
    part if its kernel, or what lies between it and the next layer, causes it.

    Args:
      case: the network.
      judged: the findings so far, one for each layer.
    """
    for find, explain in (
        (find_explosions, _explain_signal),
        (find_gradient_explosions, _explain_gradient),
        (find_lost_gradients, _explain_decay),
    ):
        steps = _worst_growths(find(case.graph), judged)
        if steps:
            sizes = _record(case, steps)
            return {step.before: explain(case, sizes, step, steps[step]) for step in steps}
    return {}


def _worst_growths(growths: Sequence[Growth], judged: Sequence[Finding]) -> dict[Step, Growth]:
    """Return every step that takes part in a growth, with the largest such growth.

    Steps and growths that other findings explain are left out.
    """
    worst: dict[Step, Growth] = {}
    for growth in sorted(growths, key=lambda each: each.log_growth):
        steps = [step for step in growth.steps if not _is_explained(judged[step.before])]
        if 2 * sum(step.log_growth for step in steps) > growth.log_growth:
            worst |= dict.fromkeys(steps, growth)
    return worst


def _is_explained(finding: Finding) -> bool:
    return finding.verdict != "stable" and not finding.is_between_layers


def _record(case: Investigation, steps: Mapping[Step, Growth]) -> _Sizes:
    """Return the sizes at the operations of the steps, the largest step first."""
    ordered = sorted(steps, key=lambda step: -step.log_growth)
    return case.record(case.operations_before([step.after for step in ordered]))


def _explain_signal(case: Investigation, sizes: _Sizes, step: Step, growth: Growth) -> Finding:
    symptom = (
        f"from {_path(case, growth.first)} to {_path(case, growth.last)} the signal grows to "
        f"{factor_text(growth.log_growth)} its size (healthy: up to {factor_text(growth.limit)})"
    )
    if _is_large(case.graph.rows[step.before], step):
        return _blame_kernel(case, "exploding", symptom, step.before)
    culprit = case.culprit_of_growth(sizes, step.after)
    return Finding("exploding", *_growth_text(case, symptom, culprit, step))


def _explain_gradient(case: Investigation, sizes: _Sizes, step: Step, growth: Growth) -> Finding:
    symptom = (
        f"from {_path(case, growth.last)} back to {_path(case, growth.first)} the gradient grows "
        f"to {factor_text(growth.log_growth)} its size (healthy: up to {factor_text(growth.limit)})"
    )
    if _is_large(case.graph.rows[step.after], step):
        return _blame_kernel(case, "exploding", symptom, step.after)
    culprit = case.culprit_of_gradient(sizes, step.before, step.after, is_decay=False)
    return Finding("exploding", *_growth_text(case, symptom, culprit, step))


def _explain_decay(case: Investigation, sizes: _Sizes, step: Step, growth: Growth) -> Finding:
    symptom = (
        f"from {_path(case, growth.last)} back to {_path(case, growth.first)} the gradient decays "
        f"to {factor_text(-growth.log_growth)} its size (healthy: down to "
        f"{factor_text(-growth.limit)})"
    )
    culprit = case.culprit_of_gradient(sizes, step.before, step.after, is_decay=True)
    factor = math.exp(min(step.log_growth / 2, 700))
    if culprit is None:
        return Finding(
            "vanishing", f"{symptom}: {_between(case, step)}", _repair("multiply", factor)
        )
    cause = f"{symptom}: {case.text(culprit)} makes it {factor_text(-culprit.log_factor)} as large"
    return Finding("vanishing", cause, _repair("multiply", factor))


def _growth_text(
    case: Investigation, symptom: str, culprit: Culprit | None, step: Step
) -> tuple[str, str]:
    """Return the cause and the cure of a step that operations explain."""
    cure = _repair("divide", math.exp(min(step.log_growth / 2, 700)))
    if culprit is None:
        return f"{symptom}: {_between(case, step)}", cure
    text = case.text(culprit._replace(before=step.before, after=step.after))
    return f"{symptom}: {text} makes it {factor_text(culprit.log_factor)} as large", cure


def _between(case: Investigation, step: Step) -> str:
    before, after = _path(case, step.before), _path(case, step.after)
    return f"the operations between {before} and {after} change it most"


def _repair(verb: str, factor: float) -> str:
    return f"{verb} its result by {factor:.3g}, or normalize it: nn.LayerNorm()(h)"


def _is_large(row: LayerRow, step: Step) -> bool:
    """Return whether the gain of a kernel explains more of a growth than all operations do."""
    needed = needed_variances(row)
    if needed is None or not row.squared_gain:
        return False
    error = math.log(row.squared_gain / needed.weights)
    return error > GAIN_TOLERANCE and 2 * error > step.log_growth


def _blame_kernel(case: Investigation, verdict: str, symptom: str, number: int) -> Finding:
    row = case.graph.rows[number]
    return Finding(verdict, f"{symptom}: {row.path}: {gain_cause(row)}", kernel_cure(row))


def _path(case: Investigation, number: int) -> str:
    return case.graph.rows[number].path
