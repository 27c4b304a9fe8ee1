"""Which operations of a graph apply weights to a signal, and what reaches them."""

from dataclasses import dataclass
from typing import Any

from jinit.model.graph import CONTRACTING, Graph, Operation


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
        product = 1
        for axis in self.units:
            product *= self.shape[axis]
        return product


def contractions(graph: Graph, weights: int) -> tuple[Contraction, ...]:
    """Contractions of a weight (a value made of the first `weights` inputs) with a signal."""
    walk = _Walk(graph, weights)
    return tuple(walk.contraction(position) for position in walk.found)


class _Walk:
    """Follows weights, signals and earlier contractions through a graph, in execution order."""

    def __init__(self, graph: Graph, weights: int) -> None:
        self.graph = graph
        names = graph.inputs
        self.made_of = {name: {i} for i, name in enumerate(names[:weights])}
        self.signals = set(names[weights:])
        self.reached: dict[int, set[int]] = {}
        self.found: list[int] = []
        self.follower: dict[int, int] = {}
        for position, operation in enumerate(graph.operations):
            self._visit(position, operation)

    def contraction(self, position: int) -> Contraction:
        operation = self.graph.operations[position]
        signal = 0 if operation.operands[0] in self.signals else 1
        return Contraction(
            position,
            self._largest(self.made_of[operation.operands[1 - signal]]),
            signal,
            _unit_axes(operation, 1 - signal),
            operation.shapes[0],
            self.follower.get(position),
        )

    def _visit(self, position: int, operation: Operation) -> None:
        operands = [o for o in operation.operands if isinstance(o, int)]
        is_signal = any(o in self.signals for o in operands)
        reached = set().union(*(self.reached.get(o, ()) for o in operands))
        if self._applies_weight(operation):
            self.found.append(position)
            for earlier in reached:
                self.follower.setdefault(earlier, position)
            reached = {position}
        made_of = set().union(*(self.made_of.get(o, ()) for o in operands))
        for result in operation.results:
            self.reached[result] = reached
            if is_signal:
                self.signals.add(result)
            elif made_of:
                self.made_of[result] = made_of

    def _applies_weight(self, operation: Operation) -> bool:
        if operation.primitive.name not in CONTRACTING:
            return False
        kinds = [self._kind(operand) for operand in operation.operands]
        return sorted(kinds) == ["signal", "weight"]

    def _kind(self, operand: Any) -> str:
        if not isinstance(operand, int):
            return "constant"
        if operand in self.signals:
            return "signal"
        return "weight" if operand in self.made_of else "constant"

    def _largest(self, leaves: set[int]) -> int:
        def rank(leaf: int) -> tuple[int, int, int]:
            aval = self.graph.avals[leaf]
            return (aval.ndim, aval.size, -leaf)

        return max(leaves, key=rank)


def _unit_axes(operation: Operation, weight: int) -> tuple[int, ...]:
    """Axes of the result that come from the weight's own free axes."""
    numbers = operation.params["dimension_numbers"]
    if operation.primitive.name == "conv_general_dilated":
        return (numbers.out_spec[1],)
    (contracted, _), (batch, _) = numbers
    rank = len(operation.shapes[0])
    first_right = len(operation.operand_shapes[0]) - len(contracted)
    return tuple(range(first_right, rank) if weight == 1 else range(len(batch), first_right))
