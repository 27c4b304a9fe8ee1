"""Faults of the inputs of a network."""

import math

from jinit.diagnostics.judging.finding import Case, Finding
from jinit.diagnostics.judging.thresholds import (
    BYTE_INPUT_MAX,
    LARGE_INPUT_RMS,
    MAX_COLUMN_SHARE,
    MAX_INPUT_RMS,
    MIN_INPUT_RMS,
    SAME_RMS_TOLERANCE,
    SQUARE_OVERFLOW,
)
from jinit.diagnostics.measuring.batch_facts import ArrayFacts

STANDARDIZE = "x = (x - x.mean()) / x.std(), with mean and deviation of the training set"
"""Cure of inputs that are out of scale."""
_STANDARDIZE_FEATURES = (
    "x = (x - x.mean(0)) / x.std(0).clip(1e-3), with means and deviations of the training set"
)


def find_input_fault(case: Case, is_finite: bool) -> Finding | None:
    """Find inputs that are not finite, zero, too large or too small for the layers that read them.

    Inputs that the network scales itself are no fault, nor are NaN that it leaves out.

    Args:
      case: the network.
      is_finite: whether its results and its loss are finite.
    """
    if case.inputs and not any(facts.largest or facts.nonfinite for facts in case.inputs):
        cause = f"{case.inputs[0].name} is zero for every example"
        reads_zeros = case.layers and case.layers[0].statistics.input.second == 0
        return (
            Finding(
                "dead", cause, "look at how the batch is loaded: x has no entry but zero", "inputs"
            )
            if reads_zeros
            else None
        )
    broken = [] if is_finite else [facts for facts in case.inputs if facts.nonfinite]
    if broken:
        cure = "remove these examples, or write jnp.nan_to_num(x, posinf=0, neginf=0)"
        return Finding("overflowing", nonfinite_text(broken[0]), cure, "inputs")
    faults = (_find_wrong_scale(case, facts) for facts in case.inputs)
    return next((fault for fault in faults if fault is not None), None)


def reads_inputs(case: Case, number: int) -> bool:
    """Return whether a layer reads an input of the network: its own input has the same RMS."""
    return any(_has_rms(case, number, facts) for facts in case.inputs)


def reading_layer(case: Case) -> int | None:
    """Return the first layer that reads an input, or the first of all; None without layers."""
    numbers = range(len(case.layers))
    return next((n for n in numbers if reads_inputs(case, n)), 0 if case.layers else None)


def input_note(case: Case) -> str:
    """Return a note about inputs that are larger than usual; empty if they are not."""
    large = [each for each in case.inputs if LARGE_INPUT_RMS < each.rms <= MAX_INPUT_RMS]
    if not large or not any(_has_rms(case, n, large[0]) for n in range(len(case.layers))):
        return ""
    return (
        f"the inputs have RMS {large[0].rms:.3g}, but initializers assume about 1: scale them to "
        "mean 0 and standard deviation 1"
    )


def _has_rms(case: Case, number: int, facts: ArrayFacts) -> bool:
    second = case.layers[number].statistics.input.second
    if not math.isfinite(second):
        return number == 0 and not facts.rms < SQUARE_OVERFLOW
    rms = math.sqrt(second)
    is_joined = number == 0 and min(rms, facts.rms) > MAX_INPUT_RMS  # with another input
    return is_joined or math.isclose(rms, facts.rms, rel_tol=SAME_RMS_TOLERANCE)


def nonfinite_text(facts: ArrayFacts) -> str:
    """Return how many entries of an array are not finite."""
    verb = "is" if facts.nonfinite == 1 else "are"
    return f"{facts.name}: {facts.nonfinite} of its {facts.size} entries {verb} NaN or infinite"


def _find_wrong_scale(case: Case, facts: ArrayFacts) -> Finding | None:
    readers = [number for number in range(len(case.layers)) if _has_rms(case, number, facts)]
    if not readers or all(case.layers[number].is_normalized for number in readers):
        return None
    if facts.rms > SQUARE_OVERFLOW:
        cause = (
            f"the inputs are too large: the entries of {facts.name}, of up to {facts.largest:.3g}, "
            "are finite, but too large to be squared in float32"
        )
        return Finding("overflowing", cause, f"x = x / {facts.rms:.3g}", "inputs")
    if facts.column_rms > MAX_INPUT_RMS and facts.column_share > MAX_COLUMN_SHARE:
        return Finding("misscaled", _column_cause(facts), _STANDARDIZE_FEATURES, "inputs")
    if facts.rms > MAX_INPUT_RMS:
        return Finding("misscaled", _scale_cause(facts, "large"), _large_cure(facts), "inputs")
    if 0 < facts.nonzero_rms < MIN_INPUT_RMS:
        return Finding("misscaled", _scale_cause(facts, "small"), STANDARDIZE, "inputs")
    return None


def _column_cause(facts: ArrayFacts) -> str:
    return (
        f"the inputs are too large in one feature: x[..., {facts.column}] of {facts.name} has RMS "
        f"{facts.column_rms:.3g} and outweighs all others"
    )


def _scale_cause(facts: ArrayFacts, size: str) -> str:
    return (
        f"the inputs are too {size}: {facts.name} has RMS {facts.rms:.3g}, but initializers assume "
        "about 1"
    )


def _large_cure(facts: ArrayFacts) -> str:
    looks_like_bytes = facts.largest <= BYTE_INPUT_MAX
    return (
        f"x / {BYTE_INPUT_MAX:g} if these are pixels, else {STANDARDIZE}"
        if looks_like_bytes
        else STANDARDIZE
    )
