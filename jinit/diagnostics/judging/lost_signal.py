"""The operations that make a signal zero for every example, such as a factor of zero."""

from collections.abc import Mapping, Sequence

import numpy as np

from jinit.diagnostics.judging.finding import Finding
from jinit.diagnostics.judging.investigation import Culprit, Investigation
from jinit.diagnostics.measuring.every_operation import OperationSizes, Size
from jinit.model import Place

_CLIPPING = ("max", "min", "clamp", "custom_jvp_call", "custom_vjp_call", "select_n")
"""Operations whose zeros depend on the pre-activations, so that the layer before is at fault."""
_MAKING_ZEROS = ("convert_element_type", "round", "floor", "mul", "dot_general")
"""Operations that make zeros of numbers that are not: rounding, and products with a constant zero.
They are at fault where units seem dead."""


def find_lost_signals(case: Investigation, judged: Sequence[Finding]) -> dict[int, Finding]:
    """Return a finding for each layer after which an operation makes the signal zero.

    Args:
      case: the network.
      judged: the findings so far, one for each layer; units that are dead explain zeros.
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
        if place is None or case.flow.operation(place).name in _CLIPPING:
            continue
        is_dead = judged[before[-1]].verdict == "dead"
        if not is_dead or case.flow.operation(place).name in _MAKING_ZEROS:
            cause = f"{case.text(Culprit(place, before[-1], number))} is zero for every example"
            cure = f"leave out {case.namer.text(place)}, or keep the signal away from its zeros"
            found[before[-1]] = Finding("dead", cause, cure)
    return found


def _first_zero(case: Investigation, sizes: Mapping[Place, OperationSizes]) -> Place | None:
    """Return the first operation with a result of zeros and no operand of zeros.

    An operation that makes integers of numbers stands for the one that makes numbers of them again.
    Constants of zero, as in `jnp.where(h > 0, h, 0)`, have no operands.
    """
    for place in sizes:
        if place in case.flow.layers or not _is_zero(sizes[place].result):
            continue
        before = [each for each in case.flow.operand_places(place) if each in sizes]
        if before and not any(_is_zero(sizes[each].result) for each in before):
            integers = [each for each in before if sizes[each].result is None]
            return integers[0] if integers else place
    return None


def _is_zero(size: Size | None) -> bool:
    return size is not None and bool(np.all(np.asarray(size.largest) == 0))
