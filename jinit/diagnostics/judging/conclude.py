"""Assemble a Diagnosis from measurements."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jax import Array

from jinit.diagnostics.judging.dead_faults import dead_parameters
from jinit.diagnostics.judging.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.judging.expectations import expectations
from jinit.diagnostics.judging.finding import STABLE, VERDICTS, Case, Finding, ParameterFacts
from jinit.diagnostics.judging.investigation import Investigation
from jinit.diagnostics.judging.judge import findings
from jinit.diagnostics.judging.layer_diagnosis import layer_diagnosis, median_layer
from jinit.diagnostics.judging.layers import layer_rows
from jinit.diagnostics.judging.network_faults import NetworkCase, find_network_fault
from jinit.diagnostics.judging.notes import find_notes
from jinit.diagnostics.judging.whole_network import find_between_layers
from jinit.diagnostics.measuring.batch_facts import BatchFacts
from jinit.diagnostics.measuring.every_operation import Recorder
from jinit.diagnostics.measuring.measure import Measurements
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
    layers = tuple(layer_diagnosis(case, number, judged[number]) for number in range(len(rows)))
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
        layers=tuple(map(median_layer, layers, typical.layers)),
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
