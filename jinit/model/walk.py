"""Follows parameters through a computation, into its loops and branches, to every use of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinit.model.enter import entered
from jinit.model.factors import applied, elementwise
from jinit.model.flow import MOVES, REDUCTIONS, Axis, Piece, Weight, merged, moved
from jinit.model.graph import CONTRACTING, Graph, Operation
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SAME, SUMS
from jinit.model.roles import BATCH, IN, LOOKUP, OUT, Use, contracted, layout_of, summed
from jinit.model.values import CONSTANT, SIGNAL, Value

_PLACING = frozenset({"concatenate", "dynamic_update_slice", "select_n"})


@dataclass(frozen=True, eq=False)
class Site:
    """Where a use is: an operation of a graph, and what is known of the values there."""

    use: Use
    graph: Graph
    position: int
    values: dict[int, Value]
    outer: tuple[int, ...] = ()
    """Positions of the operations that the graph lies in, outermost first."""

    @property
    def contracts(self) -> bool:
        """Whether a kernel is applied here, be it one that cannot be read."""
        name = self.graph.operations[self.position].name
        return self.use.kind in ("kernel", "unread") and name in (*CONTRACTING, "reduce_sum")


def sites(graph: Graph, shapes: Sequence[tuple[int, ...]]) -> tuple[Site, ...]:
    """Every use of a graph's first inputs, the parameters of these shapes, in execution order."""
    walk = _Walk(shapes)
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

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.sites: list[Site] = []
        self._place: tuple[Graph, int, dict[int, Value], tuple[int, ...]]
        self._outer: tuple[int, ...] = ()

    def through(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """What the outputs of a graph are, given what its inputs are."""
        values = dict.fromkeys(graph.constants, CONSTANT)
        values |= zip(graph.inputs, inputs, strict=True)

        def read(operand: Any) -> Value:
            return values[operand] if isinstance(operand, int) else CONSTANT

        outer = self._outer
        for position, operation in enumerate(graph.operations):
            self._place, self._outer = (graph, position, values, outer), (*outer, position)
            results = self._visit(operation, [read(operand) for operand in operation.operands])
            values.update(zip(operation.results, results, strict=True))
            self._outer = outer
        return [replace(read(output), looked=()) for output in graph.outputs]

    def body(self, closed: Any) -> Graph:
        """The graph of a computation inside the operation that the walk is at."""
        return self._place[0].inside(closed)

    def probe(self, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
        """The same without noting uses."""
        return _Walk(self.shapes).through(graph, inputs)

    def _visit(self, operation: Operation, operands: list[Value]) -> list[Value]:
        name = operation.name
        inside = entered(self, operation, operands)
        if inside is not None:
            return inside
        if name in CONTRACTING:
            return [self._contract(operation, operands)]
        if not any(value.weights for value in operands):
            joined = self._joined(operands) if name in SUMS else None
            return _without_weights(operation, operands, joined)
        if name == "dynamic_slice" and any(value.signal for value in operands[1:]):
            return [self._sliced(operation, operands[0])]
        if operands[0].weights and name in MOVES:
            return [Value(every) for every in _moved_all(operands[0].weights, operation)]
        if operands[0].weights and name == "gather":
            return [self._gather(operation, operands)]
        if any(value.signal for value in operands):
            return self._meet(operation, operands)
        if name in ELEMENTWISE:
            return [Value(merged(elementwise(operation, operands)))]
        partly = name == "concatenate" and not all(value.weights for value in operands)
        every = merged(
            replace(weight, part=weight.part or "factor") if partly else weight
            for value in operands
            for weight in value.weights
        )
        if name != "concatenate":
            every = tuple(weight.mixed() for weight in every)
        return [Value(every)] * len(operation.results)

    def _note(self, use: Use) -> int:
        self.sites.append(Site(use, *self._place))
        return len(self.sites) - 1

    def _contract(self, operation: Operation, operands: list[Value]) -> Value:
        made = [number for number in (0, 1) if operands[number].weights]
        if not made:
            self._contract_looked_up(operation, operands)
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

    def _contract_looked_up(self, operation: Operation, operands: list[Value]) -> None:
        """A kernel that a signal has chosen, such as an expert's."""
        chosen = [number for number in (0, 1) if operands[number].looked]
        if len(chosen) != 1 or not operands[1 - chosen[0]].signal:
            return
        layout = layout_of(operation, chosen[0])
        for weight in operands[chosen[0]].looked:
            use = contracted(weight, layout)
            if use.kind == "kernel":
                self._note(use)

    def _joined(self, operands: list[Value]) -> int | None:
        """Products with slices of one kernel that are added up are one product with all of them."""
        notes = [value.product for value in operands if value.product is not None]
        if len(notes) < 2:
            return None
        one, other = (self.sites[note].use for note in notes)
        inputs = [axis for axis, role in one.roles if role == IN]
        sizes = math.prod(self.shapes[one.leaf][axis] for axis in inputs)
        total = (one.fan_in or 0) + (other.fan_in or 0)
        if one.leaf != other.leaf or one.roles != other.roles or total > sizes:
            return None
        self.sites[notes[0]] = replace(self.sites[notes[0]], use=replace(one, fan_in=total))
        return notes[0]

    def _sliced(self, operation: Operation, value: Value) -> Value:
        """Part of a parameter at a place that a signal gives."""
        found = []
        for weight in value.weights:
            if weight.axes is not None:
                sizes = zip(operation.operand_shapes[0], operation.shapes[0], strict=True)
                part = [few < all_of_it for all_of_it, few in sizes]
                roles = {
                    piece.axis: LOOKUP if cut else OUT
                    for cut, pieces in zip(part, weight.axes, strict=True)
                    for piece in pieces
                }
                self._note(Use.embedding(weight, roles))
                laid = [() if cut else axis for cut, axis in zip(part, weight.axes, strict=True)]
                settled = tuple(
                    (piece.axis, LOOKUP, piece.size)
                    for cut, pieces in zip(part, weight.axes, strict=True)
                    for piece in pieces
                    if cut
                )
                found.append(replace(weight.laid(laid), settled=weight.settled + settled))
        return Value(signal=True, looked=tuple(found))

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
        layouts, rank = (layout_of(operation, 0), layout_of(operation, 1)), len(operation.shapes[0])
        return Value(
            (
                *(applied(weight, layouts[0], rank, OUT) for weight in operands[0].weights),
                *(applied(weight, layouts[1], rank, IN) for weight in operands[1].weights),
            )
        )

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
        if operands[1].signal:
            return Value(signal=True, looked=tuple(weights))
        return Value(tuple(weights))

    def _multiply(self, operation: Operation, weight: Weight) -> None:
        """A scale; or a kernel, if all that follows is a sum over some of its axes."""
        graph, position, values, outer = self._place
        (result,) = operation.results
        follower, *others = graph.users.get(result, (position,))
        step = graph.operations[follower]
        alone = not others and result not in graph.outputs and weight.part != "right"
        if alone and operation.name == "mul" and step.name == "reduce_sum" and step.shapes[0]:
            use = summed(weight, step.params["axes"])
            if use.kind == "kernel":
                self.sites.append(Site(use, graph, follower, values, outer))
                return
        self._note(Use.elementwise(weight, "scale"))

    def _meet(self, operation: Operation, operands: list[Value]) -> list[Value]:
        """A signal and parameters in one operation that is neither product nor lookup."""
        name = operation.name
        products = [value.product for value in operands if value.product is not None]
        product = products[0] if products else None
        for weight in merged(weight for value in operands for weight in value.weights):
            if name in SUMS:
                self._note(_added(weight, None if product is None else self.sites[product].use))
            elif name in PRODUCTS:
                self._multiply(operation, weight)
            elif name in ELEMENTWISE or name in ("concatenate", "dynamic_update_slice"):
                self._note(Use.elementwise(weight, "token" if name in _PLACING else "other"))
            else:
                self._note(Use(weight.leaf, "unread"))
        same = Value(signal=True, product=product if name in SUMS else None)
        return [same] * len(operation.results)


def _added(weight: Weight, product: Use | None) -> Use:
    """A bias has one axis, or an entry for each output of a kernel; any other is a table."""
    sizes = [piece.size for axis in weight.axes or () for piece in axis if piece.size > 1]
    if len(sizes) < 2 or (product is not None and product.outputs == math.prod(sizes)):
        return Use.elementwise(weight, "bias", product and product.fan_in)
    return Use.elementwise(weight, "position")


def _without_weights(
    operation: Operation, operands: list[Value], joined: int | None
) -> list[Value]:
    name, first = operation.name, operands[0] if operands else CONSTANT
    signal = any(value.signal for value in operands)
    if signal and (name in SAME or (name in MOVES and name not in REDUCTIONS)):
        kept = Value(signal=True, indicator=first.indicator, product=first.product)
        if first.looked:
            return [replace(kept, looked=looked) for looked in _moved_all(first.looked, operation)]
    elif signal:
        product = _summed(name, operands) if joined is None else joined
        kept = Value(signal=True, indicator=name == "eq", product=product)
    else:
        kept = CONSTANT
    return [kept] * len(operation.results)


def _moved_all(weights: tuple[Weight, ...], operation: Operation) -> list[tuple[Weight, ...]]:
    """Parameters in every result of an operation that leaves entries as they are."""
    numbers = range(len(operation.results))
    if operation.name not in MOVES:
        return [weights for _ in numbers]
    return [tuple(moved(weight, operation, number) for weight in weights) for number in numbers]


def _summed(name: str, operands: list[Value]) -> int | None:
    """The product to which a constant is added."""
    constants = [value for value in operands if value == CONSTANT]
    return operands[0].product if name in SUMS and constants else None
