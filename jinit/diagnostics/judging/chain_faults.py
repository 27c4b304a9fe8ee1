"""Faults of chains of layers: growth, decay and collapse that no single layer shows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jinit.diagnostics.judging.cures import (
    gain_cause,
    has_large_mean,
    kernel_cure,
    layer_name,
    missing_biases,
    needed_scale,
)
from jinit.diagnostics.judging.expectations import known_response
from jinit.diagnostics.judging.finding import Case, Finding, factor_text
from jinit.diagnostics.judging.input_faults import STANDARDIZE, reads_inputs
from jinit.diagnostics.judging.interval import ExpectedInterval, log_or_infinity
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import (
    CHAOTIC_DECORRELATION_RATIO,
    DISTINCT_INPUTS,
    EXPLAINED_SHARE,
    GAIN_TOLERANCE,
    MAX_LOG_GAIN,
    MIN_DECORRELATION,
)

_SURPRISE = math.log(4.0)
"""ln of a ratio of mean squares beyond which a layer does not follow from the one before."""


class _ChainFault(NamedTuple):
    """A fault of several layers together, before its cause is known."""

    verdict: str
    symptom: str
    log_growth: float


def find_signal_growth(case: Case, number: int) -> Finding | None:
    """Find a signal that grew or decayed over the layers of a chain."""
    row, expected = case.layers[number], case.expectations[number]
    growth, healthy = expected.signal_growth, expected.signal_growth_interval
    if not expected.layers_before or math.isnan(growth) or healthy.low <= growth <= healthy.high:
        return None
    if growth < 0 and (row.has_free_scale or _follows_zeros(case, number)):
        return None
    layers = expected.layers_before + 1
    symptom = (
        f"its signal is {factor_text(growth)} the input of its chain of {layers} layers, "
        f"{factor_text(growth / layers)} per layer (healthy in total: {_interval_text(healthy)})"
    )
    fault = _ChainFault("exploding" if growth > 0 else "vanishing", symptom, growth)
    return _find_cause(case, number, fault, case.chain_head(number))


def find_gradient_growth(case: Case, number: int) -> Finding | None:
    """Find a gradient that grew or decayed on its way back through a chain."""
    expected = case.expectations[number]
    growth, healthy = expected.gradient_growth, expected.gradient_growth_interval
    if not expected.layers_after or math.isnan(growth) or growth == math.inf:
        return None
    if healthy.low <= growth <= healthy.high or _has_allowed_decay(case, number):
        return None
    layers = expected.layers_after
    symptom = (
        f"its gradient is {factor_text(growth)} that of the layer {layers} "
        f"{'layer' if layers == 1 else 'layers'} later, {factor_text(growth / layers)} per layer"
    )
    fault = _ChainFault(_gradient_verdict(case, number), symptom, growth)
    return _find_cause(case, number, fault, case.chain_tail(number))


def _follows_zeros(case: Case, number: int) -> bool:
    """Return whether a kernel or a factor of zeros comes before, which is no fault of scale: it
    learns, or `find_dead_kernel` judges it."""
    return any(case.layers[each].passes_zeros for each in case.chain_head(number))


def _has_allowed_decay(case: Case, number: int) -> bool:
    """Return whether a decaying gradient is deliberate or has been judged elsewhere: a residual
    branch may be small, and zeros that learn may stop the gradient until they do."""
    if case.expectations[number].gradient_growth >= 0:
        return False
    has_zeros = any(case.layers[each].passes_zeros for each in case.chain_tail(number))
    is_waiting = case.layers[number].statistics.gradient.total == 0 and case.wakes_later(number)
    end = case.layers[case.chain_end(number)].leaf.end
    return has_zeros or is_waiting or end == "residual"


def _gradient_verdict(case: Case, number: int) -> str:
    if case.expectations[number].gradient_growth <= 0:
        return "vanishing"
    end = case.chain_end(number)
    signal = case.expectations[end]
    is_steady = abs(signal.signal_growth) < signal.signal_growth_interval.high
    first = case.layers[number].statistics.preactivation.decorrelation
    last = case.layers[end].statistics.preactivation.decorrelation
    is_apart = last > CHAOTIC_DECORRELATION_RATIO * first
    return "chaotic" if is_steady and is_apart else "exploding"


def find_collapse(case: Case, number: int) -> Finding | None:
    """Find results that are nearly equal for all inputs. One unit's are always correlated."""
    row, expected = case.layers[number], case.expectations[number]
    if not expected.layers_before or row.width == 1 or _follows_zeros(case, number):
        return None
    first = case.layers[case.chain(number)[0]].statistics.preactivation.decorrelation
    last = row.statistics.preactivation.decorrelation
    if not first > DISTINCT_INPUTS or math.isnan(last):
        return None
    log_ratio = math.log(max(last, MIN_DECORRELATION) / first)
    if log_ratio > 2 * expected.signal_growth_interval.low:
        return None
    symptom = f"its results are nearly equal for all inputs: 1 - correlation is {last:.1e}"
    fault = _ChainFault("collapsed", symptom, 0.0)
    return _find_cause(case, number, fault, case.chain_head(number))


