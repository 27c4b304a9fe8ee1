"""The verdict on every layer, from measurements and expectations."""

from collections.abc import Callable, Mapping, Sequence

from jinit.diagnostics.judging.chain_faults import (
    find_collapse,
    find_gradient_growth,
    find_recurrent_growth,
    find_signal_growth,
    find_unscaled_branches,
)
from jinit.diagnostics.judging.expectations import Expectation
from jinit.diagnostics.judging.finding import STABLE, Case, Finding
from jinit.diagnostics.judging.layer_faults import (
    find_dead_units,
    find_misscaled_kernel,
    find_overflow,
    find_saturation,
    find_symmetry,
    find_underflow,
    find_wrong_fan,
)
from jinit.diagnostics.judging.layers import LayerRow

_FaultFinder = Callable[[Case, int], Finding | None]
_FAULT_FINDERS: tuple[_FaultFinder, ...] = (
    find_overflow,
    find_underflow,
    find_symmetry,
    find_dead_units,
    find_saturation,
    find_misscaled_kernel,
    find_signal_growth,
    find_gradient_growth,
    find_recurrent_growth,
    find_collapse,
    find_wrong_fan,
)
"""In order of precedence: a fault found early often causes those that later finders look for."""


def findings(
    rows: Sequence[LayerRow],
    expectations: Sequence[Expectation],
    equal_leaves: Mapping[str, str],
    nonfinite_paths: Sequence[str],
) -> tuple[Finding, ...]:
    """Return the most important finding on each layer.

    Args:
      rows: the layers in execution order.
      expectations: one for each layer.
      equal_leaves: path of an earlier, equal parameter, by path.
      nonfinite_paths: paths of parameters with NaN or infinite entries.
    """
    case = Case(rows, expectations, equal_leaves, nonfinite_paths)
    branches = find_unscaled_branches(rows)
    return tuple(
        _first_fault(case, number) or branches.get(number, STABLE) for number in range(len(rows))
    )


def _first_fault(case: Case, number: int) -> Finding | None:
    for find in _FAULT_FINDERS:
        fault = find(case, number)
        if fault is not None:
            return fault
    return None
