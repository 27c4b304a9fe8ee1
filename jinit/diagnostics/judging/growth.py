"""Growth and decay over a whole network: from any layer to any later one that it feeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from jinit.diagnostics.judging.interval import log_or_infinity, power_law_growth
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    DEVIATIONS,
    MIN_GROWTH,
    NORMALIZATION_GRADIENT_GROWTH,
    STEP_SHARE,
)
from jinit.model import Feeds

_FLUCTUATION = 5.0
"""Variance of ln q that a relu layer of n units adds, times n (Hanin & Nica, 2018)."""
_MIN_WIDTH = 8
"""Units from which on the fluctuation of a gate or of another layer beside the path is known."""


class Step(NamedTuple):
    """The way from the result of one layer to the next layer."""

    before: int | None
    """Number of the layer before; None for the inputs of the network."""
    after: int
    """Number of the layer after."""
    log_growth: float
    """Part of the growth: ln of a ratio of mean squares."""


class Growth(NamedTuple):
    """A growth, or a decay, out of its healthy range."""

    first: int
    """Number of the first layer, in the order of execution."""
    last: int
    log_growth: float
    """ln of the ratio of mean squares, larger over smaller."""
    limit: float
    """Largest healthy size of it."""
    steps: tuple[Step, ...]
    """The steps that contribute most of it."""


@dataclass(frozen=True)
class LayerGraph:
    """The layers of a network with the sizes that were measured, as logarithms of mean squares."""

    rows: Sequence[LayerRow]
    feeds: Feeds
    parameter_count: int = 0
    """Number of the graph's inputs that are parameters; they come first."""
    input_levels: Mapping[int, float] = field(default_factory=dict)
    """Those of the graph's inputs, by index: signals and parameters that are not kernels."""

    @cached_property
    def inputs(self) -> list[float]:
        """Input of every layer."""
        return [log_or_infinity(row.statistics.input.second) for row in self.rows]

    @cached_property
    def results(self) -> list[float]:
        """Pre-activations of every layer."""
        return [log_or_infinity(row.statistics.preactivation.second) for row in self.rows]

    @cached_property
    def gradients(self) -> list[float]:
        """Gradient of one example at every layer: sum of squares."""
        return [log_or_infinity(row.statistics.gradient.total) for row in self.rows]

    @cached_property
    def consumers(self) -> list[list[int]]:
        """Numbers of the layers that each layer feeds."""
        consumers: list[list[int]] = [[] for _ in self.rows]
        for number in self.feeds.order:
            for before in self.feeds.suppliers[number].layers:
                consumers[before].append(number)
        return consumers

    @cached_property
    def source_peaks(self) -> list[float]:
        """Largest input of the graph that each layer depends on, at least 0: initializers assume
        inputs of mean square 1, and growth up to there is no fault."""
        peaks = [0.0] * len(self.rows)
        for number in self.feeds.order:
            suppliers = self.feeds.suppliers[number]
            levels = [self.input_levels.get(index, 0.0) for index in suppliers.inputs]
            peaks[number] = max([0.0, *levels, *(peaks[each] for each in suppliers.layers)])
        return peaks

    @cached_property
    def signal_peaks(self) -> list[float]:
        """Largest signal up to the input of each layer, at least 0."""
        peaks = [0.0] * len(self.rows)
        for number in self.feeds.order:
            before = self.feeds.suppliers[number].layers
            earlier = [max(peaks[each], self.results[each]) for each in before]
            peaks[number] = max([self.source_peaks[number], self.inputs[number], *earlier])
        return peaks

    @cached_property
    def gradient_peaks(self) -> list[float]:
        """Largest gradient at each layer and those that it feeds, directly or not."""
        peaks = list(self.gradients)
        for number in reversed(self.feeds.order):
            peaks[number] = max([peaks[number], *(peaks[each] for each in self.consumers[number])])
        return peaks

    @cached_property
    def input_gradients(self) -> list[float]:
        """Largest gradient of the layers that take in a signal together with each layer, or of one
        before: the gradient that reaches the network up to there."""
        largest: dict[tuple[str, int], float] = {}
        for number in self.feeds.order:
            for key in self._supplier_keys(number):
                largest[key] = max(largest.get(key, -math.inf), self.gradients[number])
        reached = list(self.gradients)
        for number in self.feeds.order:
            together = [largest[key] for key in self._supplier_keys(number)]
            before = [reached[each] for each in self.feeds.suppliers[number].layers]
            reached[number] = max([reached[number], *together, *before])
        return reached

    def _supplier_keys(self, number: int) -> list[tuple[str, int]]:
        layers, inputs = self.feeds.suppliers[number]
        signals = [index for index in inputs if index >= self.parameter_count]
        return [*(("layer", each) for each in layers), *(("input", each) for each in signals)]

    def is_live(self, number: int) -> bool:
        """Return whether the results of a layer are not all zero."""
        return self.rows[number].statistics.preactivation.second > 0

    @cached_property
    def ranks(self) -> dict[int, int]:
        """Place of each layer in the order of execution."""
        return {number: rank for rank, number in enumerate(self.feeds.order)}

    def longest_paths(self, number: int) -> dict[int, int]:
        """Return the number of layers on the longest path from each earlier layer to this one.

        Layers that feed one layer may follow each other in sums and products: a layer that feeds it
        earlier than n others is n layers farther away.
        """
        lengths = {number: 0}
        for layer in reversed(self.feeds.order):
            if layer in lengths:
                before = sorted(
                    self.feeds.suppliers[layer].layers, key=lambda each: self.ranks[each]
                )
                for count, each in enumerate(reversed(before), 1):
                    lengths[each] = max(lengths.get(each, 0), lengths[layer] + count)
        return lengths

    def step_length(self, before: int, after: int) -> int:
        """Return the number of layers that feed a layer, from the one before it on."""
        suppliers = self.feeds.suppliers[after].layers
        return sum(self.ranks[each] >= self.ranks[before] for each in suppliers)

    def step_variance(self, before: int, after: int) -> float:
        """Return the variance of ln q that is healthy from one layer to one that it feeds.

        Each layer adds 5/n for its n units, also those that feed the layer after later than the one
        before does.
        """
        others = [
            max(min(self.rows[each].width, self.rows[each].contraction.fan_in), _MIN_WIDTH)
            for each in self.feeds.suppliers[after].layers
            if self.ranks[each] > self.ranks[before]
        ]
        width = min(self.rows[before].width, self.rows[after].contraction.fan_in)
        return sum(_FLUCTUATION / min(each, width) for each in others) + _FLUCTUATION / width


