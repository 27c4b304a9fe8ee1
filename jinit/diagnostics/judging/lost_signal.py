"""The operations that make a signal zero for every example, such as a factor of zero."""

from collections.abc import Mapping

import numpy as np

from jinit.diagnostics.judging.finding import Finding
from jinit.diagnostics.judging.investigation import Culprit, Investigation
from jinit.diagnostics.measuring.every_operation import OperationSizes, Size
from jinit.model import Place

_CLIPPING = ("max", "min", "clamp", "custom_jvp_call", "custom_vjp_call", "select_n")
"""Operations whose zeros depend on the pre-activations, so that the layer before is at fault."""


def find_lost_signals(case: Investigation) -> dict[int, Finding]:
    """Return a finding for each layer after which an operation makes the signal zero.

    Args:
      case: the network.
    """
    rows, feeds = case.graph.rows, case.graph.feeds
    found: dict[int, Finding] = {}
    for number in feeds.order:
        before = feeds.suppliers[number].layers
        is_lost = rows[number].statistics.input.second == 0
        if not before or not is_lost or not all(map(case.graph.is_live, before)):
            continue
        sizes = case.record(case.operations_before([number]))
        place = _first_zero(case, sizes)
        if place is not None and case.flow.operation(place).name not in _CLIPPING:
            cause = f"{case.text(Culprit(place, before[-1], number))} is zero for every example"
            cure = f"leave out {case.namer.text(place)}, or keep the signal away from its zeros"
            found[before[-1]] = Finding("dead", cause, cure)
    return found


def _first_zero(case: Investigation, sizes: Mapping[Place, OperationSizes]) -> Place | None:
    """Return the first operation with a result of zeros and no operand of zeros.

    An operation that makes integers of numbers stands for the one that makes numbers of them again.
    """
    for place in sizes:
        if place in case.flow.layers or not _is_zero(sizes[place].result):
            continue
        before = [each for each in case.flow.operand_places(place) if each in sizes]
        if not any(_is_zero(sizes[each].result) for each in before):
            integers = [each for each in before if sizes[each].result is None]
            return integers[0] if integers else place
    return None


def _is_zero(size: Size | None) -> bool:
    return size is not None and bool(np.all(np.asarray(size.largest) == 0))
