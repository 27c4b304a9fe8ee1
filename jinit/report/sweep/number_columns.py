"""The columns of numbers in the table of a sweep."""

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
      meaning: what the column shows, for the caption; empty if the heading says it.

    >>> NumberColumn("runs", lambda candidate, _: str(len(candidate.records))).header
    'runs'
    """

    header: str
    text: Callable[[Candidate, Metric], str]
    meaning: str = ""


def _std_text(candidate: Candidate, _: Metric) -> str:
    stds = hidden_layer_values(candidate, "activation_std")
    if not stds.size:
        return UNKNOWN_TEXT
    first, last = np.median(stds[:, [0, -1]], axis=0)
    return f"{_short_number(float(first))}→{_short_number(float(last))}"


def _short_number(value: float) -> str:
    """Return a number with two significant digits, or with one before an exponent."""
    text = compact_text(value)
    return compact_text(value, 1) if "e" in text else text


def _percent_text(column: str) -> Callable[[Candidate, Metric], str]:
    def text(candidate: Candidate, _: Metric) -> str:
        fractions = hidden_layer_values(candidate, column)
        return f"{100 * fractions.mean():.0f}" if fractions.size else UNKNOWN_TEXT

    return text


def _final_text(column: str) -> Callable[[Candidate, Metric], str]:
    """Return a function for the text of a final value.

    The text has an interval if the column is the metric; otherwise it is a mean.
    """

    def text(candidate: Candidate, metric: Metric) -> str:
        if column == metric.name:
            return _sample_text(metric, candidate.metric_by_seed.values())
        values = finite_values(candidate, column)
        return _mean_text(column, float(values.mean())) if values.size else UNKNOWN_TEXT

    return text


def _mean_text(column: str, mean: float) -> str:
    return Metric(column).metric_text(mean).removesuffix(" %")


def _sample_text(metric: Metric, values: Collection[float]) -> str:
    """Return the metric over seeds without the percent sign, which is in the heading."""
    return metric.sample_text(values).replace(" %", "").replace(" to ", "–")


_DIVERGED = NumberColumn(
    header="diverged",
    text=lambda candidate, _: str(len(candidate.diverged_seeds) or ""),
    meaning="diverged: runs that diverged; their accuracy is that of a guess, their loss the worst",
)
_STD = NumberColumn(
    header="std first\n→ last",
    text=_std_text,
    meaning="std: of layer outputs at step 0, first → last hidden layer, median over seeds",
)
_DEAD = NumberColumn(
    header="dead\n%",
    text=_percent_text("dead_fraction"),
    meaning="dead, sat.: dead units and saturated activations at step 0",
)
_SATURATED = NumberColumn(
    header="sat.\n%", text=_percent_text("saturated_fraction"), meaning=_DEAD.meaning
)
_TRAIN_LOSS = NumberColumn(header="train\nloss", text=_final_text("train_loss"))
_VALIDATION_LOSS = NumberColumn(header="valid.\nloss", text=_final_text("validation_loss"))
_ACCURACY = NumberColumn(header="accuracy\n%", text=_final_text("validation_accuracy"))

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
        values = finite_values(candidate, metric.name).tolist()
        if metric.name == decisive.name:
            values = list(candidate.metric_by_seed.values())
        return _sample_text(metric, values) if values else UNKNOWN_TEXT

    kind, _, name = metric.name.partition("_")
    header = f"{kind.replace('validation', 'valid.')}\n{name.replace('_', ' ')}".strip()
    return NumberColumn(f"{header} %" if metric.is_percentage else header, text)
