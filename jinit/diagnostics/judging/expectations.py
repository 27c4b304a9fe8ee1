"""The expectations of theory for each layer, and the intervals of a healthy network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from jinit.diagnostics.judging.expected_fractions import ExpectedFractions, expected_fractions
from jinit.diagnostics.judging.interval import (
    ExpectedInterval,
    log_or_infinity,
    power_law_growth,
)
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import DEVIATIONS, MIN_GROWTH
from jinit.diagnostics.measuring.statistics import MAX_ROWS
from jinit.theory import LayerResponse, activation_correlation, layer_response

_SQUARE_VARIANCE = 2.0
"""Relative variance of the square of a normal number."""
_MAX_LOG_SECOND = 60.0
"""Logarithm of the largest mean square at which an activation is evaluated."""


@dataclass(frozen=True)
class Expectation:
    """The expectations for one layer. Growths are logarithms of ratios of mean squares."""

    second: ExpectedInterval | None
    """Mean square of the pre-activations, given the weights and the chain's input."""
    gradient_total: ExpectedInterval | None
    """Sum of squares of the gradient, given that at the chain's last layer."""
    correlation: ExpectedInterval | None
    """Mean correlation of pairs of rows, given that at the chain's first layer."""
    fractions: ExpectedFractions
    """Fractions of zeros and of saturated entries in its activations."""
    signal_growth: float
    """ln of the ratio of mean squares, pre-activations over the chain's input. If the activations
    change less than the pre-activations, as after sin(30 x), it is that of the activations."""
    signal_growth_interval: ExpectedInterval
    """Healthy interval of `signal_growth`, whatever the weights."""
    gradient_growth: float
    """ln of the ratio of the gradient's sums of squares, this layer over the chain's last one,
    without the decay that a small gain of the last layer explains, where that gain may be small."""
    gradient_growth_interval: ExpectedInterval
    """Healthy interval of `gradient_growth`, whatever the weights."""
    layers_before: int
    """Layers of the chain before this one."""
    layers_after: int
    """Layers of the chain after this one."""


def expectations(rows: Sequence[LayerRow]) -> tuple[Expectation, ...]:
    """Return the expectation for every layer.

    A chain is a sequence of layers with only an elementwise activation between neighbors.

    Args:
      rows: the layers in execution order.
    """
    by_layer: dict[int, Expectation] = {}
    for chain in _chains(rows):
        by_layer |= zip(chain, _chain_expectations([rows[n] for n in chain]), strict=True)
    return tuple(by_layer[number] for number in range(len(rows)))


def _chains(rows: Sequence[LayerRow]) -> list[list[int]]:
    """Return the numbers of the layers of each chain, in order."""
    chains: list[list[int]] = []
    chain_of: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        before = row.previous_layer
        continues = (
            before is not None
            and chain_of[before][-1] == before
            and known_response(rows[before], 1.0) is not None
        )
        if before is not None and continues:
            chain_of[number] = chain_of[before]
            chain_of[number].append(number)
        else:
            chain_of[number] = [number]
            chains.append(chain_of[number])
    return chains


def known_response(row: LayerRow, q: float) -> LayerResponse | None:
    """Return the response of a layer's activation; None if theory has none.

    Args:
      row: the layer.
      q: variance of its pre-activations.
    """
    activation = row.leaf.activation
    if activation is None or not (q > 0 and math.isfinite(q)):
        return None
    try:
        return layer_response(activation, q)
    except ValueError:
        return None


class _LogState(NamedTuple):
    """Distribution of the logarithm of a mean square over random weights."""

    log_value: float
    """Logarithm of its mean over random weights."""
    variance: float
    """Variance of its logarithm."""
    shift: float
    """`log_value` minus the mean of the logarithm, which is not negative."""

    @property
    def typical_value(self) -> float:
        """The mean square, bounded so that activations can be evaluated at it."""
        return math.exp(min(self.log_value, _MAX_LOG_SECOND))


def _chain_expectations(rows: Sequence[LayerRow]) -> list[Expectation]:
    signals = _signal_states(rows)
    gradients = _gradient_states(rows, signals)
    correlations = _correlation_intervals(rows, signals)
    last_total = rows[-1].statistics.gradient.total
    result = []
    for place, row in enumerate(rows):
        layers_after = len(rows) - 1 - place
        signal, gradient = signals[place], gradients[place]
        second = _log_normal_interval(signal, 2 / row.width)
        result.append(
            Expectation(
                second=second,
                gradient_total=_gradient_interval(last_total, gradient),
                correlation=correlations[place],
                fractions=expected_fractions(row, second),
                signal_growth=_signal_growth(rows, place),
                signal_growth_interval=_growth_interval(
                    place, signal.variance + 2 / row.width, signal.shift - rows[0].log_small_start
                ),
                gradient_growth=_gradient_growth(rows, place),
                gradient_growth_interval=_growth_interval(
                    layers_after, gradient.variance, gradient.shift
                ),
                layers_before=place,
                layers_after=layers_after,
            )
        )
    return result


def _signal_growth(rows: Sequence[LayerRow], place: int) -> float:
    """Return the growth of the pre-activations or of the activations, whichever is smaller."""
    sizes = [rows[place].log_signal, *(each.log_input for each in rows[place + 1 : place + 2])]
    return min((size - rows[0].log_input for size in sizes), key=abs)


