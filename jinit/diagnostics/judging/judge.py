"""The verdict on every layer, from measurements and expectations."""

from collections.abc import Callable

from jinit.diagnostics.judging.branch_faults import find_unscaled_branches
from jinit.diagnostics.judging.chain_faults import (
    find_collapse,
    find_gradient_growth,
    find_signal_growth,
)
from jinit.diagnostics.judging.dead_faults import find_dead_kernel, find_dead_units
from jinit.diagnostics.judging.finding import STABLE, Case, Finding
from jinit.diagnostics.judging.layer_faults import (
    find_misscaled_kernel,
    find_overflow,
    find_saturation,
    find_symmetry,
    find_underflow,
    find_wrong_fan,
)
from jinit.diagnostics.judging.recurrent_faults import (
    find_recurrent_fading,
    find_recurrent_growth,
)

_FaultFinder = Callable[[Case, int], Finding | None]
_FAULT_FINDERS: tuple[_FaultFinder, ...] = (
    find_overflow,
    find_underflow,
    find_symmetry,
    find_dead_units,
    find_saturation,
    find_dead_kernel,
    find_misscaled_kernel,
    find_signal_growth,
    find_gradient_growth,
    find_recurrent_growth,
    find_recurrent_fading,
    find_collapse,
    find_wrong_fan,
)
"""In order of precedence: a fault found early often causes those that later finders look for."""


def findings(case: Case) -> list[Finding]:
    """Return the most important finding on each layer."""
    branches = find_unscaled_branches(case.layers)
    return [
        _first_fault(case, number) or branches.get(number, STABLE)
        for number in range(len(case.layers))
    ]


def _first_fault(case: Case, number: int) -> Finding | None:
    for find in _FAULT_FINDERS:
        fault = find(case, number)
        if fault is not None:
            return fault
    return None
