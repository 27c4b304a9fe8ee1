"""The finding, the statistics and their intervals for one layer of a diagnosis."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jinit.diagnostics.judging.diagnosis import LayerDiagnosis
from jinit.diagnostics.judging.expectations import Expectation
from jinit.diagnostics.judging.finding import Case, Finding
from jinit.diagnostics.judging.interval import ExpectedInterval
from jinit.diagnostics.judging.layers import EqualCounts, LayerRow
from jinit.diagnostics.measuring.statistics import (
    GradientStatistics,
    InputStatistics,
    PreactivationStatistics,
    WeightStatistics,
)


def layer_diagnosis(case: Case, number: int, finding: Finding) -> LayerDiagnosis:
    """Return what is said about one layer: its finding, its statistics and their intervals.

    Args:
      case: the network.
      number: number of the layer.
      finding: the finding on it.
    """
    row, expected, consumer = case.layers[number], case.expectations[number], case.consumer(number)
    return LayerDiagnosis(
        path=row.path,
        verdict=finding.verdict,
        cause=finding.cause,
        cure=finding.cure,
        source=finding.source,
        shape=row.contraction.shape,
        statistics={
            **_signal_statistics(row.statistics.preactivation, row.statistics.input),
            **_activation_statistics(None if consumer is None else consumer.statistics.input),
            "gradient_rms": math.sqrt(row.statistics.gradient.second),
            **_weight_statistics(row.weight),
            **_equality_statistics(row.equal_counts),
            "update_ratio": _rms_ratio(row.weight.update_second, row.weight.second),
            "branch_ratio": math.nan
            if row.branch is None
            else _rms_ratio(row.branch.branch, row.branch.residual_stream),
        },
        predicted=_predictions(expected, row.statistics.gradient),
        healthy=_healthy_intervals(expected, row),
    )


def _signal_statistics(
    preactivation: PreactivationStatistics, layer_input: InputStatistics
) -> dict[str, float]:
    variance = max(preactivation.second - preactivation.mean**2, 0.0)
    return {
        "mean": preactivation.mean,
        "std": math.sqrt(variance),
        "rms": math.sqrt(preactivation.second),
        "second_moment": preactivation.second,
        "largest": preactivation.largest,
        "correlation": 1 - preactivation.decorrelation,
        "effective_rank": preactivation.effective_rank,
        "input_rms": math.sqrt(layer_input.second),
    }


def _activation_statistics(consumer_input: InputStatistics | None) -> dict[str, float]:
    """Return statistics of the activations; NaN if no layer takes them in."""
    if consumer_input is None:
        return dict.fromkeys(("zero_fraction", "dead_fraction", "saturated_fraction"), math.nan)
    return {
        "zero_fraction": consumer_input.zero_fraction,
        "dead_fraction": consumer_input.dead_fraction,
        "saturated_fraction": consumer_input.saturated_fraction,
    }


def _weight_statistics(weight: WeightStatistics) -> dict[str, float]:
    return {
        "weight_rms": math.sqrt(weight.second),
        "weight_gradient_rms": math.sqrt(weight.gradient_second),
        "inner": weight.inner_product,
    }


def _equality_statistics(counts: EqualCounts) -> dict[str, float]:
    return {
        "equal_units": counts.weights[0],
        "equal_inputs": counts.weights[1],
        "equal_unit_gradients": counts.gradients[0],
        "equal_input_gradients": counts.gradients[1],
    }


def _predictions(
    expected: Expectation, gradient: GradientStatistics
) -> dict[str, ExpectedInterval]:
    """Return the expected intervals that are known, by name of the statistic."""
    intervals = {
        "second_moment": expected.second,
        "gradient_rms": _gradient_rms_interval(expected, gradient),
        "correlation": expected.correlation,
        "zero_fraction": expected.fractions.zero_fraction,
        "saturated_fraction": expected.fractions.saturated_fraction,
    }
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _healthy_intervals(expected: Expectation, row: LayerRow) -> dict[str, ExpectedInterval]:
    """Return the intervals of a healthy network of this depth, whatever the weights."""
    intervals = {}
    second, gradient = row.statistics.preactivation.second, row.statistics.gradient.second
    if expected.layers_before and math.isfinite(expected.signal_growth):
        intervals["second_moment"] = _rescale(
            second, expected.signal_growth, expected.signal_growth_interval
        )
    if expected.layers_after and math.isfinite(expected.gradient_growth):
        squares = _rescale(gradient, expected.gradient_growth, expected.gradient_growth_interval)
        intervals["gradient_rms"] = ExpectedInterval(*map(math.sqrt, squares))
    return intervals


def _rescale(second: float, growth: float, healthy: ExpectedInterval) -> ExpectedInterval:
    """Return the mean squares at which the log growth would lie at each end of an interval."""
    return ExpectedInterval(
        *(float(second * np.exp(np.clip(end - growth, -700, 700))) for end in healthy)
    )


def _gradient_rms_interval(
    expected: Expectation, gradient: GradientStatistics
) -> ExpectedInterval | None:
    if expected.gradient_total is None or not gradient.total > 0:
        return None
    per_entry = gradient.second / gradient.total
    return ExpectedInterval(*(math.sqrt(each * per_entry) for each in expected.gradient_total))


def _rms_ratio(second: float, reference: float) -> float:
    return math.sqrt(second / reference) if reference > 0 else math.nan


def median_layer(layers: Sequence[LayerDiagnosis], typical: LayerDiagnosis) -> LayerDiagnosis:
    """Return a layer with medians over initializations, and their 5 and 95 % quantiles.

    Args:
      layers: the same layer of each initialization.
      typical: the layer that has the verdict of most of them.
    """
    statistics: dict[str, float] = {}
    for name in typical.statistics:
        values = np.array([layer.statistics[name] for layer in layers])
        finite = values[np.isfinite(values)]
        low, median, high = (
            np.quantile(finite, [0.05, 0.5, 0.95]) if finite.size else [math.nan] * 3
        )
        statistics |= {name: median, f"{name}_5%": low, f"{name}_95%": high}
    return replace(typical, statistics=statistics)
