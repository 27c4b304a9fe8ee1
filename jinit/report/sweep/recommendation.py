"""The recommended initialization of a facet, and how sure the recommendation is."""

from dataclasses import dataclass
from typing import Any

from jinit.report.sweep.comparison import (
    Comparison,
    all_decided,
    compare_candidates,
    undecided,
)
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.sentences import finding_sentence


@dataclass(frozen=True)
class Recommendation:
    """The recommended initialization for one facet.

    Args:
      facet: value by axis of the facet.
      leader: the configuration with the best mean; None if it did not learn better than chance.
      mean: mean of the metric of the best candidate over seeds.
      interval: its 95 % interval; infinite with one seed.
      comparisons: the leader compared with every other candidate, best first; empty without one.
      sentence: the finding in one sentence.
      absent: labels of the candidates of which no run has finished.

    >>> recommendation = Recommendation(
    ...     facet={},
    ...     leader={"init": "zeros"},
    ...     mean=0.9,
    ...     interval=(0.8, 1.0),
    ...     comparisons=(),
    ...     sentence="zeros was tried.",
    ... )
    >>> recommendation.is_clear
    False
    """

    facet: dict[str, Any]
    leader: dict[str, Any] | None
    mean: float
    interval: tuple[float, float]
    comparisons: tuple[Comparison, ...]
    sentence: str
    absent: tuple[str, ...] = ()

    @property
    def ties(self) -> tuple[dict[str, Any], ...]:
        """The configurations that are not shown to be worse than the leader."""
        return tuple(each.other_config for each in undecided(self.comparisons))

    @property
    def is_clear(self) -> bool:
        """Whether the leader is better than every other candidate, each interval above zero."""
        return all_decided(self.comparisons) and not self.absent


def recommend_candidate(facet: Facet, metric: Metric) -> Recommendation:
    """Return the recommendation for one facet.

    Args:
      facet: the candidates, best first, at least one.
      metric: the metric by which they are compared.

    Returns:
      The recommendation.

    >>> from jinit.report.sweep.candidate import Candidate
    >>> def candidate(name, *values):
    ...     return Candidate({"init": name}, name, (), dict(enumerate(values)), ())
    >>> facet = Facet({}, "relu", (candidate("a", 0.9, 0.8), candidate("b", 0.2, 0.1)))
    >>> recommend_candidate(facet, Metric("validation_accuracy")).is_clear
    True
    """
    finding = compare_candidates(facet, metric)
    interval = finding.leader.interval
    return Recommendation(
        facet=facet.config,
        leader=finding.leader.config if finding.has_learned else None,
        mean=interval.mean,
        interval=(interval.low, interval.high),
        comparisons=finding.comparisons if finding.has_learned else (),
        sentence=finding_sentence(finding),
        absent=facet.absent,
    )
