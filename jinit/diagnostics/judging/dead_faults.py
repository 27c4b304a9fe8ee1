"""Faults of parameters that never receive a gradient."""

import math
from collections.abc import Collection, Sequence

from jinit.diagnostics.judging.cures import initializer_text, kernel_cure
from jinit.diagnostics.judging.finding import Case, Finding, ParameterFacts, percent_text
from jinit.diagnostics.judging.thresholds import DEAD_DEVIATIONS, DEAD_FRACTION

_SYMPTOM = "its gradient is zero and stays zero in training"
_REDRAW = "draw all parameters: jinit.recommend(model).init(key)"
_MAX_NAMES = 3
"""Paths that a sentence lists."""


def find_dead_units(case: Case, number: int) -> Finding | None:
    """Find units that are zero for every example."""
    row, consumer = case.layers[number], case.consumer(number)
    if consumer is None or row.width < 2 or row.statistics.preactivation.second == 0:
        return None
    dead_fraction = consumer.statistics.input.dead_fraction
    # A factor of zero after the units is no fault if it learns.
    if dead_fraction < _dead_limit(row.width) or (dead_fraction == 1 and case.wakes_later(number)):
        return None
    symptom = f"{percent_text(dead_fraction)} of its units are 0 for every example"
    if row.has_dominant_biases:
        biases = math.sqrt(row.statistics.bias_second)
        cause = f"{symptom}: its biases, of RMS {biases:.3g}, outweigh its sums"
        return Finding("dead", cause, "bias_init=jinit.zeros")
    if row.is_normalized:
        cause = (
            f"{symptom} after the normalization; its scale, its bias or a batch of one example "
            "is the cause"
        )
        cure = "scale_init=jinit.ones, bias_init=jinit.zeros in the normalization, or more examples"
        return Finding("dead", cause, cure)
    if dead_fraction == 1 and _blames_others(case, row.leaf.path):
        return None
    return Finding("dead", symptom, kernel_cure(row))


def _blames_others(case: Case, path: str) -> bool:
    blockers = case.parameters.zero_gradients.dead.get(path, ())
    return bool(blockers) and path not in blockers


def _dead_limit(width: int) -> float:
    """Return the fraction of dead units from which on a layer is dead."""
    chance = 0.5 + DEAD_DEVIATIONS * math.sqrt(0.25 / width)
    return max(DEAD_FRACTION, min(1.0, chance))


def find_dead_kernel(case: Case, number: int) -> Finding | None:
    """Find a kernel whose gradient stays zero in training."""
    path = case.layers[number].leaf.path
    is_dead = path in case.parameters.zero_gradients.dead
    return _dead_finding(case.parameters, path) if is_dead else None


def dead_parameters(facts: ParameterFacts, kernels: Collection[str]) -> dict[str, Finding]:
    """Return the findings on parameters whose gradient stays zero, by path.

    Args:
      facts: facts about the parameters.
      kernels: paths of the kernels, which have findings of their own.
    """
    paths = [path for path in facts.zero_gradients.dead if path not in kernels]
    return {path: _dead_finding(facts, path) for path in paths}


def cut_note(facts: ParameterFacts) -> str:
    """Return a note about parameters whose gradient is zero for any values; empty without them."""
    cut = facts.zero_gradients.cut
    if len(cut) in (0, len(facts.weights)):  # a network without any gradient is a fault
        return ""
    return (
        f"{list_text(cut)} {'receives' if len(cut) == 1 else 'receive'} no gradient, whatever the "
        "initialization: stop_gradient, rounding, argmax or a factor of zero keeps it away; that "
        "is right for a frozen parameter only"
    )


def _dead_finding(facts: ParameterFacts, path: str) -> Finding:
    blockers = facts.zero_gradients.dead[path]
    if not blockers:
        return Finding("dead", f"{_SYMPTOM}, {_joint_reason(facts)}", _REDRAW)
    source = "" if path in blockers else blockers[0]
    return Finding("dead", f"{_SYMPTOM}{_reason(facts, blockers)}", _cure(facts, blockers), source)


def _joint_reason(facts: ParameterFacts) -> str:
    """Return why a gradient stays zero that no single parameter keeps at zero."""
    zeros = [path for path in facts.zero_gradients.dead if _is_zero(facts, path)]
    zeros.sort(key=lambda path: facts.leaves[path].role != "kernel")
    return (
        f"because {list_text(zeros)} are all zero" if zeros else "whatever other parameters learn"
    )


def _reason(facts: ParameterFacts, blockers: Sequence[str]) -> str:
    if not all(_is_zero(facts, path) for path in blockers):
        return f", because of the values of {list_text(blockers, 'or')}"
    names = list_text(blockers)
    if len(blockers) == 1:
        return f": {names} is zero and stops every gradient, its own included"
    return f": {names} are zero, and each keeps the gradients of the others at zero"


def _is_zero(facts: ParameterFacts, path: str) -> bool:
    return facts.weights[path].is_zero


def _cure(facts: ParameterFacts, blockers: Sequence[str]) -> str:
    choices = [f"{path} with {_initializer(facts, path)}" for path in blockers[:2]]
    return f"initialize {' or '.join(choices)}"


def _initializer(facts: ParameterFacts, path: str) -> str:
    """Return an initializer that gives a parameter a gradient."""
    leaf = facts.leaves[path]
    if leaf.role == "kernel":
        return initializer_text(leaf, 1.0)
    if leaf.role == "bias" and not _is_zero(facts, path):
        return "jinit.zeros"
    return "jinit.ones" if leaf.role == "scale" else "jinit.normal(0.02)"


def list_text(paths: Sequence[str], word: str = "and") -> str:
    """Return up to three paths as a list in a sentence.

    >>> list_text(["a", "b", "c"]), list_text(["a", "b", "c", "d", "e"])
    ('a, b and c', 'a, b, c and 2 others')
    """
    shown, hidden = list(paths[:_MAX_NAMES]), len(paths) - _MAX_NAMES
    if hidden > 0:
        shown.append(f"{hidden} {'other' if hidden == 1 else 'others'}")
    *first, last = shown
    return f"{', '.join(first)} {word} {last}" if first else last
