"""Which contraction follows which, inside a graph and from one iteration of a loop to the next."""

from collections.abc import Mapping
from dataclasses import dataclass

from jinit.model.control_flow import Scan
from jinit.model.graph import Graph
from jinit.model.operation import Place, bodies, value_numbers
from jinit.model.uses import Scope


@dataclass(frozen=True)
class Followers:
    """The contractions that follow others, by place."""

    first: dict[Place, Place]
    """The first contraction that depends on the result."""
    next_iteration: dict[Place, Place]
    """The contraction that takes the result in the next iteration of its loop."""
    shared: frozenset[Place]
    """Contractions whose result has several consumers: operations, outputs, or a sum with the
    result of another contraction."""


@dataclass(frozen=True)
class _LocalFollowers:
    """Followers within one graph, by position."""

    first: dict[int, int]
    origins: dict[int, frozenset[int]]
    """Positions of the contractions that each value depends on, with no other in between."""
    shared: set[int]


def find_followers(
    graph: Graph, scopes: Mapping[Place, Scope], contractions: frozenset[Place]
) -> Followers:
    """Return the followers of the contractions of a graph and of its loops.

    Args:
      graph: the computation.
      scopes: the graphs that contain contractions, by the positions that enclose them.
      contractions: the places of the contractions.
    """
    first: dict[Place, Place] = {}
    next_iteration: dict[Place, Place] = {}
    shared: set[Place] = set()
    for outer, scope in scopes.items():
        positions = frozenset(place[-1] for place in contractions if place[:-1] == outer)
        local = _find_local(scope.graph, positions)
        looped = _find_next_iteration(graph, scope, positions, local.origins)
        first |= {(*outer, source): (*outer, target) for source, target in local.first.items()}
        next_iteration |= {(*outer, source): (*outer, target) for source, target in looped.items()}
        shared |= {(*outer, position) for position in local.shared}
    return Followers(first, next_iteration, frozenset(shared))


def _find_local(graph: Graph, contractions: frozenset[int]) -> _LocalFollowers:
    origins: dict[int, frozenset[int]] = {}
    first: dict[int, int] = {}
    shared: set[int] = set()
    for position, operation in enumerate(graph.operations):
        arriving = frozenset().union(
            *(origins.get(operand, ()) for operand in value_numbers(operation.operands))
        )
        if len(arriving) > 1:
            shared |= arriving
        if position in contractions:
            shared |= arriving & first.keys()
            first |= dict.fromkeys(arriving - first.keys(), position)
            arriving = frozenset({position})
        origins |= dict.fromkeys(operation.results, arriving)
    for output in value_numbers(graph.outputs):
        shared |= origins.get(output, frozenset()) & first.keys()
    return _LocalFollowers(first, origins, shared)


def _find_next_iteration(
    graph: Graph,
    scope: Scope,
    contractions: frozenset[int],
    origins: Mapping[int, frozenset[int]],
) -> dict[int, int]:
    """Return which contraction takes the carried result of another, by position in the body."""
    if not scope.place:
        return {}
    for position in scope.place[:-1]:
        graph = graph.flatten_body(next(bodies(graph.operations[position].params)))
    loop, body = graph.operations[scope.place[-1]], scope.graph
    if loop.params.get("reverse"):
        return {}
    scan = Scan.from_operation(loop, graph.flatten_body)
    carried_inputs = body.inputs[scan.constant_count : scan.constant_count + scan.carry_count]
    takers = {
        operand: position
        for position in sorted(contractions, reverse=True)
        for operand in value_numbers(body.operations[position].operands)
    }
    return {
        source: takers[before]
        for before, after in zip(carried_inputs, body.outputs, strict=False)
        for source in (origins.get(after, ()) if isinstance(after, int) else ())
        if before in takers
    }
