"""The operations between layers, measured in a second run that only a suspicion causes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jinit.diagnostics.judging.interval import log_or_infinity
from jinit.diagnostics.judging.layer_graph import LayerGraph
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.operation_names import OperationNamer, is_sum
from jinit.diagnostics.measuring.every_operation import OperationSizes, Recorder, Size
from jinit.diagnostics.measuring.measure import Measurements
from jinit.model import Dataflow, FlowValue, Graph, Model, Place

MAX_OPERATIONS = 400
"""Operations that are measured at most: more take minutes to compile."""


class Culprit(NamedTuple):
    """The operation that causes a fault, and the layers that it lies between."""

    place: Place
    before: int | None
    """Number of the layer before it; None for the inputs of the network."""
    after: int | None
    """Number of the layer after it; None for the loss."""
    log_factor: float = 0.0
    """ln of the ratio of mean squares, result over operand."""
    term_count: int = 0
    """Number of terms, if it is a sum of several results."""


@dataclass(frozen=True)
class Investigation:
    """A network, its loss as one computation, and the means to measure single operations."""

    model: Model
    graph: LayerGraph
    make_loss_graph: Callable[[], Graph]
    """Returns the network followed by its loss, whose first output is the loss."""
    record: Recorder
    zero_parameters: frozenset[str] = frozenset()
    """Paths of the trained parameters that are zero."""
    without_gradient: frozenset[str] = frozenset()
    """Paths of the parameters whose gradient stays zero."""

    @classmethod
    def of(
        cls,
        model: Model,
        rows: Sequence[LayerRow],
        measurements: Measurements,
        make_loss_graph: Callable[[], Graph],
        record: Recorder,
        without_gradient: frozenset[str],
    ) -> "Investigation":
        """Return the investigation of measured layers.

        Args:
          model: the traced network.
          rows: its layers in execution order.
          measurements: its measurements.
          make_loss_graph: returns the network followed by its loss.
          record: measures single operations of it.
          without_gradient: paths of the parameters whose gradient stays zero.
        """
        weights = measurements.weights
        indices = {path: index for index, path in enumerate(model.paths)}
        levels = {
            indices[path]: log_or_infinity(float(weight.second)) for path, weight in weights.items()
        }
        first = len(model.paths)
        levels |= {
            first + number: log_or_infinity(float(second))
            for number, second in enumerate(measurements.inputs)
        }
        graph = LayerGraph(rows, model.feeds, first, levels)
        zeros = frozenset(path for path, weight in weights.items() if weight.second == 0)
        return cls(model, graph, make_loss_graph, record, zeros, without_gradient)

    def wakes(self, number: int) -> bool:
        """Return whether a layer's kernel receives a gradient, now or as soon as others learn."""
        return self.graph.rows[number].leaf.path not in self.without_gradient

    @cached_property
    def loss_graph(self) -> Graph:
        """The network followed by its loss."""
        return self.make_loss_graph()

    @cached_property
    def flow(self) -> Dataflow:
        """The computation with the places of its layers."""
        return Dataflow(self.loss_graph, frozenset(each.place for each in self.model.contractions))

    @cached_property
    def namer(self) -> OperationNamer:
        """Names for its operations."""
        return OperationNamer(self.flow, self.layer_name, self.model.paths)

    @cached_property
    def first_layers(self) -> dict[Place, int]:
        """Number of the layer at each place; inside a loop, of the first iteration."""
        numbers: dict[Place, int] = {}
        for number, layer in enumerate(self.model.layers):
            numbers.setdefault(self.model.contractions[layer.contraction].place, number)
        return numbers

    def layer_name(self, place: Place) -> str:
        """Return the path of the layer at a place, without the number of an iteration."""
        name = self.model.layer_names[self.first_layers[place]]
        number, iteration = self.model.layers[self.first_layers[place]]
        del number
        return name if iteration is None else name.removesuffix(f"[{iteration}]")

    def target(self, number: int | None) -> FlowValue:
        """Return the signal that a layer takes in; for None, the loss."""
        if number is None:
            return FlowValue((), self.loss_graph.outputs[0])
        layer = self.model.contractions[self.model.layers[number].contraction]
        return self.flow.operands(layer.place)[layer.signal_operand]

    def operations_before(self, numbers: Iterable[int | None]) -> list[Place]:
        """Return the places of the operations right before some layers, those layers excluded."""
        found: dict[Place, None] = {}
        for number in numbers:
            found |= dict.fromkeys(self.flow.operations_before([self.target(number)]))
            if len(found) > MAX_OPERATIONS:
                break
        return sorted(found)[:MAX_OPERATIONS]

    def culprit_of_growth(
        self, sizes: Mapping[Place, OperationSizes], number: int | None
    ) -> Culprit | None:
        """Return the operation that enlarges the signal most on its way to a layer.

        At every operation the way back goes to the largest operand that is a signal, so that the
        factors of all operations multiply to that of the way. Equal operations count together.
        """
        factors: dict[Place, float] = {}
        way, before = self._way_back(sizes, self.target(number)), None
        for place, factor in way:
            if place in self.flow.layers:
                before = self.first_layers[place]
                break
            factors[place] = factor
        if not factors:
            return None
        groups: dict[str, list[Place]] = {}
        for place in factors:
            is_term = is_sum(self.flow.operation(place))
            groups.setdefault("" if is_term else self.namer.text(place), []).append(place)
        totals = {name: sum(factors[each] for each in groups[name]) for name in groups}
        worst = max(groups, key=lambda name: totals[name])
        terms = len(groups[worst]) + 1 if not worst and len(groups[worst]) > 1 else 0
        return Culprit(groups[worst][0], before, number, totals[worst], terms)

    def culprit_of_gradient(
        self, sizes: Mapping[Place, OperationSizes], before: int, after: int, is_decay: bool
    ) -> Culprit | None:
        """Return the operation that changes the gradient most between two layers.

        From the layer before, the way goes to the operation with the largest gradient at its
        result.

        Args:
          sizes: sizes at the operations between the two.
          before: number of the layer before.
          after: number of the layer after.
          is_decay: whether to look for the largest decay instead of the largest growth.
        """
        place = self.place(before)
        factors: dict[Place, float] = {}
        while users := [each for each in self._users(place, sizes) if each not in factors]:
            following = max(users, key=lambda each: level(sizes[each].gradient))
            change = level(sizes[place].gradient) - level(sizes[following].gradient)
            factors[following] = -change if is_decay else change
            place = following
        if not factors:
            return None
        worst = max(factors, key=lambda each: factors[each])
        return Culprit(worst, before, after, factors[worst])

    def place(self, number: int) -> Place:
        """Return the place of a layer."""
        return self.model.contractions[self.model.layers[number].contraction].place

    def _users(self, place: Place, sizes: Mapping[Place, OperationSizes]) -> list[Place]:
        """Return the measured operations that have the result of another as an operand."""
        if place not in sizes:
            return []
        return [
            each
            for each in sizes
            if each not in self.flow.layers
            and place in self.flow.operand_places(each)
            and level(sizes[each].gradient) > -math.inf
        ]

    def name(self, culprit: Culprit) -> str:
        """Return the operation in words."""
        if culprit.term_count:
            return f"the sum of {culprit.term_count} results"
        return self.namer.text(culprit.place)

    def text(self, culprit: Culprit) -> str:
        """Return the operation in words, with the layers that it lies between."""
        rows = self.graph.rows
        before = "the inputs" if culprit.before is None else rows[culprit.before].path
        after = "the loss" if culprit.after is None else rows[culprit.after].path
        return f"{self.name(culprit)}, between {before} and {after},"

    def source(self, culprit: Culprit) -> str:
        """Return `loss` for an operation of the loss; empty for one of the network."""
        is_loss = culprit.place[0] >= len(self.model.graph.operations)
        return "loss" if is_loss else ""

    def blamed_layer(self, culprit: Culprit) -> int:
        """Return the number of the layer after the operation; for the loss, of the last layer."""
        if culprit.after is not None:
            return culprit.after
        return self.graph.feeds.order[-1] if culprit.before is None else culprit.before

    def depends_on(self, target: int | None, number: int) -> bool:
        """Return whether what a layer takes in, or for None the loss, depends on another layer."""
        return self.place(number) in self.flow.operations_before([self.target(target)])

    def targets_after(self, number: int) -> list[int | None]:
        """Return the layers that a layer feeds, and None if it feeds the outputs."""
        feeds_outputs = number in self.graph.feeds.outputs.layers
        return [*self.graph.consumers[number], *([None] if feeds_outputs else [])]

    def _way_back(
        self, sizes: Mapping[Place, OperationSizes], signal: FlowValue
    ) -> list[tuple[Place, float]]:
        way: list[tuple[Place, float]] = []
        seen: set[Place] = set()
        while True:
            places = [each for each in self.flow.producers(signal).places if each in sizes]
            places = [each for each in places if each not in seen]
            if not places:
                return way
            place = max(places, key=lambda each: level(sizes[each].result))
            seen.add(place)
            levels = [level(each) for each in sizes[place].operands]
            operands = self.flow.operands(place)
            signals = [n for n, each in enumerate(operands) if self.namer.is_signal(each)] or range(
                len(operands)
            )
            chosen = max(signals, key=lambda n: levels[n], default=None)
            if place in self.flow.layers or chosen is None:
                return [*way, (place, 0.0)]
            factor = level(sizes[place].result) - levels[chosen]
            way.append((place, factor if math.isfinite(factor) else 0.0))
            signal = operands[chosen]


def level(size: Size | None) -> float:
    """Return the largest logarithm of all iterations; -inf if there are no finite ones."""
    if size is None:
        return -math.inf
    values = np.asarray(size.log_second, np.float64).ravel()
    return max([-math.inf, *values[~np.isnan(values)].tolist()])
