"""Findings as plain sentences for somebody who trains a first network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinit.report.facets import Candidate, Facet
from jinit.report.metric import Metric
from jinit.report.statistics import Interval

# A choice, not a result: starts whose difference is surely below 2 points of accuracy, or below a
# tenth of the leader's loss, are called interchangeable.
_SMALL_POINTS = 0.02
_SMALL_SHARE = 0.1
_NAMES = 6  # names that one list holds before "and 3 others"


@dataclass(frozen=True)
class Finding:
    """What is known about one facet.

    Args:
        facet: the candidates, best first.
        metric: what decides.
        differences: lead of the first candidate over each other; None below two common seeds.
        learned: for each candidate, whether it is better than chance.

    >>> Finding(Facet({}, "relu", ()), Metric("loss"), (), ()).tied
    []
    """

    facet: Facet
    metric: Metric
    differences: tuple[Interval | None, ...]
    learned: tuple[bool, ...]

    @property
    def leader(self) -> Candidate:
        """The candidate with the best mean."""
        return self.facet.candidates[0]

    @property
    def others(self) -> list[tuple[Candidate, Interval | None, bool]]:
        """Every other candidate with its difference to the leader and whether it learned."""
        rest = zip(self.facet.candidates[1:], self.differences, self.learned[1:], strict=False)
        return list(rest)

    @property
    def tied(self) -> list[tuple[Candidate, Interval | None]]:
        """The candidates that learned and cannot be told apart from the leader."""
        return [
            (other, difference)
            for other, difference, learned in self.others
            if learned and (difference is None or difference.low <= 0)
        ]

    @property
    def unlearned(self) -> list[Candidate]:
        """The candidates that are not better than chance."""
        return [other for other, _, learned in self.others if not learned]


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names as a sentence lists them, cut after six.

    >>> listed(["zeros"]), listed(["zeros", "ones"]), listed(["a", "b", "c"], last="or")
    ('zeros', 'zeros and ones', 'a, b or c')
    >>> listed(list("abcdefgh"))
    'a, b, c, d, e, f and 2 others'
    """
    shown = list(names[:_NAMES])
    if len(names) == _NAMES + 1:
        shown = list(names)
    elif len(names) > _NAMES:
        shown.append(f"{len(names) - _NAMES} others")
    return f" {last} ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def sentence(finding: Finding) -> str:
    """The finding in one sentence.

    Args:
        finding: a facet with at least one candidate.

    >>> start = Candidate({"init": "ones"}, "ones", (), {0: 0.5, 1: 0.5}, ())
    >>> relu = Facet({"activation": "relu"}, "relu", (start,))
    >>> sentence(Finding(relu, Metric("validation_accuracy", 0.1), (), (True,)))
    'relu: ones is the only start tried — validation accuracy 50.0 % ± 0.0.'
    """
    prefix = f"{finding.facet.label}: " if finding.facet.label else ""
    return f"{prefix}{_claim(finding)}."


def _claim(finding: Finding) -> str:
    if not finding.learned[0]:
        return _nothing_learned(finding)
    if len(finding.facet.candidates) == 1:
        return f"{finding.leader.named} is the only start tried — {_reached(finding)}"
    if all(difference is None for difference in finding.differences):
        return _too_few_seeds(finding)
    if finding.tied:
        return f"{_tie(finding)}{_unlearned(finding)}"
    if any(difference is None or difference.low <= 0 for difference in finding.differences):
        return f"{finding.leader.named} is the only start that learned — {_reached(finding)}" + (
            _unlearned(finding)
        )
    return f"{_best(finding)}{_unlearned(finding)}"


def _reached(finding: Finding) -> str:
    interval = finding.leader.interval
    return f"{finding.metric.title} {finding.metric.text(interval.mean, interval.half)}"


def _nothing_learned(finding: Finding) -> str:
    metric = finding.metric
    guess = "" if metric.chance is None else f"; a guess has {metric.text(metric.chance)}"
    highest = (
        "every run diverged"
        if all(len(each.diverged) == len(each.values) for each in finding.facet.candidates)
        else f"best: {finding.leader.named} with {_reached(finding)}{guess}"
    )
    return (
        f"no start learned better than guessing ({highest}); change the learning rate, the number "
        "of steps or the depth, then compare starts again"
    )


def _too_few_seeds(finding: Finding) -> str:
    return (
        f"too few seeds to compare starts; {finding.leader.named} came first with "
        f"{_reached(finding)}, which may be luck: run at least 3 seeds, better 8"
    )


def _best(finding: Finding) -> str:
    pairs = [(other, each) for other, each, _ in finding.others if each is not None]
    runner_up, difference = min(pairs, key=lambda pair: pair[1].mean)
    return (
        f"start from {finding.leader.named} — {_reached(finding)}, better than every other start "
        f"(next {runner_up.named}: {finding.metric.behind(difference)}, "
        f"{difference.count} paired seeds)"
    )


def _tie(finding: Finding) -> str:
    group = [finding.leader, *(other for other, _ in finding.tied)]
    means = [finding.metric.text(each.interval.mean) for each in (group[0], group[-1])]
    seeds = max(len(each.values) for each in group)
    return (
        f"{listed([each.named for each in group])} cannot be told apart with {seeds} seeds "
        f"({' to '.join(dict.fromkeys(means))}{_at_most(finding)}); {_advice(finding, group)}"
    )


def _largest(finding: Finding) -> float | None:
    """The largest difference that the intervals leave open; None where one is unknown."""
    known = [each.high for _, each in finding.tied if each is not None]
    largest = max(known) if known and len(known) == len(finding.tied) else math.inf
    return largest if math.isfinite(largest) else None


def _at_most(finding: Finding) -> str:
    largest = _largest(finding)
    if largest is None or largest <= 0:
        return ""
    return f", true difference at most {finding.metric.distance(largest)}"


def _advice(finding: Finding, group: Sequence[Candidate]) -> str:
    steady = [each for each in group if not each.diverged]
    if not steady:
        return "each of them diverged at times: lower the learning rate"
    if len(steady) < len(group):
        return f"use {listed([each.label for each in steady], 'or')}, which never diverged"
    largest, leading = _largest(finding), abs(finding.leader.interval.mean)
    small = _SMALL_POINTS if finding.metric.larger_is_better else _SMALL_SHARE * leading
    if largest is not None and largest <= small:
        return "use either" if len(group) == 2 else "use any of them"
    return f"use {finding.leader.label}, or run more seeds to tell"


def _unlearned(finding: Finding) -> str:
    names = [each.named for each in finding.unlearned]
    return f"; {listed(names)} did not learn" if names else ""
