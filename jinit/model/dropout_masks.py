"""Masks of dropout: comparisons of uniform random numbers with a probability."""

from typing import Any

import numpy as np

from jinit.model.graph import Graph
from jinit.model.operation import value_numbers
from jinit.model.primitives import VALUE_PRESERVING
from jinit.model.weight_axes import AXIS_MOVES

_LESS, _GREATER = frozenset({"lt", "le"}), frozenset({"gt", "ge"})


def mask_probability(graph: Graph, value: Any) -> float | None:
    """Return the probability that an entry of a random mask is True; None for any other value.

    Args:
      graph: the computation.
      value: number of the value.
    """
    operation = _unmoved_producer(graph, value)
    if operation is None:
        return None
    if operation.name == "not":
        probability = mask_probability(graph, operation.operands[0])
        return None if probability is None else 1 - probability
    if operation.name not in _LESS | _GREATER:
        return None
    numbers = [_constant(graph, operand) for operand in operation.operands]
    for position, number in enumerate(numbers):
        if (
            number is not None
            and 0 < number < 1
            and _is_random(graph, operation.operands[1 - position])
        ):
            is_below = (operation.name in _LESS) == (position == 1)
            return number if is_below else 1 - number
    return None


def _unmoved_producer(graph: Graph, value: Any) -> Any:
    """Return the operation that computes a value, before moves of its axes and conversions."""
    while isinstance(value, int) and value in graph.producers:
        operation = graph.producers[value]
        if operation.name not in VALUE_PRESERVING and operation.name not in AXIS_MOVES:
            return operation
        value = operation.operands[0]
    return None


def _constant(graph: Graph, operand: Any) -> float | None:
    """Return the number that all entries of an operand have; None if they differ or vary."""
    if not isinstance(operand, int):
        return _same_number(operand.val)
    if operand in graph.constants:
        return _same_number(graph.constants[operand])
    operation = graph.producers.get(operand)
    if operation is None or operation.name not in {"broadcast_in_dim", *VALUE_PRESERVING}:
        return None
    return _constant(graph, operation.operands[0])


def _same_number(value: Any) -> float | None:
    values = np.asarray(value, np.float64)
    return float(values.flat[0]) if values.size and np.ptp(values) == 0 else None


def _is_random(graph: Graph, value: Any) -> bool:
    """Return whether a value is computed from random bits."""
    waiting, seen = [value], set[Any]()
    while waiting:
        value = waiting.pop()
        operation = graph.producers.get(value) if isinstance(value, int) else None
        if value in seen or operation is None:
            continue
        seen.add(value)
        if operation.name == "random_bits":
            return True
        waiting += value_numbers(operation.operands)
    return False
