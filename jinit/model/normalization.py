"""Scales and biases of normalizations, found by what they are applied to."""

from collections.abc import Mapping
from typing import Any

from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, value_numbers
from jinit.model.primitives import PRODUCTS, VALUE_PRESERVING
from jinit.model.uses import Scope, Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

_ROOTS = frozenset({"rsqrt", "sqrt", "pow", "integer_pow"})


def follows_normalization(site: Site, residual_streams: Mapping[int, int]) -> bool:
    """Return whether a use is the scale or the bias of a normalization.

    Such a parameter is the first scale, or the first term after at most one scale, of a signal that
    is divided by the root of a sum over it. A parameter that is changed first, as in
    `1 + scale`, is not one.

    Args:
      site: the use of the parameter.
      residual_streams: those of the graph's residual sums, at which the search ends.
    """
    scope, operation = site.scope, site.operation
    if site.use.role not in ("scale", "bias") or not _is_plain(operation, scope):
        return False
    names = _names_before(operation, scope, residual_streams, scales=site.use.role == "bias")
    return "reduce_sum" in names and bool(_ROOTS & names)


def _is_plain(operation: Operation, scope: Scope) -> bool:
    """Return whether the parameter in an operation is itself, up to casts and moves of its axes."""
    (value, *_) = [
        operand for operand in value_numbers(operation.operands) if scope.values[operand].weights
    ] or [None]
    while value is not None and value not in scope.graph.inputs:
        before = scope.graph.producers.get(value)
        if before is None or not _keeps_entries(before.name):
            return False
        value = before.operands[0]
    return value is not None


def _keeps_entries(name: str) -> bool:
    return name in VALUE_PRESERVING or (name in AXIS_MOVES and name not in REDUCTIONS)


def _names_before(
    operation: Operation, scope: Scope, residual_streams: Mapping[int, int], scales: bool
) -> set[str]:
    """Return the names of the operations that a parameter's signal comes from.

    The search ends at kernels, residual sums and other parameters; with `scales`, it continues
    before one scale.
    """
    names: set[str] = set()
    waiting: list[tuple[Any, bool]] = [(operand, scales) for operand in operation.operands]
    seen: set[Any] = set()
    while waiting:
        value, may_pass = waiting.pop()
        before = scope.graph.producers.get(value) if isinstance(value, int) else None
        if before is None or value in seen or value in residual_streams:
            continue
        if not scope.is_signal(value) or before.primitive.name in CONTRACTION_PRIMITIVES:
            continue
        seen.add(value)
        has_parameter = any(
            scope.values[operand].weights for operand in value_numbers(before.operands)
        )
        if has_parameter and not (may_pass and before.name in PRODUCTS):
            continue
        names.add(before.name)
        waiting += [(operand, may_pass and not has_parameter) for operand in before.operands]
    return names