def find_explosions(graph: LayerGraph) -> list[Growth]:
    """Return the signals that have grown out of the healthy range, one for each layer at most.

    What counts is the size over that of the largest signal before: growth that only makes up for
    an earlier decay, as a normalization's, is none.
    """
    found = [_signal_growth(graph, number) for number in graph.feeds.order]
    return [each for each in found if each is not None]


def _signal_growth(graph: LayerGraph, number: int) -> Growth | None:
    """Return the growth up to the input of a layer that exceeds its limit most."""
    best, path, variance = None, [number], 0.0
    lengths = graph.longest_paths(number)
    while before := graph.feeds.suppliers[path[0]].layers:
        path.insert(0, max(before, key=lambda each: graph.results[each]))
        variance += graph.step_variance(*path[:2])
        peak = max(graph.signal_peaks[path[0]], graph.source_peaks[number])
        growth = graph.inputs[number] - peak
        limit = _limit(lengths[path[0]], variance)
        if math.isfinite(growth) and growth > limit:
            steps = _signal_steps(graph, path, peak)
            best = _larger(best, Growth(path[0], number, growth, limit, steps))
    return best


def _signal_steps(graph: LayerGraph, path: Sequence[int], peak: float) -> tuple[Step, ...]:
    sizes = [max(graph.inputs[each], peak) for each in path]
    pairs = zip(pairwise(path), pairwise(sizes), strict=True)
    return _largest_steps([Step(*layers, end - start) for layers, (start, end) in pairs])


