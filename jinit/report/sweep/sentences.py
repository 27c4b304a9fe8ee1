"""Findings about a facet in plain sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.comparison import FacetFinding
from jinit.report.sweep.intervals import FEW_SEEDS
from jinit.report.sweep.measures import finite_values
from jinit.report.text import join_names

# Chosen, not derived: candidates are called interchangeable if their difference is surely below
# 2 percentage points of accuracy, or below a tenth of the leader's loss.
_SMALL_ACCURACY = 0.02
_SMALL_LOSS_RATIO = 0.1

_PLURALS = {
    "lr": "learning rates",
    "learning_rate": "learning rates",
    "batch_size": "batch sizes",
    "optimizer": "optimizers",
    "weight_decay": "weight decays",
}
_MORE_SEEDS = f"run at least {FEW_SEEDS} seeds, better 8"


@dataclass(frozen=True)
class FindingText:
    """The finding about a facet in parts.

    Args:
      label: label of the facet; empty if there is one facet.
      claim: the finding.
      evidence: the comparison that it rests on; empty if the claim says it.
      notes: other facts, such as candidates that did not learn.

    >>> FindingText("relu", "use ones", "better than zeros", ("2 of 4 runs",)).sentence
    'relu: use ones, better than zeros; 2 of 4 runs.'
    """

    label: str
    claim: str
    evidence: str
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The whole finding in one sentence."""
        prefix = f"{self.label}: " if self.label else ""
        claim = f"{self.claim}, {self.evidence}" if self.evidence else self.claim
        return f"{prefix}{'; '.join([claim, *self.notes])}."


def finding_text(finding: FacetFinding) -> FindingText:
    """Return the finding about a facet in parts.

    Args:
      finding: the comparisons of a facet with at least one candidate.

    >>> from jinit.report.sweep.facets import Facet
    >>> from jinit.report.sweep.metric import Metric
    >>> ones = Candidate({"init": "ones"}, "ones", (), {0: 0.5, 1: 0.5}, ())
    >>> metric = Metric("validation_accuracy", chance=0.1)
    >>> finding_text(FacetFinding(Facet({}, "", (ones,)), metric, True, ())).claim
    'ones is the only candidate, with validation accuracy 50.0 %'
    """
    claim, evidence, notes = _claim_parts(finding)
    notes = (*notes, *_tuned_notes(finding), *_missing_notes(finding))
    return FindingText(finding.facet.label, claim, evidence, notes)


def finding_sentence(finding: FacetFinding) -> str:
    """Return the finding about a facet in one sentence.

    Args:
      finding: the comparisons of a facet with at least one candidate.

    Returns:
      The sentence, with the label of the facet if it has one.

    >>> from jinit.report.sweep.facets import Facet
    >>> from jinit.report.sweep.metric import Metric
    >>> ones = Candidate({"init": "ones"}, "ones", (), {0: 0.5, 1: 0.5}, ())
    >>> facet = Facet({"activation": "relu"}, "relu", (ones,))
    >>> metric = Metric("validation_accuracy", chance=0.1)
    >>> finding_sentence(FacetFinding(facet, metric, has_learned=True, comparisons=()))
    'relu: ones is the only candidate, with validation accuracy 50.0 %.'
    """
    return finding_text(finding).sentence


def _tuned_notes(finding: FacetFinding) -> list[str]:
    """Return which values were chosen on the same runs, so that the means are a little too good."""
    axes = finding.facet.tuned_axes
    if not axes or not finding.has_learned:
        return []
    return [f"{tuned_axes_text(axes)} chosen on the same runs"]


def tuned_axes_text(axes: Sequence[str]) -> str:
    """Return names of axes as a plural.

    Args:
      axes: the axes, at least one.

    >>> tuned_axes_text(["lr"]), tuned_axes_text(["lr", "l2"])
    ('learning rates', 'learning rates and values of l2')
    """
    return join_names([_PLURALS.get(axis, f"values of {axis}") for axis in axes])


def _missing_notes(finding: FacetFinding) -> list[str]:
    """Return how many runs of an unfinished sweep there are, and which candidates have none."""
    facet = finding.facet
    if facet.finished_runs >= facet.expected_runs:
        return []
    absent = f", none of {join_names(facet.absent)}" if facet.absent else ""
    return [f"unfinished: {facet.finished_runs} of {facet.expected_runs} runs{absent}"]


def _claim_parts(finding: FacetFinding) -> tuple[str, str, list[str]]:
    """Return the claim, the evidence, and notes on candidates that did not learn."""
    if not finding.has_learned:
        claim = _unclear_claim(finding) if finding.unclear else _no_learning_claim(finding)
        return claim, "", []
    leader, comparisons = finding.leader, finding.comparisons
    if not comparisons:
        claim = f"{leader.full_label} is the only candidate, with {_metric_phrase(finding)}"
        return claim, "", []
    if all(comparison.difference is None for comparison in comparisons):
        return _few_seeds_claim(finding), f"which may be luck: {_MORE_SEEDS}", []
    if finding.ties:
        return _tie_claim(finding), "", _failure_notes(finding)
    if not all(comparison.is_decided for comparison in comparisons):
        claim = f"{leader.full_label} is the only candidate that surely learned"
        return f"{claim}, with {_metric_phrase(finding)}", "", _failure_notes(finding)
    claim = f"use {leader.full_label}, with {_metric_phrase(finding)}"
    return claim, _best_evidence(finding), _failure_notes(finding)


