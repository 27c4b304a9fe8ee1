"""The readers of the sum of two signals: the next layers, a gate, or a normalization."""

import heapq
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, value_numbers
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SUMS, VALUE_PRESERVING
from jinit.model.uses import Scope
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

_SCALES = frozenset({"exp", "log1p"})
"""Operations of positive functions that are used as scales: exponential and softplus."""
_LINEAR = SUMS | PRODUCTS | VALUE_PRESERVING | {"neg"}


def is_carried_on(scope: Scope, value: int) -> bool:
    """Return whether layers read a value, and not only the gate or softmax that it is argument of.

    The value is followed through elementwise operations. It is carried on if it arrives at a
    kernel, at an output of the graph, or at an operation that is not known. It is not carried on
    by a nonlinear function that multiplies another signal, nor by a difference that does, as in an
    interpolation.

    Args:
      scope: the graph.
      value: a sum of two signals.
    """
    is_linear = {value: scope.graph.producers[value].name != "sub"}
    for operation in dependent_operations(scope, is_linear):
        arriving = [is_linear[operand] for operand in _known(operation, is_linear)]
        name, is_product = operation.name, operation.name in PRODUCTS
        if name in CONTRACTION_PRIMITIVES:
            if any(arriving) or not _other_signals(scope, operation, is_linear):
                return True
        elif name not in ELEMENTWISE and name not in AXIS_MOVES and name != "concatenate":
            return True
        elif any(arriving) or not (is_product and _other_signals(scope, operation, is_linear)):
            is_linear |= dict.fromkeys(
                operation.results, any(arriving) and (name in _LINEAR or _keeps_entries(name))
            )
    return any(output in is_linear for output in value_numbers(scope.graph.outputs))


def is_sampled(scope: Scope, value: int) -> bool:
    """Return whether a value is noise or an input, scaled by an exponential of a kernel's result.

    It is then the deviation from a mean, as in the reparameterization `μ + ε exp(s)`, or a part of
    an input that a flow scales, and not the output of a branch.

    Args:
      scope: the graph.
      value: a term of a sum.
    """
    producers = scope.graph.producers
    while value in producers and _keeps_entries(producers[value].name):
        value = producers[value].operands[0]
    if value not in producers or producers[value].name != "mul":
        return False
    factors = value_numbers(producers[value].operands)
    return any(
        _depends_on(scope, scale, _SCALES, ELEMENTWISE | AXIS_MOVES.keys() - REDUCTIONS.keys())
        and not scope.values[noise].weights
        and not _depends_on(scope, noise, CONTRACTION_PRIMITIVES)
        for scale, noise in (factors, factors[::-1])
        if len(factors) == 2
    )


def is_normalized(scope: Scope, value: int) -> bool:
    """Return whether a normalization is all that reads a value, or a sum that continues it.

    Args:
      scope: the graph.
      value: a residual sum.
    """
    kinds, is_found = {value: "raw"}, False
    for operation in dependent_operations(scope, kinds):
        kind = _result_kind(scope, operation, kinds)
        if not kind:
            return False
        if kind == "normalized":
            is_found = True
        else:
            kinds |= dict.fromkeys(operation.results, kind)
    outputs = value_numbers(scope.graph.outputs)
    return is_found and not any(kinds.get(output) for output in outputs)


def _result_kind(scope: Scope, operation: Operation, kinds: Mapping[int, str]) -> str:
    """Return the kind of an operation's result; empty if it reads the sum unnormalized.

    `raw` is the sum, shifted and scaled, `measured` a function of its entries, `statistic` a
    function of means over entries, `normalized` the quotient of the sum and a statistic.
    """
    name, others = operation.name, _other_signals(scope, operation, kinds)
    known = [kinds[operand] for operand in _known(operation, kinds)]
    is_norm = name in CONTRACTION_PRIMITIVES and len(known) == len(operation.operands)
    if name in REDUCTIONS or is_norm:
        return "statistic"
    if name in AXIS_MOVES or name in VALUE_PRESERVING:
        return known[0]
    if name not in ELEMENTWISE:
        return ""
    if others:
        continues = name in SUMS and known == ["raw"] and _is_only_use(scope, operation, kinds)
        return "raw" if continues else ""
    if set(known) == {"raw", "statistic"} and name in PRODUCTS:
        return "normalized"
    if set(known) == {"statistic"}:
        return "statistic"
    is_affine = name in SUMS or (name in PRODUCTS and len(known) == 1)
    return "raw" if "raw" in known and "measured" not in known and is_affine else "measured"


def _depends_on(
    scope: Scope, value: int, names: Collection[str], through: Collection[str] | None = None
) -> bool:
    """Return whether a value is computed by one of some operations.

    Args:
      scope: the graph.
      value: the value.
      names: names of the operations.
      through: names of the operations that may lie in between; None for all.
    """
    waiting, seen = [value], {value}
    while waiting:
        operation = scope.graph.producers.get(waiting.pop())
        if operation is None:
            continue
        if operation.name in names:
            return True
        if through is None or operation.name in through:
            before = set(value_numbers(operation.operands)) - seen
            waiting += before
            seen |= before
    return False


def dependent_operations(scope: Scope, followed: Mapping[int, Any]) -> Iterator[Operation]:
    """Yield the operations that read followed values, in execution order.

    Values that are added to `followed` while iterating are followed as well.
    """
    graph, seen = scope.graph, set[int]()
    waiting = sorted({position for value in followed for position in graph.users.get(value, ())})
    seen.update(waiting)
    while waiting:
        operation = graph.operations[heapq.heappop(waiting)]
        yield operation
        for result in operation.results:
            for position in graph.users.get(result, ()) if result in followed else ():
                if position not in seen:
                    seen.add(position)
                    heapq.heappush(waiting, position)


def _keeps_entries(name: str) -> bool:
    return name in VALUE_PRESERVING or (name in AXIS_MOVES and name not in REDUCTIONS)


def _known(operation: Operation, followed: Mapping[int, Any]) -> list[int]:
    return [operand for operand in value_numbers(operation.operands) if operand in followed]


def _other_signals(scope: Scope, operation: Operation, followed: Mapping[int, Any]) -> list[int]:
    return [
        operand
        for operand in value_numbers(operation.operands)
        if operand not in followed and scope.is_signal(operand)
    ]


def _is_only_use(scope: Scope, operation: Operation, followed: Mapping[int, Any]) -> bool:
    """Return whether the followed operands have no other use."""
    graph = scope.graph
    return all(
        len(graph.users[operand]) + graph.outputs.count(operand) == 1
        for operand in _known(operation, followed)
    )