def _gradient_growth(rows: Sequence[LayerRow], place: int) -> float:
    last = rows[-1]
    growth = rows[place].log_gradient - last.log_gradient
    if place == len(rows) - 1 or not growth < 0:
        return growth
    # A last kernel that is small on purpose is not a loss of gradient.
    allowed = min(log_or_infinity(last.squared_gain), 0.0) if last.has_free_scale else 0.0
    return growth - max(allowed, growth)


def _signal_states(rows: Sequence[LayerRow]) -> list[_LogState]:
    """Return the state of each layer's mean square, from the first layer on."""
    first = rows[0]
    states = [_LogState(log_or_infinity(first.sum_second + first.statistics.bias_second), 0.0, 0.0)]
    for before, row in pairwise(rows):
        _, variance, shift = states[-1]
        response = known_response(before, states[-1].typical_value)
        if response is None:
            measured = log_or_infinity(row.statistics.preactivation.second)
            states.append(_LogState(measured, 0.0, 0.0))
            continue
        product, bias = row.squared_gain * response.second, row.statistics.bias_second
        fraction = product / (product + bias) if product + bias > 0 else 0.0
        slope = response.log_slope * fraction
        added = fraction * response.signal_fluctuation / before.width
        states.append(
            _LogState(
                log_value=log_or_infinity(product + bias),
                variance=slope**2 * variance + fraction * added,
                shift=slope * shift + added / 2,
            )
        )
    return states


def _gradient_states(rows: Sequence[LayerRow], signals: Sequence[_LogState]) -> list[_LogState]:
    """Return the state of each layer's gradient over that of the last layer."""
    states = [_LogState(0.0, 0.0, 0.0)]
    for number in range(len(rows) - 2, -1, -1):
        row, after = rows[number], rows[number + 1]
        response = known_response(row, signals[number].typical_value)
        log_value, variance, shift = states[-1]
        if response is None:
            states.append(_LogState(log_value, variance, shift))
            continue
        added = response.gradient_fluctuation / row.width
        growth = log_or_infinity(after.squared_gain * response.slope2)
        states.append(_LogState(log_value + growth, variance + added, shift + added / 2))
    return states[::-1]


def _correlation_intervals(
    rows: Sequence[LayerRow], signals: Sequence[_LogState]
) -> list[ExpectedInterval | None]:
    """Return the expected correlation of each layer but the first.

    Over n units a correlation c fluctuates by `c (1 - c) √(2/n)`, as a ratio of squares does.
    """
    intervals: list[ExpectedInterval | None] = [None]
    value = 1 - rows[0].statistics.preactivation.decorrelation
    variance = _correlation_variance(rows[0], value, _SQUARE_VARIANCE)
    for before, row, state in zip(rows[:-1], rows[1:], signals[:-1], strict=True):
        activation, q = before.leaf.activation, state.typical_value
        response = known_response(before, q)
        if activation is None or response is None or not -1 <= value <= 1:
            return [*intervals, *[None] * (len(rows) - len(intervals))]
        correlation, slope = activation_correlation(activation, value, q)
        product, bias = row.squared_gain * response.second, row.statistics.bias_second
        fraction = product / (product + bias) if product + bias > 0 else 1.0
        value = 1 - fraction * (1 - correlation)
        variance = (fraction * slope) ** 2 * variance + _correlation_variance(
            before, value, response.signal_fluctuation
        )
        reach = DEVIATIONS * math.sqrt(
            variance + _correlation_variance(row, value, _SQUARE_VARIANCE)
        )
        intervals.append(ExpectedInterval(value, max(value - reach, -1.0), min(value + reach, 1.0)))
    return intervals


def _correlation_variance(row: LayerRow, c: float, fluctuation: float) -> float:
    """Return the variance of the mean correlation of rows.

    Args:
      row: the layer.
      c: expected correlation.
      fluctuation: relative variance of the square of one unit.
    """
    count = min(math.prod(row.contraction.shape) // row.width, MAX_ROWS)
    pairs = 2 * (1 + c) ** 2 / count  # the noise of single pairs in their mean
    return (1 - c) ** 2 * (c**2 * max(fluctuation, _SQUARE_VARIANCE) + pairs) / row.width


def _log_normal_interval(state: _LogState, extra_variance: float) -> ExpectedInterval | None:
    if not math.isfinite(state.log_value):
        return None
    reach = DEVIATIONS * math.sqrt(state.variance + extra_variance)
    return ExpectedInterval(
        value=_bounded_exp(state.log_value),
        low=_bounded_exp(state.log_value - state.shift - reach),
        high=_bounded_exp(state.log_value + reach),
    )


def _gradient_interval(last_total: float, state: _LogState) -> ExpectedInterval | None:
    if not (last_total > 0 and math.isfinite(last_total)):
        return None
    log_value = state.log_value + math.log(last_total)
    return _log_normal_interval(state._replace(log_value=log_value), 0.0)


def _growth_interval(steps: int, variance: float, shift: float) -> ExpectedInterval:
    """Return the healthy interval of a growth from one layer to the layer `steps` later.

    Args:
      steps: number of layers in between, one of the two included.
      variance: variance of the growth over random weights.
      shift: distance of its mean below zero.
    """
    reach = math.hypot(
        max(power_law_growth(1 + steps), math.log(MIN_GROWTH)),
        DEVIATIONS * math.sqrt(variance),
    )
    return ExpectedInterval(0.0, -reach - shift, reach)


def _bounded_exp(value: float) -> float:
    return math.exp(min(value, 700.0))
