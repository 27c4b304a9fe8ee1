"""Where a residual branch is added to its stream, as places of the whole computation."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinit.model.branches import branches_of
from jinit.model.graph import Graph
from jinit.model.tapped import Place
from jinit.model.walk import Site


@dataclass(frozen=True)
class Residual:
    """One sum of a stream and what a branch makes of it."""

    place: Place
    stream: int
    """Which operand is the stream: 0 or 1."""
    rounds: tuple[int, ...] = ()
    """How often the loops go round that it lies in."""


def residuals(graph: Graph, uses: Sequence[Site]) -> tuple[Residual, ...]:
    """Residual sums in the graph itself and in loops over stacked operands, in execution order.

    `uses` are all uses of parameters in it, as `sites` finds them.
    """
    found = []
    for outer, site in {site.outer: site for site in uses}.items():
        rounds = graph.rounds(outer)
        if rounds is None:
            continue
        streams = branches_of(site.graph, site.values).streams
        for position, operation in enumerate(site.graph.operations):
            if operation.results and operation.results[0] in streams:
                stream = operation.operands.index(streams[operation.results[0]])
                found.append(Residual((*outer, position), stream, rounds))
    return tuple(sorted(found, key=lambda each: each.place))
