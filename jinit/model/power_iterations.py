"""Products of a parameter with a constant that become a factor of the parameter itself."""

from collections import deque
from collections.abc import Mapping, Set

from jinit.model.graph import Graph
from jinit.model.known_values import KnownValue
from jinit.model.operation import Operation, value_numbers
from jinit.model.primitives import PRODUCTS, VALUE_PRESERVING
from jinit.model.weight_axes import AXIS_MOVES

_MAX_STEPS = 256
"""Largest number of operations that are searched for the end of a power iteration."""


def divides_parameter(
    graph: Graph, known: Mapping[int, KnownValue], operation: Operation, leaves: Set[int]
) -> bool:
    """Return whether a parameter is later multiplied or divided by a function of this product.

    Power iterations from a constant are such products, for spectral normalization; a layer that is
    applied to a constant input is not.

    Args:
      graph: the computation.
      known: what is known of its values before the operation.
      operation: the product of the parameter with a constant.
      leaves: indices of the parameter, or of several in one kernel.
    """
    reached = set(operation.results)
    waiting = deque(graph.users.get(operation.results[0], ()))
    for _ in range(_MAX_STEPS):
        if not waiting:
            return False
        after = graph.operations[waiting.popleft()]
        others = [value for value in value_numbers(after.operands) if value not in reached]
        if after.name in PRODUCTS and any(_holds(graph, known, v, leaves) for v in others):
            return True
        fresh = set(after.results) - reached
        reached |= fresh
        waiting.extend(sorted({user for result in fresh for user in graph.users.get(result, ())}))
    return False


def _holds(graph: Graph, known: Mapping[int, KnownValue], value: int, leaves: Set[int]) -> bool:
    """Return whether a value is one of these parameters, cast or moved."""
    while value not in known and value in graph.producers:
        operation = graph.producers[value]
        operands = value_numbers(operation.operands)
        if not operands or not (operation.name in AXIS_MOVES or operation.name in VALUE_PRESERVING):
            return False
        value = operands[0]
    return value in known and any(weight.leaf in leaves for weight in known[value].weights)
