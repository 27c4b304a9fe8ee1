"""Records grouped for comparison: a facet holds candidates, each with one record per seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jinit.report.sweep.candidate import Candidate, RecordRow
from jinit.report.sweep.labels import candidate_label, competitor_label, facet_label
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import diverged_value, has_diverged
from jinit.report.sweep.outline import AxisValues, Outline, canonical_value
from jinit.report.sweep.tuning import best_rows, selection_metric

_Row = TypeVar("_Row", bound=Mapping[str, Any])


@dataclass(frozen=True)
class Facet:
    """One combination of the axes that neither compete nor are tuned, with its candidates.

    A candidate is a competitor with the best of its tuned values. Candidates with at least two
    seeds come first, because one run says nothing about the spread.

    Args:
      config: value by axis of the facet.
      label: the combination for people.
      candidates: the candidates, best first.
      absent: labels of the competitors of which no run has finished.
      expected_runs: number of runs when the sweep is complete; 0 if it is unknown.
      finished_runs: number of runs that have finished, of all configurations.
      tuned_axes: the axes whose values were chosen by these runs.
      test_metric: a column of the test examples to show besides the metric; None without one.

    >>> Facet({"activation": "relu"}, "relu", ()).label
    'relu'
    """

    config: dict[str, Any]
    label: str
    candidates: tuple[Candidate, ...]
    absent: tuple[str, ...] = ()
    expected_runs: int = 0
    finished_runs: int = 0
    tuned_axes: tuple[str, ...] = ()
    test_metric: Metric | None = None


def find_facets(records: Iterable[RecordRow], outline: Outline) -> tuple[Facet, ...]:
    """Group records by the axes of the facets, then by those that compete.

    Args:
      records: the records, in the order of the axes and the seeds.
      outline: the outline of the sweep.

    Returns:
      One facet per combination of the axes that neither compete nor are tuned.

    >>> outline = Outline(
    ...     task="digits",
    ...     metric=Metric("loss"),
    ...     axes={"init": ["zeros"], "depth": [2, 4]},
    ...     compare=("init",),
    ...     seeds=(0,),
    ...     total_lanes=2,
    ... )
    >>> rows = [{"init": "zeros", "depth": depth, "seed": 0, "loss": 1.0} for depth in (2, 4)]
    >>> [facet.label for facet in find_facets(rows, outline)]
    ['depth 2', 'depth 4']
    """
    rows = tuple(records)
    selection = selection_metric(rows, outline)
    expected = {
        _facet_key(configs[0], outline): configs
        for configs in group_by_axes(outline.configurations, outline.facet_axes)
    }
    return tuple(
        _build_facet(group, expected.get(_facet_key(group[0], outline), ()), outline, selection)
        for group in group_by_axes(rows, outline.facet_axes)
    )


def group_by_axes(rows: Iterable[_Row], axes: Iterable[str]) -> list[tuple[_Row, ...]]:
    """Return the records of every combination of values of some axes, in their order.

    Args:
      rows: the records, or configurations.
      axes: the axes.

    >>> rows = [{"lr": 1, "seed": 0}, {"lr": 2, "seed": 0}, {"lr": 1.0, "seed": 1}]
    >>> [len(group) for group in group_by_axes(rows, ["lr"])]
    [2, 1]
    """
    axes = tuple(axes)
    groups: dict[tuple, list[_Row]] = {}
    for row in rows:
        key = tuple(canonical_value(row.get(axis)) for axis in axes)
        groups.setdefault(key, []).append(row)
    return [tuple(group) for group in groups.values()]


def competitor_labels(outline: Outline) -> list[str]:
    """Return the label of every competitor, in the order of the configurations.

    Args:
      outline: the outline of the sweep.

    >>> axes = {"init": ["zeros", "ones"], "lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 4, tune=("lr",))
    >>> competitor_labels(outline)
    ['zeros', 'ones']
    """
    return _distinct_labels(outline.configurations, outline)


def _distinct_labels(configs: Iterable[AxisValues], outline: Outline) -> list[str]:
    return list(dict.fromkeys(competitor_label(config, outline) for config in configs))


def _facet_key(row: Mapping[str, Any], outline: Outline) -> tuple:
    return tuple(canonical_value(row.get(axis)) for axis in outline.facet_axes)


def _build_facet(
    rows: tuple[RecordRow, ...], configs: Sequence[AxisValues], outline: Outline, selection: Metric
) -> Facet:
    """Build a facet from its records and the configurations that it should have."""
    metric, config = outline.metric, {axis: rows[0].get(axis) for axis in outline.facet_axes}
    worst = diverged_value(rows, metric)
    chosen = _choose_rows(rows, outline, selection)
    candidates = [_build_candidate(group, outline, worst) for group in chosen]
    present = {each.name for each in candidates}
    return Facet(
        config,
        facet_label(config, outline),
        tuple(sorted(candidates, key=lambda each: _sort_key(each, metric))),
        absent=tuple(each for each in _distinct_labels(configs, outline) if each not in present),
        expected_runs=len(configs) * len(outline.seeds),
        finished_runs=len(rows),
        tuned_axes=outline.varying_tuned_axes,
        test_metric=outline.test_metric,
    )


def _choose_rows(
    rows: tuple[RecordRow, ...], outline: Outline, selection: Metric
) -> list[tuple[RecordRow, ...]]:
    """Return the records of the best configuration of every competitor."""
    worst = diverged_value(rows, selection)
    competitors = group_by_axes(rows, outline.compare)
    groups = [group_by_axes(competitor, outline.tune) for competitor in competitors]
    return [best_rows(each, selection, worst) for each in groups]


def _build_candidate(rows: tuple[RecordRow, ...], outline: Outline, worst: float) -> Candidate:
    metric, first = outline.metric, rows[0]
    axes = [axis for axis in outline.axes if axis not in outline.facet_axes]
    diverged = {row["seed"] for row in rows if has_diverged(row, metric)}
    return Candidate(
        config={axis: first[axis] for axis in axes if first.get(axis) is not None},
        label=candidate_label(first, outline),
        records=rows,
        metric_by_seed={
            row["seed"]: worst if row["seed"] in diverged else row[metric.name] for row in rows
        },
        diverged_seeds=tuple(sorted(diverged)),
        competitor=competitor_label(first, outline),
    )


def _sort_key(candidate: Candidate, metric: Metric) -> tuple[bool, bool, float]:
    mean = candidate.interval.mean
    return len(candidate.metric_by_seed) < 2, math.isnan(mean), -metric.merit(mean)
