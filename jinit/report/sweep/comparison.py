"""The leader of a facet compared with every other candidate, paired by seed.

The candidate with the best mean leads. Each other candidate is compared with it by a 95 % Student
t interval of the difference paired by seed, and two claims are made.

*The leader is best*, if every interval lies above zero. This claim needs no correction for the
number of comparisons: to be called best wrongly, a candidate must win against the best one and
against all others. With any number of candidates, at most 5 % of sweeps claim a false best; the
worst case is two equal candidates.

*These candidates are worse than the leader.* There, any of many comparisons may err, and the leader
was chosen by the same data, so p-values are corrected (`leader_corrected`). At most 5 % of sweeps
list a candidate wrongly. All others that learned cannot be distinguished from the leader.

Reference: Gutmann and Maymin, Is the selected population the best?, Annals of Statistics 15, 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.corrections import FAMILY_ERROR, leader_corrected
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.intervals import MeanInterval
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.paired import paired_interval, paired_p_value


@dataclass(frozen=True)
class Comparison:
    """The leader of a facet compared with one other candidate.

    Args:
      candidate: the other candidate.
      difference: merit of the leader minus that of the other, paired by seed; positive where the
        leader is better. None if fewer than two seeds have both.
      has_learned: whether the other candidate is better than chance.
      corrected_p: p-value of the difference, corrected for all comparisons with the leader.

    >>> zeros = Candidate({"init": "zeros"}, "zeros", (), {0: 0.1, 1: 0.1}, ())
    >>> lead = MeanInterval(0.87, 0.86, 0.88, count=8)
    >>> comparison = Comparison(zeros, lead, has_learned=False, corrected_p=1e-9)
    >>> comparison.is_decided, comparison.is_worse
    (True, True)
    """

    candidate: Candidate
    difference: MeanInterval | None
    has_learned: bool
    corrected_p: float = 1.0

    @property
    def other_config(self) -> dict[str, Any]:
        """The configuration of the other candidate."""
        return self.candidate.config

    @property
    def is_decided(self) -> bool:
        """Whether the interval of the difference lies above zero, without correction."""
        return self.difference is not None and self.difference.low > 0

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is worse than the leader, corrected for all comparisons."""
        is_behind = self.difference is not None and self.difference.mean > 0
        return is_behind and self.corrected_p <= FAMILY_ERROR


@dataclass(frozen=True)
class FacetFinding:
    """The comparisons of one facet.

    Args:
      facet: the candidates, best first, at least one.
      metric: the metric by which they are compared.
      has_learned: whether the leader is better than chance.
      comparisons: the leader compared with every other candidate, in their order.

    >>> zeros = Candidate({"init": "zeros"}, "zeros", (), {0: 0.1}, ())
    >>> FacetFinding(Facet({}, "relu", (zeros,)), Metric("loss"), True, ()).is_clear
    False
    """

    facet: Facet
    metric: Metric
    has_learned: bool
    comparisons: tuple[Comparison, ...]

    @property
    def leader(self) -> Candidate:
        """The candidate with the best mean."""
        return self.facet.candidates[0]

    @property
    def is_clear(self) -> bool:
        """Whether the leader is better than every other candidate, each interval above zero."""
        return self.has_learned and all_decided(self.comparisons) and not self.facet.absent

    @property
    def ties(self) -> list[Comparison]:
        """The candidates that learned and cannot be distinguished from the leader."""
        return [each for each in undecided(self.comparisons) if each.has_learned]

    @property
    def failures(self) -> list[Candidate]:
        """The other candidates that did not learn."""
        failed = [each.candidate for each in self.comparisons if not each.has_learned]
        return [each for each in failed if not each.may_have_learned(self.metric)]

    @property
    def unclear(self) -> list[Candidate]:
        """The candidates with too few runs to tell whether they learn."""
        candidates = [each.candidate for each in self.comparisons if not each.has_learned]
        if not self.has_learned:
            candidates = [self.leader, *candidates]
        return [each for each in candidates if each.may_have_learned(self.metric)]


def compare_candidates(facet: Facet, metric: Metric) -> FacetFinding:
    """Compare the leader of a facet with every other candidate, paired by seed.

    Args:
      facet: the candidates, best first, at least one.
      metric: the metric by which they are compared.

    Returns:
      The comparisons.

    >>> def candidate(name, *values):
    ...     return Candidate({"init": name}, name, (), dict(enumerate(values)), ())
    >>> facet = Facet({}, "relu", (candidate("a", 0.9, 0.8), candidate("b", 0.2, 0.1)))
    >>> compare_candidates(facet, Metric("validation_accuracy")).ties
    []
    """
    leader, *others = facet.candidates
    leads = [_paired_lead(leader, other, metric) for other in others]
    corrected = leader_corrected([paired_p_value(lead) for lead in leads])
    return FacetFinding(
        facet=facet,
        metric=metric,
        has_learned=leader.has_learned(metric),
        comparisons=tuple(
            Comparison(other, lead, has_learned=other.has_learned(metric), corrected_p=p_value)
            for other, lead, p_value in zip(others, leads, corrected, strict=True)
        ),
    )


def all_decided(comparisons: Sequence[Comparison]) -> bool:
    """Return whether the leader is better than every other candidate, each interval above zero.

    >>> all_decided([])
    False
    """
    return bool(comparisons) and all(each.is_decided for each in comparisons)


def undecided(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with candidates that are not shown to be worse than the leader.

    >>> undecided([])
    []
    """
    if all_decided(comparisons):
        return []
    return [each for each in comparisons if not each.is_worse]


def _paired_lead(leader: Candidate, other: Candidate, metric: Metric) -> MeanInterval | None:
    first, second = (
        {seed: metric.merit(value) for seed, value in candidate.metric_by_seed.items()}
        for candidate in (leader, other)
    )
    return paired_interval(first, second, resolution=metric.resolution)
