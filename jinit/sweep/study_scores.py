"""The scores of the configurations of one batch of a study, from the records of its sweep."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jinit.record import METRIC_PREFIXES
from jinit.report import Results
from jinit.report.sweep.facets import group_by_axes
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outcome import diverged_value, has_diverged
from jinit.report.sweep.records import read_records


class Score(NamedTuple):
    """The value of one configuration for a study, and what is recorded besides."""

    value: float
    """Mean over seeds of the metric; NaN if nothing finite is known of it."""
    curve: dict[int, float]
    """The mean over seeds by step, up to the first one at which it is not finite."""
    by_seed: dict[int, float | None]
    """The metric by seed; None for a diverged run."""
    metrics: dict[str, float | None]
    """Means over seeds of all columns of numbers; None if one is not finite."""

    @property
    def has_diverged(self) -> bool:
        """Whether a run has diverged."""
        return None in self.by_seed.values()


def read_scores(
    results: Results, configs: Sequence[Mapping[str, Any]], known: Iterable[float]
) -> list[Score]:
    """Return the score of every configuration.

    A diverged run has the worst value of all runs of the batch, of those known from before, and of
    a guess, so that a study has a finite number to learn from.

    Args:
      results: the results of the batch.
      configs: the configurations, each of them a recorded value by axis.
      known: values of the metric from earlier batches.
    """
    outline = results.outline
    records = read_records(results.directory, outline)
    metric, rows = outline.metric, records.to_pylist()
    columns = [name for name in records.column_names if _is_number(name, rows)]
    worst = metric.worst_value([*known, diverged_value(rows, metric)])
    groups = group_by_axes(rows, tuple(outline.axes))
    scores = {
        outline.config_key(group[0]): _score(group, metric, worst, columns) for group in groups
    }
    return [scores[outline.config_key(config)] for config in configs]


def _is_number(column: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a column is a metric with one number for each run."""
    is_metric = column.startswith(METRIC_PREFIXES)
    return is_metric and all(isinstance(row[column], float | None) for row in rows)


def _score(
    rows: Sequence[Mapping[str, Any]], metric: Metric, worst: float, columns: Sequence[str]
) -> Score:
    found = {
        row["seed"]: None if has_diverged(row, metric) else float(row[metric.name]) for row in rows
    }
    values = [worst if value is None else value for value in found.values()]
    return Score(
        value=float(np.mean(values)),
        curve=_mean_curve(rows, metric),
        by_seed=found,
        metrics={name: _finite_mean([row[name] for row in rows]) for name in columns},
    )


def _mean_curve(rows: Sequence[Mapping[str, Any]], metric: Metric) -> dict[int, float]:
    """Return the mean over seeds by step, as far as it is finite and every seed was trained."""
    curves = [row.get(f"{metric.name}_curve") or [] for row in rows]
    steps = min((row["step"] for row in rows), key=len)
    means: dict[int, float] = {}
    for step, *values in zip(steps, *curves, strict=False):
        if (mean := _finite_mean(values)) is None:
            break
        means[int(step)] = mean
    return means


def _finite_mean(values: Sequence[float | None]) -> float | None:
    known = [math.nan if value is None else value for value in values]
    mean = float(np.mean(known))
    return mean if math.isfinite(mean) else None
