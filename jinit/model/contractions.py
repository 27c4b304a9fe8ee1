"""Which operations of a graph apply weights to a signal, and what their results reach."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinit.model.graph import CONTRACTING, Graph, Operation
from jinit.model.walk import Site


@dataclass(frozen=True)
class Contraction:
    """A matrix product or convolution of a weight with a signal."""

    position: int
    """Index of the operation in its graph."""
    kernel: int
    """Index of the weight among the graph's inputs (the largest, if it is made of several)."""
    signal: int
    """Which operand of the operation carries the signal: 0 or 1."""
    units: tuple[int, ...]
    """Axes of the result that enumerate units."""
    shape: tuple[int, ...]
    """Shape of the result."""
    follower: int | None
    """Position of the first contraction that takes in what is made of this result, or None."""

    @property
    def width(self) -> int:
        """Number of units."""
        return math.prod(self.shape[axis] for axis in self.units)


def contractions(graph: Graph, uses: Sequence[Site]) -> tuple[Contraction, ...]:
    """Contractions of parameters with a signal in the graph itself, in execution order.

    `uses` are all uses of parameters in it, as `sites` finds them.
    """
    kernels: dict[int, list[int]] = {}
    signals: dict[int, int] = {}
    for site in uses:
        operation = site.graph.operations[site.position]
        if site.graph is graph and operation.primitive.name in CONTRACTING:
            sides = [type(o) is int and site.values[o].signal for o in operation.operands]
            if any(sides):
                kernels.setdefault(site.position, []).append(site.use.leaf)
                signals[site.position] = sides.index(True)
    followers = _followers(graph, frozenset(kernels))
    return tuple(
        Contraction(
            position,
            max(kernels[position], key=lambda leaf: _rank(graph, leaf)),
            signals[position],
            _unit_axes(graph.operations[position], 1 - signals[position]),
            graph.operations[position].shapes[0],
            followers.get(position),
        )
        for position in sorted(kernels)
    )


def _followers(graph: Graph, found: frozenset[int]) -> dict[int, int]:
    """By position, the first of the found operations that takes in what is made of its result."""
    reached: dict[int, frozenset[int]] = {}
    followers: dict[int, int] = {}
    for position, operation in enumerate(graph.operations):
        arriving = frozenset().union(
            *(reached.get(o, ()) for o in operation.operands if type(o) is int)
        )
        if position in found:
            followers |= dict.fromkeys(arriving - followers.keys(), position)
            arriving = frozenset({position})
        reached |= dict.fromkeys(operation.results, arriving)
    return followers


def _rank(graph: Graph, leaf: int) -> tuple[int, int, int]:
    aval = graph.avals[leaf]
    return (aval.ndim, aval.size, -leaf)


def _unit_axes(operation: Operation, weight: int) -> tuple[int, ...]:
    """Axes of the result that come from the weight's own free axes."""
    numbers = operation.params["dimension_numbers"]
    if operation.primitive.name == "conv_general_dilated":
        return (numbers.out_spec[1],)
    (contracted, _), (batch, _) = numbers
    rank = len(operation.shapes[0])
    first_right = len(operation.operand_shapes[0]) - len(contracted)
    return tuple(range(first_right, rank) if weight == 1 else range(len(batch), first_right))
