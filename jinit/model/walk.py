"""Follows parameters through a computation, into its loops and branches, to every use of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinit.model.enter import entered
from jinit.model.flow import MOVES, REDUCTIONS, Axis, Piece, Weight, merged, moved, stretched
from jinit.model.graph import CONTRACTING, Graph, Operation
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SAME, SUMS
from jinit.model.roles import BATCH, IN, LOOKUP, OUT, Layout, Use, contracted, layout_of
from jinit.model.values import CONSTANT, SIGNAL, Value

_PLACING = frozenset({"concatenate", "dynamic_update_slice", "select_n"})


@dataclass(frozen=True, eq=False)
class Site:
    """Where a use is: an operation of a graph, and what is known of the values there."""

    use: Use
    graph: Graph
    position: int
    values: dict[int, Value]

    @property
    def contracts(self) -> bool:
        """Whether a kernel is applied here, be it one that cannot be read."""
        name = self.graph.operations[self.position].name
        return self.use.kind in ("kernel", "unread") and name in CONTRACTING


def sites(graph: Graph, shapes: Sequence[tuple[int, ...]]) -> tuple[Site, ...]:
    """Every use of a graph's first inputs, the parameters of these shapes, in execution order."""
    walk = _Walk()
    walk.through(
        graph,
        [*map(_whole, range(len(shapes)), shapes), *[SIGNAL] * (len(graph.inputs) - len(shapes))],
    )
    return tuple(walk.sites)


def _whole(number: int, shape: tuple[int, ...]) -> Value:
    pieces = tuple((Piece(axis, size),) for axis, size in enumerate(shape))
    return Value((Weight(number, pieces),))


