"""What makes two slices the same program."""

from collections.abc import Sequence
from typing import Any

from jinit.model import Graph
from jinit.rules.slices import Slice


def names(parts: Sequence[Slice]) -> list[str]:
    """Equal for slices that compute the same from their inputs and numbers, in any process.

    Slices of one trace that do the same steps share them, so that few have to be spelled out.
    """
    known: dict[Any, str] = {}
    found = []
    for part in parts:
        steps = _steps(part.graph)
        if steps not in known:
            known[steps] = f"{part.graph.fingerprint} {_stored(part.graph)}"
        found.append(known[steps])
    return found


def _stored(graph: Graph) -> str:
    """Which results are rounded, in order."""
    results = (result for operation in graph.operations for result in operation.results)
    return "".join("01"[result in graph.stored] for result in results)


def _steps(graph: Graph) -> Any:
    """The operations with what identifies their settings within one trace."""
    number: dict[int, int] = {}

    def place(operand: Any) -> Any:
        if isinstance(operand, int):
            return number.setdefault(operand, len(number))
        return repr(operand.val), str(operand.aval)

    steps = [tuple(map(place, graph.inputs)), tuple(map(str, graph.avals))]
    for operation in graph.operations:
        settings = (_setting(value) for value in operation.params.values())
        operands = *map(place, operation.operands), *map(place, operation.results)
        steps += [operation.primitive.name, *settings, operands, operation.shapes]
    constants = ((place(name), id(value)) for name, value in graph.constants.items())
    return (*steps, *constants, *map(place, graph.outputs), _stored(graph))


def _setting(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