def _find_cause(case: Case, number: int, fault: _ChainFault, members: Sequence[int]) -> Finding:
    """Return the fault with its cause.

    The first that applies is blamed: the layer whose biases most outweigh its sums; if the gains
    do not explain the fault, a layer of the chain whose mean or gain puts the signal out of the
    range for which the others are right, inputs that do, or what lies between the layers; this
    layer, if its gain is wrong; the layer with the worst gain.
    """
    biased = max(members, key=lambda place: _bias_ratio(case.layers[place]))
    if _bias_ratio(case.layers[biased]) > 1:
        rms = math.sqrt(case.layers[biased].statistics.bias_second)
        cause = f"biases of RMS {rms:.3g} outweigh the sums they are added to"
        return _blame(case, number, fault, biased, cause, "bias_init=jinit.zeros")
    errors = {place: _gain_error(case.layers[place]) for place in members}
    if sum(errors.values()) < EXPLAINED_SHARE * abs(fault.log_growth):
        return _displaced(case, number, fault) or Finding(
            fault.verdict,
            f"{fault.symptom}: all gains are right, so the cause lies between the layers: a "
            "constant factor or stop_gradient",
            "remove it; to freeze layers on purpose, diagnose the others on their outputs",
            is_between_layers=True,
        )
    worst = max(members, key=lambda place: errors[place])
    is_own = errors[number] > GAIN_TOLERANCE or errors[worst] <= GAIN_TOLERANCE
    place = number if is_own else worst
    row = case.layers[place]
    return _blame(case, number, fault, place, gain_cause(row), kernel_cure(row))


def _displaced(case: Case, number: int, fault: _ChainFault) -> Finding | None:
    """Return the fault if a kernel or the inputs put the signal where other gains are needed.

    The gains of a chain of gelu are right for the size of signal that they keep.
    """
    chain = case.chain(number)
    rows = [case.layers[place] for place in chain]
    means = [place for place in chain if has_large_mean(case.layers[place])]
    if not means and not all(map(_follows, rows[:-1], rows[1:])):
        return None
    errors = {place: _gain_error(case.layers[place]) for place in case.chain_head(number)}
    wrong = [place for place, error in errors.items() if error > GAIN_TOLERANCE]
    if means or wrong:
        place = means[0] if means else max(wrong, key=errors.__getitem__)
        row = case.layers[place]
        return _blame(case, number, fault, place, gain_cause(row), kernel_cure(row))
    cause = _large_input_cause(case, number)
    if not cause:
        return None
    return Finding(fault.verdict, f"{fault.symptom}: {cause}", STANDARDIZE, "inputs")


def _follows(before: LayerRow, row: LayerRow) -> bool:
    """Return whether the size of a layer's signal follows from that of the layer before."""
    response = known_response(before, before.statistics.preactivation.second)
    if response is None:
        return False
    expected = row.squared_gain * response.second + row.statistics.bias_second
    found = row.statistics.preactivation.second
    return abs(log_or_infinity(found) - log_or_infinity(expected)) < _SURPRISE


def _large_input_cause(case: Case, number: int) -> str:
    """Return what is wrong with the inputs of a chain that makes them small; empty if nothing."""
    first = case.chain(number)[0]
    row = case.layers[first]
    is_large = row.log_input > GAIN_TOLERANCE and row.log_small_start < 0
    if not is_large or not reads_inputs(case, first):
        return ""
    return (
        f"the inputs have RMS {math.exp(row.log_input / 2):.3g}, but the gains of a deep chain of "
        f"{layer_name(row)} are right for small signals, from inputs of RMS 1"
    )


def _blame(
    case: Case, number: int, fault: _ChainFault, place: int, cause: str, cure: str
) -> Finding:
    """Return a finding on layer `number` that blames layer `place`."""
    source = "" if place == number else case.layers[place].path
    return Finding(fault.verdict, f"{fault.symptom}: {cause}", cure, source)


def _bias_ratio(row: LayerRow) -> float:
    """Return the mean square of a layer's biases over that of its sums."""
    return row.statistics.bias_second / row.sum_second if row.sum_second > 0 else 0.0


def _gain_error(row: LayerRow) -> float:
    """Return the absolute logarithm of the squared gain over the needed one.

    A last layer may have any gain between a tenth and ten times the needed one.
    """
    scale = needed_scale(row)
    if scale is None or not row.used_squared_gain:
        return math.inf
    error = abs(math.log(row.used_squared_gain / scale.weights)) + missing_biases(row)
    is_last = row.leaf.activation is None or row.leaf.activation.end == "output"
    return 0.0 if is_last and error < MAX_LOG_GAIN else error


def _interval_text(interval: ExpectedInterval) -> str:
    """Return an interval of log growths as factors of the RMS."""
    return f"{math.exp(interval.low / 2):.2g} to {math.exp(interval.high / 2):.2g}"