class _Walk:
    """One pass over a computation; `sites` grows as parameters are met."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self._place: tuple[Graph, int, dict[int, Value]]

    def through(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """What the outputs of a graph are, given what its inputs are."""
        values = dict.fromkeys(graph.constants, CONSTANT)
        values |= zip(graph.inputs, inputs, strict=True)

        def read(operand: Any) -> Value:
            return values[operand] if isinstance(operand, int) else CONSTANT

        for position, operation in enumerate(graph.operations):
            self._place = graph, position, values
            results = self._visit(operation, [read(operand) for operand in operation.operands])
            values.update(zip(operation.results, results, strict=True))
        return [read(output) for output in graph.outputs]

    def probe(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """The same without noting uses."""
        return _Walk().through(graph, inputs)

    def _visit(self, operation: Operation, operands: list[Value]) -> list[Value]:
        name = operation.name
        inside = entered(self, operation, operands)
        if inside is not None:
            return inside
        if name in CONTRACTING:
            return [self._contract(operation, operands)]
        if not any(value.weights for value in operands):
            return _without_weights(operation, operands)
        if operands[0].weights and name in MOVES:
            weights = operands[0].weights
            return [
                Value(tuple(moved(weight, operation, number) for weight in weights))
                for number in range(len(operation.results))
            ]
        if operands[0].weights and name == "gather":
            return [self._gather(operation, operands)]
        if any(value.signal for value in operands):
            return self._meet(operation, operands)
        if name in ELEMENTWISE:
            return [Value(merged(_elementwise(operation, operands)))]
        every = merged(weight for value in operands for weight in value.weights)
        if name != "concatenate":
            every = tuple(weight.mixed() for weight in every)
        return [Value(every)] * len(operation.results)

    def _note(self, use: Use) -> int:
        self.sites.append(Site(use, *self._place))
        return len(self.sites) - 1

    def _contract(self, operation: Operation, operands: list[Value]) -> Value:
        made = [number for number in (0, 1) if operands[number].weights]
        if not made:
            return SIGNAL if any(value.signal for value in operands) else CONSTANT
        number = made[-1]
        layout, other = layout_of(operation, number), operands[1 - number]
        uses = [contracted(weight, layout) for weight in operands[number].weights]
        if len(made) == 2:
            return self._product_of_weights(operation, operands, uses)
        if other.indicator:
            uses = [use.looked_up() for use in uses]
        notes = [self._note(use) for use in uses]
        kernels = [note for note in notes if self.sites[note].use.kind == "kernel"]
        return Value(signal=True, product=max(kernels, key=self._entries, default=None))

    def _entries(self, note: int) -> float:
        use = self.sites[note].use
        return (use.fan_in or 0) * (use.fan_out or 0)

    def _product_of_weights(
        self, operation: Operation, operands: list[Value], uses: list[Use]
    ) -> Value:
        """The right one is applied to the left one, which is on its way still (LoRA's A and B)."""
        left, right = ({weight.leaf for weight in value.weights} for value in operands)
        if operation.name != "dot_general" or left & right:
            every = merged(weight for value in operands for weight in value.weights)
            return Value(tuple(weight.mixed() for weight in every))
        for use in uses:
            self._note(use.aside())
        layout, rank = layout_of(operation, 0), len(operation.shapes[0])
        return Value(tuple(_applied(weight, layout, rank) for weight in operands[0].weights))

    def _gather(self, operation: Operation, operands: list[Value]) -> Value:
        numbers, rank = operation.params["dimension_numbers"], len(operation.shapes[0])
        sizes = zip(operation.params["slice_sizes"], operation.operand_shapes[0], strict=True)
        part = {axis for axis, (few, all_of_it) in enumerate(sizes) if few < all_of_it}
        looked_up = part.intersection(numbers.start_index_map)
        batch = numbers.operand_batching_dims
        gone = {*numbers.collapsed_slice_dims, *batch}
        weights = []
        for weight in operands[0].weights:
            if weight.axes is None:
                weights.append(weight)
                continue
            roles = {
                piece.axis: LOOKUP if axis in looked_up else BATCH if axis in batch else OUT
                for axis, pieces in enumerate(weight.axes)
                for piece in pieces
            }
            if operands[1].signal:
                self._note(Use.embedding(weight, roles))
            found = tuple(
                (piece.axis, LOOKUP, piece.size)
                for axis in looked_up
                for piece in weight.axes[axis]
            )
            kept = [pieces for axis, pieces in enumerate(weight.axes) if axis not in gone]
            laid: list[Axis] = [()] * rank
            for axis, pieces in zip(numbers.offset_dims, kept, strict=True):
                laid[axis] = pieces
            weights.append(Weight(weight.leaf, tuple(laid), weight.settled + found))
        return SIGNAL if operands[1].signal else Value(tuple(weights))

    def _meet(self, operation: Operation, operands: list[Value]) -> list[Value]:
        """A signal and parameters in one operation that is neither product nor lookup."""
        name = operation.name
        products = [value.product for value in operands if value.product is not None]
        product = products[0] if products else None
        for weight in merged(weight for value in operands for weight in value.weights):
            if name in SUMS:
                self._note(_added(weight, None if product is None else self.sites[product].use))
            elif name in PRODUCTS:
                self._note(Use.elementwise(weight, "scale"))
            elif name in ELEMENTWISE or name in ("concatenate", "dynamic_update_slice"):
                self._note(Use.elementwise(weight, "token" if name in _PLACING else "other"))
            else:
                self._note(Use(weight.leaf, "unread"))
        same = Value(signal=True, product=product if name in SUMS else None)
        return [same] * len(operation.results)


def _elementwise(operation: Operation, operands: list[Value]) -> Iterator[Weight]:
    """Parameters as they lie along the axes of the result."""
    for value, shape in zip(operands, operation.operand_shapes, strict=True):
        yield from (stretched(weight, shape, operation.shapes[0]) for weight in value.weights)


def _added(weight: Weight, product: Use | None) -> Use:
    """A bias has one axis, or an entry for each output of a kernel; any other is a table."""
    sizes = [piece.size for axis in weight.axes or () for piece in axis if piece.size > 1]
    if len(sizes) < 2 or (product is not None and product.outputs == math.prod(sizes)):
        return Use.elementwise(weight, "bias", product and product.fan_in)
    return Use.elementwise(weight, "position")


def _without_weights(operation: Operation, operands: list[Value]) -> list[Value]:
    name, first = operation.name, operands[0] if operands else CONSTANT
    signal = any(value.signal for value in operands)
    if signal and (name in SAME or (name in MOVES and name not in REDUCTIONS)):
        kept = Value(signal=True, indicator=first.indicator, product=first.product)
    elif signal:
        kept = Value(signal=True, indicator=name == "eq", product=_summed(name, operands))
    else:
        kept = CONSTANT
    return [kept] * len(operation.results)


def _summed(name: str, operands: list[Value]) -> int | None:
    """The product to which a constant is added."""
    constants = [value for value in operands if value == CONSTANT]
    return operands[0].product if name in SUMS and constants else None


def _applied(weight: Weight, layout: Layout, rank: int) -> Weight:
    """The left factor of a product of weights: what was summed over are its outputs."""
    if weight.axes is None:
        return weight
    settled = tuple(
        (piece.axis, OUT, piece.size) for axis in layout.axes(IN) for piece in weight.axes[axis]
    )
    kept = [weight.axes[axis] for word in (BATCH, OUT) for axis in layout.axes(word)]
    laid = [*kept, *[()] * (rank - len(kept))]
    return Weight(weight.leaf, tuple(laid), weight.settled + settled)
