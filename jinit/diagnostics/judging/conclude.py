"""Assemble a Diagnosis from measurements."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jinit.diagnostics.judging.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.judging.expectations import Expectation, expectations
from jinit.diagnostics.judging.finding import VERDICTS, Finding
from jinit.diagnostics.judging.interval import ExpectedInterval
from jinit.diagnostics.judging.investigation import Investigation
from jinit.diagnostics.judging.judge import findings
from jinit.diagnostics.judging.layers import EqualCounts, LayerRow, layer_rows
from jinit.diagnostics.judging.network_faults import judge_network
from jinit.diagnostics.judging.thresholds import LARGE_LOSS_RATIO
from jinit.diagnostics.judging.whole_network import find_between_layers
from jinit.diagnostics.measuring.every_operation import Recorder
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.statistics import (
    GradientStatistics,
    InputStatistics,
    PreactivationStatistics,
    WeightStatistics,
)
from jinit.diagnostics.measuring.symmetry import find_equal_products
from jinit.gains import find_equal_arrays
from jinit.model import Graph, Model
from jinit.theory import initial_loss


class DiagnosisContext(NamedTuple):
    """The network of a diagnosis, and its loss."""

    model: Model
    loss_name: str
    classes: int
    """Length of the last axis of the first output."""
    loss_graph: Callable[[], Graph]
    """Returns the network and its loss as one computation, whose first output is the loss."""

    @property
    def chance(self) -> float:
        """Loss of a uniform guess; infinite unless the loss is a cross-entropy."""
        return math.log(self.classes) if self.loss_name == "cross-entropy" else math.inf


def conclude(
    context: DiagnosisContext,
    measurements: Measurements,
    equal_leaves: Mapping[str, str],
    record: Recorder,
) -> Diagnosis:
    """Return the diagnosis of one initialization.

    Args:
      context: the network and its loss.
      measurements: its measurements, with NumPy arrays.
      equal_leaves: path of an earlier, equal parameter, by path.
      record: function that runs it again and measures single operations.
    """
    loss = float(measurements.loss)
    rows = layer_rows(context.model, measurements)
    expected = expectations(rows)
    broken = [path for path, each in measurements.weights.items() if each.nonfinite]
    single = findings(rows, expected, equal_leaves, broken)
    case = Investigation.of(context.model, rows, measurements, context.loss_graph, record)
    between = find_between_layers(case, single, loss)
    judged = tuple(between.get(number, finding) for number, finding in enumerate(single))
    network = judge_network(context.loss_name, loss, context.chance, rows)
    is_explained = bool(between) and network.verdict in ("overflowing", "vanishing")
    notes = ["" if is_explained else network.note, *_notes(context, measurements, rows)]
    return Diagnosis(
        verdict=min([network.verdict, *(each.verdict for each in judged)], key=VERDICTS.index),
        layers=tuple(
            _layer_diagnosis(rows, number, expected[number], judged[number])
            for number in range(len(rows))
        ),
        loss=loss,
        loss_name=context.loss_name,
        notes=tuple(note for note in notes if note),
    )


def conclude_seeds(
    context: DiagnosisContext, measurements: Measurements, recorders: Sequence[Recorder]
) -> Diagnosis:
    """Return one diagnosis of many initializations: medians, and the most frequent verdict.

    Args:
      context: the network and its loss.
      measurements: as for `conclude`, with a leading axis for the initializations.
      recorders: `record` for each initialization.
    """
    singles = [jax.tree.map(itemgetter(n), measurements) for n in range(len(measurements.loss))]
    diagnoses = [
        conclude(context, each, _find_equal_weights(each), record)
        for each, record in zip(singles, recorders, strict=True)
    ]
    verdicts = [each.verdict for each in diagnoses]
    shares = {name: verdicts.count(name) / len(verdicts) for name in VERDICTS if name in verdicts}
    verdict = max(shares, key=lambda name: shares[name])
    typical = next(each for each in diagnoses if each.verdict == verdict)
    layers = zip(*(each.layers for each in diagnoses), strict=True)
    return replace(
        typical,
        layers=tuple(map(_median_layer, layers, typical.layers)),
        loss=float(np.median([each.loss for each in diagnoses])),
        shares=shares,
    )


def find_equal_leaves(
    model: Model, measurements: Measurements, leaves: Sequence[Array]
) -> dict[str, str]:
    """Return, for each parameter that equals an earlier one bit by bit, the path of that one.

    Args:
      model: the traced network.
      measurements: its measurements; only parameters with equal random products are compared.
      leaves: its parameters, in the order of `model.paths`.
    """
    candidates = find_equal_products(measurements.products)
    compared = {*candidates, *candidates.values()}
    by_path = zip(model.paths, leaves, strict=True)
    return find_equal_arrays({path: leaf for path, leaf in by_path if path in compared})


def _find_equal_weights(measurements: Measurements) -> dict[str, str]:
    """Return the pairs of `find_equal_leaves`, judged by random products, without constants."""
    return {
        path: other
        for path, other in find_equal_products(measurements.products).items()
        if measurements.weights[path].value_range > 0
    }


def _layer_diagnosis(
    rows: Sequence[LayerRow], number: int, expected: Expectation, finding: Finding
) -> LayerDiagnosis:
    row = rows[number]
    consumer = None if row.next_layer is None else rows[row.next_layer]
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


def _median_layer(layers: Sequence[LayerDiagnosis], typical: LayerDiagnosis) -> LayerDiagnosis:
    """Return a layer with medians over initializations, and their 5 and 95 % quantiles."""
    statistics: dict[str, float] = {}
    for name in typical.statistics:
        values = np.array([layer.statistics[name] for layer in layers])
        finite = values[np.isfinite(values)]
        low, median, high = (
            np.quantile(finite, [0.05, 0.5, 0.95]) if finite.size else [math.nan] * 3
        )
        statistics |= {name: median, f"{name}_5%": low, f"{name}_95%": high}
    return replace(typical, statistics=statistics)


def _notes(
    context: DiagnosisContext, measurements: Measurements, rows: Sequence[LayerRow]
) -> list[str]:
    notes = []
    if not rows:
        notes.append("jinit found no kernel that is applied to a signal: nothing was measured")
    unread = context.model.graph.unread_contractions
    if unread:
        notes.append(
            f"not measured: {unread} {'product' if unread == 1 else 'products'} inside branches, "
            "custom derivatives or while loops"
        )
    if context.loss_name == "cross-entropy":
        std = float(measurements.outputs.std)
        notes.append(_loss_note(float(measurements.loss), std, context))
    return notes


def _loss_note(loss: float, std: float, context: DiagnosisContext) -> str:
    """Return a comparison of the loss with that of a uniform guess."""
    chance = context.chance
    guess = f"ln {context.classes} = {chance:.4g}"
    if loss > LARGE_LOSS_RATIO * chance:
        return (
            f"the loss, {loss:.3g}, is far above the loss of a uniform guess, {guess}: the logits "
            f"have standard deviation {std:.3g}"
        )
    theory = f" (theory: loss {initial_loss(context.classes, std):.4g})" if std < 1 else ""
    return (
        f"the loss is {loss:.4g}, that of a uniform guess {guess}; the logits have standard "
        f"deviation {std:.3g}{theory}"
    )
