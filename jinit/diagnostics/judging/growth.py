"""Growth and decay over a whole network: from any layer to any later one that it feeds."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from jinit.diagnostics.judging.interval import log_or_infinity, power_law_growth
from jinit.diagnostics.judging.layer_graph import LayerGraph
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    DEVIATIONS,
    MIN_GROWTH,
    NORMALIZATION_GRADIENT_GROWTH,
    STEP_SHARE,
)


class Step(NamedTuple):
    """The way from the result of one layer to the next layer."""

    before: int
    """Number of the layer before."""
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
        length += graph.step_length(path[-1])
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

    Kernels with a gain below 1 may be small on purpose. Averages over rows share the gradient out
    among the rows, and a loop whose last state is read gives most of it to the last iterations.
    """
    best, path, variance, length = None, [number], 0.0, 0
    allowed = math.log(_row_count(graph.rows[number]) * _iteration_count(graph.rows[number]))
    while after := graph.consumers[path[-1]]:
        path.append(max(after, key=lambda each: graph.gradients[each]))
        variance += graph.step_variance(*path[-2:])
        length += graph.step_length(path[-1])
        allowed -= min(log_or_infinity(graph.rows[path[-1]].squared_gain), 0.0)
        decay = graph.gradients[path[-1]] - graph.input_gradients[number]
        limit = _limit(length, variance) + allowed
        if math.isfinite(decay) and decay > limit:
            steps = _gradient_steps(graph, path, is_decay=True)
            best = _larger(best, Growth(number, path[-1], decay, limit, steps))
    return best


def _row_count(row: LayerRow) -> int:
    return max(math.prod(row.contraction.shape) // row.width, 1)


def _iteration_count(row: LayerRow) -> int:
    return 1 if row.iteration_sizes is None else len(row.iteration_sizes.second)


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
