"""Parameters that are added to a signal: biases and position tables."""

import math
from collections.abc import Mapping
from typing import Any

from jinit.model.graph import Graph
from jinit.model.known_values import KnownValue
from jinit.model.operation import Operation, value_numbers
from jinit.model.primitives import PRODUCTS, VALUE_PRESERVING
from jinit.model.roles import Use
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS, TrackedWeight

_ROOTS = frozenset({"rsqrt", "sqrt"})


def addition_use(
    graph: Graph,
    values: Mapping[int, KnownValue],
    operation: Operation,
    weight: TrackedWeight,
    kernel: Use | None,
) -> Use:
    """Return the use of a parameter that is added to a signal.

    It is a bias if it has one axis, one entry for each output of the kernel whose product it is
    added to, or the axes of the normalization before it; otherwise a position table.

    Args:
      graph: the computation.
      values: what is known of its values.
      operation: the sum.
      weight: the parameter.
      kernel: the use of the kernel whose product it is added to, if there is one.
    """
    sizes = weight.sizes
    is_bias = (
        len(sizes) < 2
        or (kernel is not None and kernel.output_count == math.prod(sizes))
        or any(
            _is_normalized_along(graph, values, operand, sizes)
            for operand in value_numbers(operation.operands)
            if values[operand].is_signal
        )
    )
    if is_bias:
        return Use.elementwise(weight, "bias", kernel and kernel.fan_in)
    return Use.elementwise(weight, "position")


def _is_normalized_along(
    graph: Graph, values: Mapping[int, KnownValue], value: Any, sizes: tuple[int, ...]
) -> bool:
    """Return whether a signal is the result of a normalization over axes of these sizes.

    The signal is followed back through products and changes of axes, to a scale with the same
    sizes, or to the root of a variance that is the same along these axes.
    """
    operation = graph.producers.get(value) if isinstance(value, int) else None
    if operation is None or not values[value].is_signal:
        return isinstance(value, int) and _has_sizes(values[value], sizes)
    if operation.name in _ROOTS:
        return _entries(operation) * math.prod(sizes) <= _largest(graph, operation)
    is_move = operation.name in AXIS_MOVES and operation.name not in REDUCTIONS
    if not is_move and operation.name not in PRODUCTS | VALUE_PRESERVING:
        return False
    before = value_numbers(operation.operands)
    return any(_is_normalized_along(graph, values, each, sizes) for each in before)


def _has_sizes(value: KnownValue, sizes: tuple[int, ...]) -> bool:
    """Return whether a parameter in a value has axes of these sizes."""
    return any(weight.sizes == sizes for weight in value.weights)


def _entries(operation: Operation) -> int:
    return math.prod(operation.shapes[0])


def _largest(graph: Graph, operation: Operation) -> int:
    """Return the number of entries of the largest value that reads the operation's result."""
    waiting, largest = list(operation.results), 0
    while waiting:
        for position in graph.users.get(waiting.pop(), ()):
            user = graph.operations[position]
            largest = max(largest, _entries(user))
            if user.name in AXIS_MOVES and user.name not in REDUCTIONS:
                waiting += user.results
    return largest
