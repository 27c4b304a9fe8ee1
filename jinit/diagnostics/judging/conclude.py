"""Assemble a Diagnosis from measurements."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jax import Array

from jinit.diagnostics.judging.dead_faults import dead_parameters
from jinit.diagnostics.judging.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.judging.expectations import Expectation, expectations
from jinit.diagnostics.judging.finding import STABLE, VERDICTS, Case, Finding, ParameterFacts
from jinit.diagnostics.judging.interval import ExpectedInterval
from jinit.diagnostics.judging.investigation import Investigation
from jinit.diagnostics.judging.judge import findings
from jinit.diagnostics.judging.layers import EqualCounts, LayerRow, layer_rows
from jinit.diagnostics.judging.network_faults import NetworkCase, find_network_fault
from jinit.diagnostics.judging.notes import find_notes
from jinit.diagnostics.judging.whole_network import find_between_layers
from jinit.diagnostics.measuring.batch_facts import BatchFacts
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


class DiagnosisContext(NamedTuple):
    """The network of a diagnosis, its loss and its batch."""

    model: Model
    loss_name: str
    classes: int
    """Length of the last axis of the first output."""
    batch: BatchFacts
    loss_graph: Callable[[], Graph]
    """Returns the network and its loss as one computation, whose first output is the loss."""


def conclude(
    context: DiagnosisContext,
    measurements: Measurements,
    parameters: ParameterFacts,
    record: Recorder,
) -> Diagnosis:
    """Return the diagnosis of one initialization.

    Its verdict is the worst of its faults, so that every verdict but `stable` has one.

    Args:
      context: the network, its loss and its batch.
      measurements: its measurements, with NumPy arrays.
      parameters: facts about its parameters.
      record: runs it again and measures single operations.
    """
    rows = layer_rows(context.model, measurements)
    case = Case(
        layers=rows,
        expectations=expectations(rows),
        parameters=parameters,
        inputs=context.batch.inputs,
    )
    judged, others = _judge(context, measurements, case, record)
    layers = tuple(_layer_diagnosis(case, number, judged[number]) for number in range(len(rows)))
    return Diagnosis(
        verdict=min(
            (each.verdict for each in (*judged, *others.values(), STABLE)), key=VERDICTS.index
        ),
        layers=layers,
        loss=float(measurements.loss),
        loss_name=context.loss_name,
        notes=tuple(
            note for note in find_notes(_network_case(context, measurements, case)) if note
        ),
        other_faults=tuple(_other_fault(path, finding) for path, finding in others.items()),
    )


def _judge(
    context: DiagnosisContext, measurements: Measurements, case: Case, record: Recorder
) -> tuple[list[Finding], dict[str, Finding]]:
    """Return a finding for every layer, and the findings on what is not a layer, by path."""
    zero = case.parameters.zero_gradients
    investigation = Investigation.of(
        context.model,
        case.layers,
        measurements,
        context.loss_graph,
        record,
        frozenset((*zero.dead, *zero.cut)),
    )
    judged = list(findings(case))
    between = find_between_layers(investigation, judged, float(measurements.loss))
    judged = [between.get(number, finding) for number, finding in enumerate(judged)]
    others = dead_parameters(case.parameters, {row.leaf.path for row in case.layers})
    network = _network_case(context, measurements, case)
    has_faulty_layer = bool(others) or any(each is not STABLE for each in judged)
    found = find_network_fault(network, has_faulty_layer)
    if found is None or (between and found.finding.source == "loss"):
        return judged, others
    finding, number = found
    if number is not None and _is_as_bad(finding, judged[number]):
        judged[number] = finding
    else:
        others[finding.source] = finding
    return judged, others


def _network_case(context: DiagnosisContext, measurements: Measurements, case: Case) -> NetworkCase:
    return NetworkCase(
        layers=case,
        loss=float(measurements.loss),
        loss_name=context.loss_name,
        classes=context.classes,
        outputs=measurements.outputs,
        targets=context.batch.targets,
        unread=context.model.graph.unread_contractions,
        joined_kernels=context.model.joined_kernels,
        complex_kernels=context.model.complex_kernels,
    )


def _is_as_bad(finding: Finding, other: Finding) -> bool:
    return VERDICTS.index(finding.verdict) <= VERDICTS.index(other.verdict)


def _other_fault(path: str, finding: Finding) -> LayerDiagnosis:
    return LayerDiagnosis(
        path=path,
        verdict=finding.verdict,
        cause=finding.cause,
        cure=finding.cure,
        source="" if finding.source == path else finding.source,
        shape=(),
        statistics={},
        predicted={},
    )


def conclude_seeds(
    context: DiagnosisContext,
    measurements: Sequence[Measurements],
    parameters: Sequence[ParameterFacts],
    recorders: Sequence[Recorder],
) -> Diagnosis:
    """Return one diagnosis of many initializations: medians, and the most frequent verdict.

    Args:
      context: the network, its loss and its batch.
      measurements: those of each initialization, as for `conclude`.
      parameters: facts about the parameters of each initialization.
      recorders: `record` for each initialization.
    """
    arguments = zip(measurements, parameters, recorders, strict=True)
    diagnoses = [conclude(context, *each) for each in arguments]
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


def _layer_diagnosis(case: Case, number: int, finding: Finding) -> LayerDiagnosis:
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
