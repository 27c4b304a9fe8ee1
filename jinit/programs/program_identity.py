"""Decide which slices are the same program."""

from collections.abc import Hashable
from typing import Any

from jinit.model import Graph


def program_fingerprint(graph: Graph) -> str:
    """Return text that is equal for graphs with the same computation, in any process."""
    return f"{graph.fingerprint} {_rounding_marks(graph)}"


def graph_structure(graph: Graph) -> Hashable:
    """Return a value that is equal for graphs of one trace with the same computation.

    It is faster to compute than the fingerprint.
    """
    numbers: dict[int, int] = {}

    def number(operand: Any) -> Any:
        if isinstance(operand, int):
            return numbers.setdefault(operand, len(numbers))
        return repr(operand.val), str(operand.aval)

    structure = [tuple(map(number, graph.inputs)), tuple(map(str, graph.avals))]
    for operation in graph.operations:
        settings = (_hashable_setting(value) for value in operation.params.values())
        names = *map(number, operation.operands), *map(number, operation.results)
        structure += [operation.primitive.name, *settings, names, operation.shapes]
    constants = ((number(name), id(value)) for name, value in graph.constants.items())
    return (*structure, *constants, *map(number, graph.outputs), _rounding_marks(graph))


def _rounding_marks(graph: Graph) -> str:
    """Return one digit per result in order: 1 if it is rounded, else 0."""
    results = (result for operation in graph.operations for result in operation.results)
    return "".join("01"[result in graph.stored_values] for result in results)


def _hashable_setting(value: Any) -> Hashable:
    """Return a setting, or its identity if it cannot be hashed."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
