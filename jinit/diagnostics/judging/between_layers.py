"""Faults that operations between layers cause: growth and decay of signal or gradient."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from jinit.diagnostics.judging.cures import (
    gain_cause,
    has_large_mean,
    kernel_cure,
    needed_scale,
)
from jinit.diagnostics.judging.finding import Finding, factor_text
from jinit.diagnostics.judging.growth import (
    Growth,
    Step,
    find_explosions,
    find_gradient_explosions,
    find_lost_gradients,
)
from jinit.diagnostics.judging.investigation import Culprit, Investigation
from jinit.diagnostics.judging.layer_graph import LayerGraph
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import EXPLAINED_SHARE, GAIN_TOLERANCE
from jinit.diagnostics.measuring.every_operation import OperationSizes
from jinit.model import Place

_Sizes = Mapping[Place, OperationSizes]
_LEAST_SQUARED_GAIN = 0.25
"""Squared gain below which no kernel needs to be because of its activation alone."""


class _Kind(NamedTuple):
    """One kind of growth over a network, and its words."""

    find: Callable[[LayerGraph], list[Growth]]
    culprit: Callable[[Investigation, _Sizes, Step], Culprit | None]
    verdict: str
    change: str
    """Verb phrase of the signal or the gradient."""
    repair: str
    """Repair after the operation: a factor, and the name of the operation."""

    @property
    def is_decay(self) -> bool:
        """Whether sizes decay instead of growing."""
        return self.verdict == "vanishing"

    def factor_text(self, log_growth: float) -> str:
        """Return the factor of a growth or a decay."""
        return factor_text(-log_growth if self.is_decay else log_growth)


def _signal_culprit(case: Investigation, sizes: _Sizes, step: Step) -> Culprit | None:
    return case.culprit_of_growth(sizes, step.after)


def _gradient_culprit(case: Investigation, sizes: _Sizes, step: Step) -> Culprit | None:
    return case.culprit_of_gradient(sizes, step.before, step.after, is_decay=False)


def _decay_culprit(case: Investigation, sizes: _Sizes, step: Step) -> Culprit | None:
    return case.culprit_of_gradient(sizes, step.before, step.after, is_decay=True)


_KINDS = (
    _Kind(
        find_explosions,
        _signal_culprit,
        "exploding",
        "the signal grows",
        "divide by {:.3g} after {}",
    ),
    _Kind(
        find_gradient_explosions,
        _gradient_culprit,
        "exploding",
        "the gradient grows on its way back",
        "divide by {:.3g} after {}",
    ),
    _Kind(
        find_lost_gradients,
        _decay_culprit,
        "vanishing",
        "the gradient decays on its way back",
        "multiply by {:.3g} after {}",
    ),
)


def find_growth(case: Investigation, judged: Sequence[Finding]) -> dict[int, Finding]:
    """Return a finding for each layer that takes part in a growth or a decay over the network.

    Signals that grow come first, then gradients that grow, then gradients that decay. A layer takes
    part if its kernel, or what lies between it and the next layer, causes it.

    Args:
      case: the network.
      judged: the findings so far, one for each layer.
    """
    for kind in _KINDS:
        steps = _worst_growths(case, kind.find(case.graph), judged)
        if steps:
            found = _explain(case, kind, steps)
            if kind.find is not find_gradient_explosions:
                return found
            chaotic = [number for number in found if _is_in_chaos(case.graph.rows, judged, number)]
            return found | {number: replace(found[number], verdict="chaotic") for number in chaotic}
    return {}


def _is_in_chaos(rows: Sequence[LayerRow], judged: Sequence[Finding], number: int) -> bool:
    """Return whether an earlier layer of the same chain has been found chaotic."""
    before = rows[number].previous_layer
    while before is not None:
        if judged[before].verdict == "chaotic":
            return True
        before = rows[before].previous_layer
    return False


def _worst_growths(
    case: Investigation, growths: Sequence[Growth], judged: Sequence[Finding]
) -> dict[Step, Growth]:
    """Return every step that takes part in a growth, with the largest such growth.

    Growths over a layer with another finding are left out: it explains them.
    """
    ranks = case.graph.ranks
    explained = [ranks[n] for n, finding in enumerate(judged) if _is_explained(finding)]
    worst: dict[Step, Growth] = {}
    for growth in sorted(growths, key=lambda each: each.log_growth):
        first, last = ranks[growth.first], ranks[growth.last]
        if not any(first <= rank < last for rank in explained):
            worst |= dict.fromkeys(growth.steps, growth)
    return worst


def _is_explained(finding: Finding) -> bool:
    is_scale = finding.verdict not in ("stable", "misscaled")
    return is_scale and not finding.is_between_layers


def _explain(case: Investigation, kind: _Kind, steps: Mapping[Step, Growth]) -> dict[int, Finding]:
    """Return the findings on steps that take part in growths."""
    ordered = sorted(steps, key=lambda step: -step.log_growth)
    sizes = case.record(case.operations_before([step.after for step in ordered]))
    culprits = {step: _culprit(case, kind, sizes, step) for step in steps}
    names = {step: _name(case, culprit) for step, culprit in culprits.items()}
    found = {}
    for step, growth in steps.items():
        symptom = _symptom(case, kind, growth)
        kernel = step.before if kind.find is find_explosions else step.after
        if not kind.is_decay and _is_large(case.graph.rows[kernel], step):
            found[step.before] = _blame_kernel(case, kind, symptom, kernel)
            continue
        alike = [each.log_growth for each in steps if names[each] == names[step]]
        factor = math.exp(min(sum(alike) / len(alike) / 2, 700))
        cure = _repair(case, kind, culprits[step], factor)
        cause = f"{symptom}: {_operation_text(case, kind, culprits[step], step)}"
        found[step.before] = Finding(kind.verdict, cause, cure)
    return found


def _repair(case: Investigation, kind: _Kind, culprit: Culprit | None, factor: float) -> str:
    """Return the cure of an operation.

    A product with a scale is repaired by the values of the scale. A constant does not repair a
    product of signals, whose growth is itself a power of its input.
    """
    name = _name(case, culprit)
    path = "" if culprit is None else case.namer.scale_path(culprit.place)
    if path and case.model.leaf(path).role == "scale":
        return _scale_cure(case, path, factor if kind.is_decay else 1 / factor)
    if culprit is not None and not kind.is_decay and case.namer.multiplies_signals(culprit.place):
        return f"normalize after {name}: nn.LayerNorm()(h)"
    return f"{kind.repair.format(factor, name)}, or normalize there: nn.LayerNorm()(h)"


def _scale_cure(case: Investigation, path: str, factor: float) -> str:
    """Return the code that gives a scale another size; a normalization has a scale of 1."""
    if case.model.leaf(path).is_normalization:
        return f"initialize {path} with jinit.ones"
    level = case.graph.input_levels[case.model.paths.index(path)]
    return f"initialize {path} with jinit.constant({math.exp(level / 2) * factor:.3g})"


def _culprit(case: Investigation, kind: _Kind, sizes: _Sizes, step: Step) -> Culprit | None:
    """Return the operation that explains a step, if one does for the most part."""
    culprit = kind.culprit(case, sizes, step)
    if culprit is None or culprit.log_factor < EXPLAINED_SHARE * step.log_growth:
        return None
    return culprit


def _name(case: Investigation, culprit: Culprit | None) -> str:
    return "these operations" if culprit is None else case.name(culprit)


def _symptom(case: Investigation, kind: _Kind, growth: Growth) -> str:
    first, last = (case.graph.rows[each].path for each in (growth.first, growth.last))
    healthy = f"{'down' if kind.is_decay else 'up'} to {kind.factor_text(growth.limit)}"
    return (
        f"{kind.change} to {kind.factor_text(growth.log_growth)} its size between {first} and "
        f"{last} (healthy: {healthy})"
    )


def _operation_text(case: Investigation, kind: _Kind, culprit: Culprit | None, step: Step) -> str:
    """Return what the operation between two layers does."""
    before, after = (case.graph.rows[each].path for each in (step.before, step.after))
    if culprit is None:
        return f"the operations between {before} and {after} change it most"
    text = case.text(culprit._replace(before=step.before, after=step.after))
    return f"{text} makes it {kind.factor_text(culprit.log_factor)} as large"


def _is_large(row: LayerRow, step: Step) -> bool:
    """Return whether a kernel explains more of a growth than all operations do.

    A common mean of its weights adds up over positive inputs, which its gain does not show. Where
    a layer needs a gain far below 1, but for the first one of a chain that makes its signal small,
    the operations after it are to blame, such as a sum over rows.
    """
    if has_large_mean(row):
        return True
    needed = needed_scale(row)
    if needed is None or not row.used_squared_gain:
        return False
    least = 0.0 if row.log_small_start < 0 else _LEAST_SQUARED_GAIN
    error = math.log(row.used_squared_gain / max(needed.weights, least))
    return error > GAIN_TOLERANCE and 2 * error > step.log_growth


def _blame_kernel(case: Investigation, kind: _Kind, symptom: str, number: int) -> Finding:
    row = case.graph.rows[number]
    return Finding(kind.verdict, f"{symptom}: {row.path}: {gain_cause(row)}", kernel_cure(row))
