"""The leader of a facet compared with every other candidate, paired by seed.

The candidate with the best mean leads. Each other candidate is compared with it by a 95 % Student
t interval of the difference paired by seed. The leader is called best only if every interval lies
above zero. That claim needs no correction for the number of comparisons: to be called best wrongly,
a candidate must win against the best one and against all others. With any number of candidates, at
most 5 % of sweeps claim a false best; the worst case is two equal candidates. The list of ties
makes no such claim: a candidate that is as good as the leader may be missing.

Reference: Gutmann and Maymin, Is the selected population the best?, Annals of Statistics 15, 1987.
"""

from dataclasses import dataclass
from typing import Any

from jinit.report.sweep.facets import Candidate, Facet
from jinit.report.sweep.intervals import MeanInterval, paired_interval
from jinit.report.sweep.metric import Metric


@dataclass(frozen=True)
class Comparison:
    """The leader of a facet compared with one other candidate.

    Args:
      candidate: the other candidate.
      difference: merit of the leader minus that of the other, paired by seed; positive where the
        leader is better. None if fewer than two seeds have both.
      has_learned: whether the other candidate is better than chance.

    >>> zeros = Candidate({"init": "zeros"}, "zeros", (), {0: 0.1, 1: 0.1}, ())
    >>> Comparison(zeros, MeanInterval(0.87, 0.86, 0.88, count=8), has_learned=False).is_decided
    True
    """

    candidate: Candidate
    difference: MeanInterval | None
    has_learned: bool

    @property
    def other_config(self) -> dict[str, Any]:
        """The configuration of the other candidate."""
        return self.candidate.config

    @property
    def is_decided(self) -> bool:
        """Whether the interval of the difference lies above zero."""
        return self.difference is not None and self.difference.low > 0


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
        decided = [comparison.is_decided for comparison in self.comparisons]
        return self.has_learned and bool(decided) and all(decided) and not self.facet.absent

    @property
    def ties(self) -> list[Comparison]:
        """The candidates that learned and are not decidedly worse than the leader."""
        return [each for each in self.comparisons if each.has_learned and not each.is_decided]

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
    return FacetFinding(
        facet=facet,
        metric=metric,
        has_learned=leader.has_learned(metric),
        comparisons=tuple(
            Comparison(
                candidate=other,
                difference=_paired_lead(leader, other, metric),
                has_learned=other.has_learned(metric),
            )
            for other in others
        ),
    )


def _paired_lead(leader: Candidate, other: Candidate, metric: Metric) -> MeanInterval | None:
    first, second = (
        {seed: metric.merit(value) for seed, value in candidate.metric_by_seed.items()}
        for candidate in (leader, other)
    )
    return paired_interval(first, second)