def find_gradient_explosions(graph: LayerGraph) -> list[Growth]:
    """Return the gradients that have grown out of the healthy range on their way back."""
    found = [_gradient_growth(graph, number) for number in graph.feeds.order]
    return [each for each in found if each is not None]


def _gradient_growth(graph: LayerGraph, number: int) -> Growth | None:
    """Return the growth of the gradient down to a layer that exceeds its limit most.

    Two kinds of growth do not count. The gradient of a small signal is as much larger as the signal
    is smaller, if a normalization follows; and a signal that many rows share gets the gradients of
    all of them.
    """
    best, path, variance, length, normalized = None, [number], 0.0, 0, 0
    small = min(graph.results[number], 0.0)
    shared = _row_count(graph.rows[number])
    while after := graph.consumers[path[-1]]:
        normalized += graph.rows[path[-1]].is_normalized
        path.append(max(after, key=lambda each: graph.gradients[each]))
        variance += graph.step_variance(*path[-2:])
        length += graph.step_length(*path[-2:])
        shared = max(shared, _row_count(graph.rows[path[-1]]))
        growth = graph.gradients[number] + small - graph.gradient_peaks[path[-1]]
        limit = _limit(length, variance) + normalized * NORMALIZATION_GRADIENT_GROWTH
        limit += math.log(shared / _row_count(graph.rows[number]))
        if math.isfinite(growth) and growth > limit:
            steps = _gradient_steps(graph, path)
            best = _larger(best, Growth(number, path[-1], growth, limit, steps))
    return best


def _gradient_steps(
    graph: LayerGraph, path: Sequence[int], is_decay: bool = False
) -> tuple[Step, ...]:
    growths = [
        Step(before, after, graph.gradients[before] - graph.gradients[after])
        for before, after in pairwise(path)
    ]
    if is_decay:
        growths = [step._replace(log_growth=-step.log_growth) for step in growths]
    return _largest_steps(growths)


def find_lost_gradients(graph: LayerGraph) -> list[Growth]:
    """Return the gradients that have decayed out of the healthy range on their way back.

    What counts is the largest gradient that reaches a signal or one before it, on any path.
    """
    found = [_gradient_decay(graph, number) for number in graph.feeds.order]
    return [each for each in found if each is not None]


def _gradient_decay(graph: LayerGraph, number: int) -> Growth | None:
    """Return the decay of the gradient down to a layer that exceeds its limit most.

    Kernels with a gain below 1 may be small on purpose, and averages over rows share the gradient
    out among the rows.
    """
    best, path, variance, length = None, [number], 0.0, 0
    allowed = math.log(_row_count(graph.rows[number]))
    while after := graph.consumers[path[-1]]:
        path.append(max(after, key=lambda each: graph.gradients[each]))
        variance += graph.step_variance(*path[-2:])
        length += graph.step_length(*path[-2:])
        allowed -= min(log_or_infinity(graph.rows[path[-1]].squared_gain), 0.0)
        decay = graph.gradients[path[-1]] - graph.input_gradients[number]
        limit = _limit(length, variance) + allowed
        if math.isfinite(decay) and decay > limit:
            steps = _gradient_steps(graph, path, is_decay=True)
            best = _larger(best, Growth(number, path[-1], decay, limit, steps))
    return best


def _row_count(row: LayerRow) -> int:
    return max(math.prod(row.contraction.shape) // row.width, 1)


def _limit(layers: int, variance: float) -> float:
    """Return the largest healthy growth over a number of layers."""
    power_law = max(power_law_growth(1 + layers), math.log(MIN_GROWTH))
    return math.hypot(power_law, DEVIATIONS * math.sqrt(variance))


def _larger(best: Growth | None, other: Growth) -> Growth:
    if best is None or other.log_growth - other.limit > best.log_growth - best.limit:
        return other
    return best


def _largest_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that grow at least half as fast as all together do on average."""
    average = sum(step.log_growth for step in steps) / len(steps)
    return tuple(step for step in steps if step.log_growth >= STEP_SHARE * average)
