"""Faults that no single layer or chain shows: what lies between any layers of the network."""

import math
from collections.abc import Sequence
from dataclasses import replace

from jinit.diagnostics.judging.between_layers import find_growth
from jinit.diagnostics.judging.broken_numbers import OVERFLOW_CURE, find_broken_numbers
from jinit.diagnostics.judging.finding import STABLE, Finding
from jinit.diagnostics.judging.investigation import Investigation
from jinit.diagnostics.judging.lost_signal import find_lost_signals
from jinit.diagnostics.judging.stopped_gradient import find_stopped_gradients


def find_between_layers(
    case: Investigation, judged: Sequence[Finding], loss: float
) -> dict[int, Finding]:
    """Return the findings on operations between layers, by number of the layer that shows them.

    The network runs again only if something is wrong that the findings so far do not explain.

    Args:
      case: the network.
      judged: the findings so far, one for each layer.
      loss: value of the loss.
    """
    if any(row.weight.nonfinite for row in case.graph.rows):
        return {}
    if _has_broken_numbers(case, loss):
        return _find_broken(case, judged, loss)
    found = find_growth(case, judged)
    lost = find_lost_signals(case, judged)
    stopped = find_stopped_gradients(case, {**dict(enumerate(judged)), **found, **lost})
    return found | stopped | lost


def _has_broken_numbers(case: Investigation, loss: float) -> bool:
    return not math.isfinite(loss) or any(
        row.statistics.preactivation.nonfinite or row.statistics.gradient.nonfinite
        for row in case.graph.rows
    )


def _find_broken(case: Investigation, judged: Sequence[Finding], loss: float) -> dict[int, Finding]:
    """Return the findings on operations that break the numbers, and on growth before them.

    All other layers that overflow get the first of them as their source.
    """
    others = [STABLE if each.verdict == "overflowing" else each for each in judged]
    growth = find_growth(case, others)
    broken = find_broken_numbers(case, math.isfinite(loss))
    found = growth | broken
    if not found:
        return {}
    path = case.graph.rows[min(found)].path
    if growth:  # it explains numbers that became too large
        found |= {
            number: replace(finding, source=path)
            for number, finding in broken.items()
            if finding.cure == OVERFLOW_CURE and number not in growth
        }
    caused = {
        number: replace(finding, source=path)
        for number, finding in enumerate(judged)
        if finding.verdict == "overflowing"
    }
    return caused | found
