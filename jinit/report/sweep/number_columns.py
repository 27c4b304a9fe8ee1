"""The columns of numbers in the table of a sweep."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.measures import finite_values, hidden_layer_values
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline
from jinit.report.text import UNKNOWN_TEXT, compact_text


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers.

    Args:
      header: its heading.
      text: the cell of a candidate, given the metric of the sweep.
      number: the number by which the column is sorted; NaN if it is unknown.
      meaning: what the column shows, for the caption; empty if the heading says it.

    >>> NumberColumn("one", lambda candidate, _: "1", lambda candidate, _: 1.0).header
    'one'
    """

    header: str
    text: Callable[[Candidate, Metric], str]
    number: Callable[[Candidate, Metric], float]
    meaning: str = ""


def _median_stds(candidate: Candidate) -> np.ndarray:
    """Return the std of the first and of the last hidden layer; empty if none was measured."""
    stds = hidden_layer_values(candidate, "activation_std")
    return np.median(stds[:, [0, -1]], axis=0) if stds.size else np.empty(0)


def _std_text(candidate: Candidate, _: Metric) -> str:
    stds = _median_stds(candidate).tolist()
    return "→".join(map(_short_number, stds)) or UNKNOWN_TEXT


def _std_number(candidate: Candidate, _: Metric) -> float:
    return _last(_median_stds(candidate))


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if values.size else math.nan


def _short_number(value: float) -> str:
    """Return a number with two significant digits, or with one before an exponent."""
    text = compact_text(value)
    return compact_text(value, 1) if "e" in text else text


def _percentage_column(column: str, header: str) -> NumberColumn:
    """Return the column of the mean of a fraction over the hidden layers."""

    def number(candidate: Candidate, _: Metric) -> float:
        return 100 * _mean(hidden_layer_values(candidate, column))

    def text(candidate: Candidate, metric: Metric) -> str:
        value = number(candidate, metric)
        return UNKNOWN_TEXT if math.isnan(value) else f"{value:.0f}"

    meaning = "dead, sat.: dead units and saturated activations at step 0"
    return NumberColumn(header, text, number, meaning)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _final_values(candidate: Candidate, column: str, metric: Metric) -> np.ndarray:
    """Return the final values of a column; those of the metric have one for diverged runs too."""
    if column == metric.name:
        return np.array(list(candidate.metric_by_seed.values()), float)
    return finite_values(candidate, column)


def _plain_column(column: str, header: str) -> NumberColumn:
    """Return the column of a final value.

    The text has an interval if the column is the metric; otherwise it is a mean.
    """

    def text(candidate: Candidate, metric: Metric) -> str:
        values = _final_values(candidate, column, metric)
        if column == metric.name:
            return _sample_text(metric, values.tolist())
        return _mean_text(column, _mean(values)) if values.size else UNKNOWN_TEXT

    return NumberColumn(header, text, _final_number(column))


def _final_number(column: str) -> Callable[[Candidate, Metric], float]:
    return lambda candidate, metric: _mean(_final_values(candidate, column, metric))


def _mean_text(column: str, mean: float) -> str:
    return Metric(column).metric_text(mean).removesuffix(" %")


def _sample_text(metric: Metric, values: Collection[float]) -> str:
    """Return the metric over seeds without the percent sign, which is in the heading."""
    return metric.sample_text(values).replace(" %", "").replace(" to ", "–")


_DIVERGED = NumberColumn(
    header="diverged",
    text=lambda candidate, _: str(len(candidate.diverged_seeds) or ""),
    number=lambda candidate, _: len(candidate.diverged_seeds),
    meaning="diverged: runs that diverged; their accuracy is that of a guess, their loss the worst",
)
_STD = NumberColumn(
    header="std first\n→ last",
    text=_std_text,
    number=_std_number,
    meaning="std: of layer outputs at step 0, first → last hidden layer, median over seeds",
)
_DEAD = _percentage_column("dead_fraction", "dead\n%")
_SATURATED = _percentage_column("saturated_fraction", "sat.\n%")
_TRAIN_LOSS = _plain_column("train_loss", "train\nloss")
_VALIDATION_LOSS = _plain_column("validation_loss", "valid.\nloss")
_ACCURACY = _plain_column("validation_accuracy", "accuracy\n%")

REMOVABLE = (_SATURATED, _DEAD, _TRAIN_LOSS, _STD, _VALIDATION_LOSS, _DIVERGED, _ACCURACY)
"""Columns in the order in which they are left out."""


def sweep_columns(facets: Sequence[Facet], outline: Outline) -> list[NumberColumn]:
    """Return the columns, without those for which there are no records; the metric is the last.

    Args:
      facets: the facets of the sweep.
      outline: the outline of the sweep.

    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_loss"), axes, ("init",), (0,), 1)
    >>> sweep_columns((), outline)[-1].header.split()
    ['valid.', 'loss']
    """
    candidates = [candidate for facet in facets for candidate in facet.candidates]
    columns = [_STD, _DEAD, _SATURATED, _TRAIN_LOSS, _VALIDATION_LOSS]
    if any(each.diverged_seeds for each in candidates):
        columns.insert(0, _DIVERGED)
    if any(finite_values(each, "validation_accuracy").size for each in candidates):
        columns.append(_ACCURACY)
    if outline.test_metric is not None:
        columns.append(_final_column(outline.test_metric))
    known = {"train_loss": _TRAIN_LOSS, "validation_loss": _VALIDATION_LOSS}
    decisive = known | {"validation_accuracy": _ACCURACY}
    last = decisive.get(outline.metric.name) or _final_column(outline.metric)
    return [*(column for column in columns if column is not last), last]


def _final_column(metric: Metric) -> NumberColumn:
    """Return the column of another metric; that of the test examples has an interval as well."""

    def text(candidate: Candidate, decisive: Metric) -> str:
        values = _final_values(candidate, metric.name, decisive).tolist()
        return _sample_text(metric, values) if values else UNKNOWN_TEXT

    kind, _, name = metric.name.partition("_")
    header = f"{kind.replace('validation', 'valid.')}\n{name.replace('_', ' ')}".strip()
    header = f"{header} %" if metric.is_percentage else header
    return NumberColumn(header, text, _final_number(metric.name))
