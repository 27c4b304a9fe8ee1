"""Which start to use, and how sure that is.

The candidate with the best mean leads. It is compared with every other by seed, each time with a
95 % Student t interval of the paired difference, and it is called best only if every one of these
intervals lies above zero. No correction for the number of comparisons is needed for that claim:
to be called best wrongly, a candidate must beat the true best too, and all others, so with any
number of candidates a false "best" is said in at most 5 % of sweeps (the worst case is two equal
candidates; a test counts it). The list of ties carries no such promise and makes no claim: a start
may be missing from it although it is as good as the leader.

Reference: Gutmann and Maymin, Is the selected population the best?, Annals of Statistics 15, 1987.
"""

from dataclasses import dataclass
from typing import Any

from jinit.report.facets import Candidate, Facet
from jinit.report.metric import Metric
from jinit.report.sentences import Finding, sentence
from jinit.report.statistics import Interval, paired_interval


@dataclass(frozen=True)
class Comparison:
    """The leader against one other candidate of its facet.

    Args:
        other: configuration of the other candidate.
        difference: lead of the leader over it (positive means that the leader is better), paired
            by seed; None when fewer than two seeds have both.

    >>> Comparison({"init": "zeros"}, Interval(0.87, 0.86, 0.88, count=8)).decided
    True
    """

    other: dict[str, Any]
    difference: Interval | None

    @property
    def decided(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.difference is not None and self.difference.low > 0


@dataclass(frozen=True)
class Recommendation:
    """Which start one facet speaks for.

    Args:
        facet: value by program axis.
        leader: the configuration with the best mean; None if nothing learned better than chance.
        mean: mean over seeds of the metric of the best candidate.
        interval: its 95 % interval; infinite with one seed.
        comparisons: the leader against every other candidate, by their means.
        sentence: the finding in one plain sentence.

    >>> Recommendation({}, {"init": "zeros"}, 0.9, (0.8, 1.0), (), "zeros was tried.").clear
    False
    """

    facet: dict[str, Any]
    leader: dict[str, Any] | None
    mean: float
    interval: tuple[float, float]
    comparisons: tuple[Comparison, ...]
    sentence: str

    @property
    def tied(self) -> tuple[dict[str, Any], ...]:
        """The candidates that cannot be told apart from the leader."""
        return tuple(each.other for each in self.comparisons if not each.decided)

    @property
    def clear(self) -> bool:
        """Whether the leader is better than every other candidate, each interval above zero."""
        return bool(self.comparisons) and not self.tied


def recommend(facet: Facet, metric: Metric) -> Recommendation:
    """Compares the leader of a facet with every other candidate, paired by seed.

    Args:
        facet: the candidates, best first, at least one.
        metric: what decides.

    >>> def start(name, *values):
    ...     return Candidate({"init": name}, name, (), dict(enumerate(values)), ())
    >>> relu = Facet({"activation": "relu"}, "relu", (start("a", 0.9, 0.8), start("b", 0.2, 0.1)))
    >>> recommend(relu, Metric("validation_accuracy")).clear
    True
    """
    leader, *others = facet.candidates
    differences = tuple(_lead(leader, other, metric) for other in others)
    learned = tuple(metric.learned(each.interval) for each in facet.candidates)
    return Recommendation(
        facet=facet.config,
        leader=leader.config if learned[0] else None,
        mean=leader.interval.mean,
        interval=(leader.interval.low, leader.interval.high),
        comparisons=tuple(
            Comparison(other.config, difference)
            for other, difference in zip(others, differences, strict=True)
            if learned[0]
        ),
        sentence=sentence(Finding(facet, metric, differences, learned)),
    )


def _lead(leader: Candidate, other: Candidate, metric: Metric) -> Interval | None:
    ours, theirs = (
        {seed: metric.gain(value) for seed, value in each.values.items()}
        for each in (leader, other)
    )
    return paired_interval(ours, theirs)
