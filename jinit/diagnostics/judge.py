"""From measurements and expectations to a verdict for every layer, its cause and its cure."""

from collections.abc import Callable, Mapping, Sequence

from jinit.diagnostics.chain_faults import backward, collapse, forward, recurrence, unscaled
from jinit.diagnostics.expect import Expectation
from jinit.diagnostics.finding import STABLE, Case, Finding
from jinit.diagnostics.layer_faults import (
    dead,
    fans,
    local,
    overflow,
    saturation,
    symmetry,
    underflow,
)
from jinit.diagnostics.rows import Row

Look = Callable[[Case, int], Finding | None]
_LOOKS: tuple[Look, ...] = (
    *(overflow, underflow, symmetry, dead, saturation, local, forward, backward),
    *(recurrence, collapse, fans),
)


def findings(
    rows: Sequence[Row],
    expected: Sequence[Expectation],
    twins: Mapping[str, str],
    broken: Sequence[str],
) -> tuple[Finding, ...]:
    """The first thing that is wrong with each layer, the worst first."""
    case = Case(rows, expected, twins, broken)
    branches = unscaled(rows)
    found = []
    for number in range(len(rows)):
        each = next(filter(None, (look(case, number) for look in _LOOKS)), STABLE)
        found.append(branches.get(number, each) if each is STABLE else each)
    return tuple(found)
