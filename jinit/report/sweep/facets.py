"""Records grouped for comparison: facets hold candidates, candidates hold one record per seed."""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinit.report.sweep.intervals import FEW_SEEDS, MeanInterval, mean_interval
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import LEARNED, LEARNED_SLOWLY, has_diverged
from jinit.report.sweep.outline import Outline, canonical_value
from jinit.report.text import value_text

RecordRow = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One configuration in a facet: its records, and the metric by seed.

    Args:
      config: value by candidate axis.
      label: the configuration for people, without axes that have one value.
      records: its records, sorted by seed.
      metric_by_seed: the metric by seed; a diverged lane has the worst value.
      diverged_seeds: the seeds that diverged.

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

    @cached_property
    def interval(self) -> MeanInterval:
        """Mean of the metric over the seeds and its 95 % interval."""
        return mean_interval(self.metric_by_seed.values())

    @property
    def learned_runs(self) -> int:
        """Number of runs that learned, slowly or not."""
        return sum(row.get("outcome") in (LEARNED, LEARNED_SLOWLY) for row in self.records)

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
        """Return whether some runs learned, or all of a few are better than a guess.

        Args:
          metric: the metric of the sweep.
        """
        is_few = 0 < len(self.records) < FEW_SEEDS
        values = self.metric_by_seed.values()
        return self.learned_runs > 0 or (is_few and all(map(metric.is_better_than_chance, values)))

    @property
    def full_label(self) -> str:
        """The label, and how many of its runs diverged, if any."""
        diverged = len(self.diverged_seeds)
        if not diverged:
            return self.label
        return f"{self.label} ({diverged} of {len(self.metric_by_seed)} diverged)"


@dataclass(frozen=True)
class Facet:
    """One combination of the program axes, and the candidates compared in it, best first.

    Candidates with at least two seeds come first, because one run says nothing about the spread.

    Args:
      config: value by program axis.
      label: the combination for people.
      candidates: the candidates, best first.
      absent: labels of the candidates of which no run has finished.
      expected_runs: number of runs when the sweep is complete; 0 if it is unknown.

    >>> Facet({"activation": "relu"}, "relu", ()).label
    'relu'
    """

    config: dict[str, Any]
    label: str
    candidates: tuple[Candidate, ...]
    absent: tuple[str, ...] = ()
    expected_runs: int = 0

    @property
    def finished_runs(self) -> int:
        """Number of runs that have finished."""
        return sum(len(each.metric_by_seed) for each in self.candidates)


def find_facets(records: Iterable[RecordRow], outline: Outline) -> tuple[Facet, ...]:
    """Group records by the program axes, then by the candidate axes, in the order of the axes.

    Args:
      records: the records, in the order of the axes and the seeds.
      outline: the outline of the sweep.

    Returns:
      One facet per combination of the program axes.

    >>> outline = Outline(
    ...     task="digits",
    ...     metric=Metric("loss"),
    ...     axes={"init": ["zeros"], "depth": [2, 4]},
    ...     program_axes=("depth",),
    ...     seeds=(0,),
    ...     total_lanes=2,
    ... )
    >>> rows = [{"init": "zeros", "depth": depth, "seed": 0, "loss": 1.0} for depth in (2, 4)]
    >>> [facet.label for facet in find_facets(rows, outline)]
    ['depth 2', 'depth 4']
    """
    return tuple(
        _build_facet(config, group, outline)
        for config, group in _group_by_axes(records, outline.program_axes)
    )


def candidate_labels(outline: Outline) -> list[str]:
    """Return the label of every candidate of the outline, in the order of the axes.

    >>> axes = {"init": ["zeros", "ones"], "lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, (), (0,), total_lanes=4)
    >>> candidate_labels(outline)[:2]
    ['zeros [lr=0.1]', 'zeros [lr=1]']
    """
    axes = outline.candidate_axes
    combinations = itertools.product(*(outline.axes[axis] for axis in axes))
    return [_candidate_label(dict(zip(axes, row, strict=True)), outline) for row in combinations]


def _group_by_axes(
    rows: Iterable[RecordRow], axes: tuple[str, ...]
) -> list[tuple[dict[str, Any], tuple[RecordRow, ...]]]:
    groups: dict[tuple, list[RecordRow]] = {}
    for row in rows:
        groups.setdefault(tuple(canonical_value(row[axis]) for axis in axes), []).append(row)
    return [({axis: group[0][axis] for axis in axes}, tuple(group)) for group in groups.values()]


def _build_facet(config: dict[str, Any], rows: tuple[RecordRow, ...], outline: Outline) -> Facet:
    metric = outline.metric
    finite = [row[metric.name] for row in rows if not has_diverged(row, metric)]
    worst = metric.worst_value(finite)
    groups = _group_by_axes(rows, outline.candidate_axes)
    candidates = [_build_candidate(each, group, outline, worst) for each, group in groups]
    labels, present = candidate_labels(outline), {each.label for each in candidates}
    return Facet(
        config,
        _facet_label(config, outline),
        tuple(sorted(candidates, key=lambda each: _sort_key(each, metric))),
        absent=tuple(label for label in labels if label not in present),
        expected_runs=len(labels) * len(outline.seeds),
    )


def _build_candidate(
    config: dict[str, Any], rows: tuple[RecordRow, ...], outline: Outline, worst: float
) -> Candidate:
    metric = outline.metric
    diverged = {row["seed"] for row in rows if has_diverged(row, metric)}
    return Candidate(
        config=config,
        label=_candidate_label(config, outline),
        records=rows,
        metric_by_seed={
            row["seed"]: worst if row["seed"] in diverged else row[metric.name] for row in rows
        },
        diverged_seeds=tuple(sorted(diverged)),
    )


def _sort_key(candidate: Candidate, metric: Metric) -> tuple[bool, bool, float]:
    mean = candidate.interval.mean
    return len(candidate.metric_by_seed) < 2, math.isnan(mean), -metric.merit(mean)


def _facet_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Return words without their axis (`relu`), and numbers with it if they vary (`depth 2`)."""
    words, varying = _text_values(config), _varying_number_axes(config, outline)
    return ", ".join([*words, *(f"{axis} {value_text(config[axis])}" for axis in varying)])


def _candidate_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Return words, then numbers in brackets (`he_normal [lr=0.1]`).

    A list of labels needs commas between two of them.
    """
    words = ", ".join(_text_values(config))
    pairs = [f"{axis}={value_text(config[axis])}" for axis in _varying_number_axes(config, outline)]
    if not words:
        return ", ".join(pairs) or "the initialization"
    return f"{words} [{', '.join(pairs)}]" if pairs else words


def _text_values(config: Mapping[str, Any]) -> list[str]:
    return [value_text(value) for value in config.values() if isinstance(value, str)]


def _varying_number_axes(config: Mapping[str, Any], outline: Outline) -> list[str]:
    return [
        axis
        for axis, value in config.items()
        if axis in outline.varying_axes and not isinstance(value, str)
    ]