def _metric_phrase(finding: FacetFinding) -> str:
    metric, leader, test = finding.metric, finding.leader, finding.facet.test_metric
    text = f"{metric.title} {metric.sample_text(leader.metric_by_seed.values())}"
    tested = finite_values(leader, test.name).tolist() if test else []
    return f"{text} ({test.title} {test.sample_text(tested)})" if test and tested else text


def _guess_phrase(finding: FacetFinding) -> str:
    chance = finding.metric.chance
    return "" if chance is None else f"; a guess has {finding.metric.metric_text(chance)}"


def _no_learning_claim(finding: FacetFinding) -> str:
    candidates = finding.facet.candidates
    if all(len(each.diverged_seeds) == len(each.metric_by_seed) for each in candidates):
        reason = "every run diverged"
        advice = "lower the learning rate or the scale of the initialization"
    else:
        best = f"best: {finding.leader.full_label} with {_metric_phrase(finding)}"
        reason = f"{best}{_guess_phrase(finding)}"
        advice = "change the learning rate, the number of steps or the depth"
    return f"no candidate learned better than guessing ({reason}); {advice}, then compare again"


def _unclear_claim(finding: FacetFinding) -> str:
    best = f"best: {finding.leader.full_label} with {_metric_phrase(finding)}"
    cause, advice = _unclear_cause(finding)
    names = join_names(_labels(finding.unclear), "or")
    return (
        f"{cause} to tell whether {names} learned better than guessing "
        f"({best}{_guess_phrase(finding)}); {advice}"
    )


def _unclear_text(finding: FacetFinding) -> str:
    """Return of which candidates it cannot be said whether they learn, and why."""
    names = join_names(_labels(finding.unclear), "or")
    return f"{_unclear_cause(finding)[0]} to tell whether {names} learned"


def _unclear_cause(finding: FacetFinding) -> tuple[str, str]:
    """Return why it cannot be said whether a candidate learns, and what to do."""
    if max(len(each.records) for each in finding.unclear) < FEW_SEEDS:
        return "too few seeds", _MORE_SEEDS
    if any(each.unclear_runs > each.learned_runs for each in finding.unclear):
        return "too few validation examples", "validate on more examples, or train more steps"
    return "too few runs learned", "run more seeds, or train more steps"


def _few_seeds_claim(finding: FacetFinding) -> str:
    return (
        f"too few seeds to compare candidates; {finding.leader.full_label} has the best mean, with "
        f"{_metric_phrase(finding)}"
    )


def _best_evidence(finding: FacetFinding) -> str:
    pairs = [
        (each.candidate, each.difference)
        for each in finding.comparisons
        if each.difference is not None
    ]
    runner_up, difference = min(pairs, key=lambda pair: pair[1].mean)
    others = (
        "every other candidate that has run" if finding.facet.absent else "every other candidate"
    )
    return (
        f"better than {others} "
        f"(next {runner_up.full_label}: {finding.metric.lead_text(difference)}, "
        f"{difference.count} paired seeds)"
    )


def _tie_claim(finding: FacetFinding) -> str:
    group = [finding.leader, *(tie.candidate for tie in finding.ties)]
    means = [finding.metric.metric_text(each.interval.mean) for each in (group[0], group[-1])]
    return (
        f"{join_names(_labels(group))} cannot be distinguished with {_seeds(finding)} seeds "
        f"({' to '.join(dict.fromkeys(means))}{_bound_phrase(finding)}); {_advice(finding, group)}"
    )


def _seeds(finding: FacetFinding) -> int:
    """Return the number of seeds of the leader and of those that cannot be told from it."""
    group = [finding.leader, *(tie.candidate for tie in finding.ties)]
    return max(len(each.metric_by_seed) for each in group)


def _largest_difference(finding: FacetFinding) -> float | None:
    """Return the largest difference that the intervals allow; None if one is unknown."""
    known = [tie.difference.high for tie in finding.ties if tie.difference is not None]
    largest = max(known) if known and len(known) == len(finding.ties) else math.inf
    return largest if math.isfinite(largest) else None


def _bound_phrase(finding: FacetFinding) -> str:
    largest = _largest_difference(finding)
    if largest is None or largest <= 0 or _seeds(finding) < FEW_SEEDS:
        return ""
    if not finding.metric.is_possible_difference(largest):
        return ""
    text = finding.metric.difference_text(largest)
    is_visible = text != finding.metric.difference_text(0.0)
    return f", true difference at most {text}" if is_visible else ""


def _advice(finding: FacetFinding, group: Sequence[Candidate]) -> str:
    steady = [each for each in group if not each.diverged_seeds]
    if not steady:
        return "some runs of each of them diverged: lower the learning rate"
    if len(steady) < len(group):
        return f"use {join_names([each.label for each in steady], 'or')}, which never diverged"
    largest, best = _largest_difference(finding), abs(finding.leader.interval.mean)
    small = _SMALL_ACCURACY if finding.metric.is_percentage else _SMALL_LOSS_RATIO * best
    if largest is not None and largest <= small:
        return "use either" if len(group) == 2 else "use any of them"
    if _seeds(finding) < FEW_SEEDS:
        return f"too few seeds to decide: {_MORE_SEEDS}"
    return f"use {finding.leader.label}, or run more seeds to decide"


def _failure_notes(finding: FacetFinding) -> list[str]:
    failures = _labels(finding.failures)
    notes = [f"{join_names(failures)} did not learn"] if failures else []
    return [*notes, _unclear_text(finding)] if finding.unclear else notes


def _labels(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.full_label for candidate in candidates]
