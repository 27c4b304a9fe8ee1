"""What makes two slices the same program."""

from typing import Any

from jinit.model import Graph


def name_of_program(graph: Graph) -> str:
    """Equal for graphs that compute the same from their inputs, in any process."""
    return f"{graph.fingerprint} {_stored(graph)}"


def steps(graph: Graph) -> Any:
    """Equal for graphs of one trace that do the same; quicker than spelling them out."""
    number: dict[int, int] = {}

    def place(operand: Any) -> Any:
        if isinstance(operand, int):
            return number.setdefault(operand, len(number))
        return repr(operand.val), str(operand.aval)

    found = [tuple(map(place, graph.inputs)), tuple(map(str, graph.avals))]
    for operation in graph.operations:
        settings = (_setting(value) for value in operation.params.values())
        operands = *map(place, operation.operands), *map(place, operation.results)
        found += [operation.primitive.name, *settings, operands, operation.shapes]
    constants = ((place(name), id(value)) for name, value in graph.constants.items())
    return (*found, *constants, *map(place, graph.outputs), _stored(graph))


def _stored(graph: Graph) -> str:
    """Which results are rounded, in order."""
    results = (result for operation in graph.operations for result in operation.results)
    return "".join("01"[result in graph.stored] for result in results)


def _setting(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
