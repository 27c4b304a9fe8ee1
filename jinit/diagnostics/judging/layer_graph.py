"""The layers of a network as a graph, with the sizes of their signals and gradients."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jinit.diagnostics.judging.layers import LayerRow
from jinit.model import Feeds

_FLUCTUATION = 5.0
"""Variance of ln q that a relu layer of n units adds, times n (Hanin & Nica, 2018)."""
_MIN_WIDTH = 8
"""Units from which on the fluctuation of a gate or of another layer beside the path is known."""


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
        """Input of every layer, before constants that count as the scale of its kernel."""
        return [row.log_input for row in self.rows]

    @cached_property
    def results(self) -> list[float]:
        """Pre-activations of every layer."""
        return [row.log_signal for row in self.rows]

    @cached_property
    def gradients(self) -> list[float]:
        """Gradient of one example at every layer: sum of squares."""
        return [row.log_gradient for row in self.rows]

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

        Layers that feed one layer may follow each other in sums and products, so all of them count.
        """
        lengths = {number: 0}
        for layer in reversed(self.feeds.order):
            if layer in lengths:
                length = lengths[layer] + self.step_length(layer)
                for before in self.feeds.suppliers[layer].layers:
                    lengths[before] = max(lengths.get(before, 0), length)
        return lengths

    def step_length(self, number: int) -> int:
        """Return the number of layers that feed a layer."""
        return len(self.feeds.suppliers[number].layers)

    def step_variance(self, before: int, after: int) -> float:
        """Return the variance of ln q that is healthy from one layer to one that it feeds.

        A layer adds 5/n for its n units. So does each pair of layers whose sum or product is fed to
        the layer after.
        """
        width = min(self.rows[before].width, self.rows[after].contraction.fan_in)
        others = [
            max(min(width, self.rows[each].width, self.rows[each].contraction.fan_in), _MIN_WIDTH)
            for each in self.feeds.suppliers[after].layers
            if each != before
        ]
        own = _FLUCTUATION / width
        return max(own, (own + sum(_FLUCTUATION / each for each in others)) / 2)
