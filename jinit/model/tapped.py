"""Evaluation of a graph that looks at values on the way, those inside loops included."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax import lax

from jinit.model.enter import Scan
from jinit.model.graph import Graph, Operation

Place = tuple[int, ...]
"""Position of an operation, behind those of the loops that it lies in, outermost first."""
Tap = Callable[[Sequence[Any], Any, Any], tuple[Any, Any]]
"""Of the operands, the result and the probe at a place: the result that the computation goes on
with, and what is to be found there."""


def tapped(
    graph: Graph,
    inputs: Sequence[Any],
    taps: Mapping[Place, Tap],
    probes: Mapping[Place, Any] | None = None,
) -> tuple[list[Any], dict[Place, Any]]:
    """A graph's outputs for flat inputs, and what the taps found, by place.

    Inside a loop a tap is used in every round: its probe and what it finds have an axis more, which
    enumerates rounds. Probes may be differentiated, so that a tap whose derivative is its own can
    hand out what it sees of gradients.
    """
    probes = probes or {}
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants
    found: dict[Place, Any] = {}

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    for position, operation in enumerate(graph.operations):
        operands = [read(operand) for operand in operation.operands]
        inside = _within(taps, position)
        if inside:
            results, seen = _rounds(graph, operation, operands, inside, _within(probes, position))
            found |= {(position, *place): each for place, each in seen.items()}
        else:
            results = operation.bind(operands)
        tap = taps.get((position,))
        if tap:
            seen_here = tap(operands, results[0], probes.get((position,)))
            results[0], found[(position,)] = seen_here
        values.update(zip(operation.results, results, strict=True))
    return [read(output) for output in graph.outputs], found


def _within(each: Mapping[Place, Any], position: int) -> dict[Place, Any]:
    """Those inside the operation at a position, by their place there."""
    return {
        place[1:]: value for place, value in each.items() if len(place) > 1 and place[0] == position
    }


def _rounds(
    graph: Graph,
    operation: Operation,
    operands: list[Any],
    taps: Mapping[Place, Tap],
    probes: dict[Place, Any],
) -> tuple[list[Any], dict[Place, Any]]:
    """The results of a loop over stacked operands, and what is found in its rounds, stacked."""
    scan, params = Scan.of(operation, graph.inside), operation.params
    fixed, first = operands[: scan.fixed], scan.fixed + scan.carried

    def step(carry: list[Any], given: tuple[list[Any], dict[Place, Any]]) -> tuple[Any, Any]:
        stacked, here = given
        outputs, found = tapped(scan.body, [*fixed, *carry, *stacked], taps, here)
        return outputs[: scan.carried], (outputs[scan.carried :], found)

    last, (stacked, found) = lax.scan(
        step,
        operands[scan.fixed : first],
        (operands[first:], probes),
        params["length"],
        params["reverse"],
    )
    return [*last, *stacked], found
