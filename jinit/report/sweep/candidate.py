"""A competitor in a facet: its records, and its metric by seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinit.report.sweep.intervals import FEW_SEEDS, MeanInterval, mean_interval
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import LEARNED, LEARNED_SLOWLY, UNCLEAR

RecordRow = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One competitor of a facet with its tuned values: its records, and the metric by seed.

    Args:
      config: value by axis, of those that compete or are tuned.
      label: the configuration for people, without axes that have one value.
      records: its records, sorted by seed.
      metric_by_seed: the metric by seed; a diverged lane has the worst value.
      diverged_seeds: the seeds that diverged.
      competitor: the label without tuned values; empty if nothing is tuned.

    >>> candidate = Candidate(
    ...     config={"init": "ones"},
    ...     label="ones",
    ...     records=(),
    ...     metric_by_seed={0: 0.5, 1: 0.5},
    ...     diverged_seeds=(),
    ... )
    >>> candidate.interval.mean
    0.5
    """

    config: dict[str, Any]
    label: str
    records: tuple[RecordRow, ...]
    metric_by_seed: dict[int, float]
    diverged_seeds: tuple[int, ...]
    competitor: str = ""

    @property
    def name(self) -> str:
        """The label without tuned values."""
        return self.competitor or self.label

    @cached_property
    def interval(self) -> MeanInterval:
        """Mean of the metric over the seeds and its 95 % interval."""
        return mean_interval(self.metric_by_seed.values())

    @property
    def learned_runs(self) -> int:
        """Number of runs that learned, slowly or not."""
        return self._count(LEARNED, LEARNED_SLOWLY)

    @property
    def unclear_runs(self) -> int:
        """Number of runs of which the validation examples do not tell whether they learned."""
        return self._count(UNCLEAR)

    def _count(self, *words: str) -> int:
        return sum(row.get("outcome") in words for row in self.records)

    def has_learned(self, metric: Metric) -> bool:
        """Return whether the configuration learns, beyond the uncertainty over examples and seeds.

        A few seeds say too little about the mean, so that most of their runs must have learned.

        Args:
          metric: the metric of the sweep.
        """
        if len(self.records) < FEW_SEEDS:
            return 2 * self.learned_runs > len(self.records) or not self.records
        return self.learned_runs > 0 and metric.has_learned(self.interval)

    def may_have_learned(self, metric: Metric) -> bool:
        """Return whether it cannot be ruled out that the configuration learns.

        That needs a run that learned, most runs unclear, or of a few seeds one that is unclear or
        all better than a guess.

        Args:
          metric: the metric of the sweep.
        """
        if self.learned_runs > 0 or 2 * self.unclear_runs > len(self.records):
            return True
        if not 0 < len(self.records) < FEW_SEEDS:
            return False
        is_better = map(metric.is_better_than_chance, self.metric_by_seed.values())
        return self.unclear_runs > 0 or all(is_better)

    @property
    def full_label(self) -> str:
        """The label, and how many of its runs diverged, if any."""
        diverged = len(self.diverged_seeds)
        if not diverged:
            return self.label
        return f"{self.label} ({diverged} of {len(self.metric_by_seed)} diverged)"
