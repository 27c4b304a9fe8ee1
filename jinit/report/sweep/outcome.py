"""The outcome of every run: learned, learned slowly, did not learn, or diverged.

A run has learned if its metric is better than that of a guess by more than three standard errors
over the validation examples. It has learned slowly if it is then still nearer to the guess than to
the best configuration of the sweep.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jinit.report.sweep.intervals import FLOAT32_RESOLUTION
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline, canonical_value

LEARNED, LEARNED_SLOWLY, DID_NOT_LEARN, DIVERGED = (
    "learned",
    "learned slowly",
    "did not learn",
    "diverged",
)

OUTCOME_STYLES = {
    LEARNED: "green",
    LEARNED_SLOWLY: "yellow",
    DID_NOT_LEARN: "red",
    DIVERGED: "bold red",
}
"""Style of every outcome in the terminal."""

STANDARD_ERRORS = 3.0
"""Standard errors by which a run must be better than a guess: a guess is with probability 0.1 %."""

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class OutcomeScale:
    """The two values that the metric of a run is compared with.

    Args:
      metric: the metric of the sweep.
      guess: the metric of a guess that ignores the input; NaN if it is unknown.
      best: the metric of the best configuration, mean over seeds; NaN if no run is finite.
      examples: number of validation examples.

    >>> scale = OutcomeScale(Metric("validation_accuracy"), guess=0.1, best=0.98, examples=360)
    >>> [scale.outcome({"validation_accuracy": value}) for value in (0.97, 0.5, 0.11, None)]
    ['learned', 'learned slowly', 'did not learn', 'diverged']
    """

    metric: Metric
    guess: float
    best: float
    examples: int

    def outcome(self, row: _Row) -> str:
        """Return the outcome of a run.

        Args:
          row: its record.
        """
        if has_diverged(row, self.metric):
            return DIVERGED
        value = row[self.metric.name]
        lead = self._lead(value)
        rounding = FLOAT32_RESOLUTION * abs(value)
        if not lead > max(STANDARD_ERRORS * self._standard_error(row), rounding):
            return DID_NOT_LEARN
        return LEARNED_SLOWLY if lead < self._lead(self.best) / 2 else LEARNED

    def _lead(self, value: float) -> float:
        return self.metric.merit(value) - self.metric.merit(self.guess)

    def _standard_error(self, row: _Row) -> float:
        """Return the standard error of the metric over the validation examples."""
        if self.metric.larger_is_better:
            hits = min(max(row[self.metric.name], 0.0), 1.0)
            return math.sqrt(hits * (1 - hits) / max(self.examples, 1))
        error = row.get("validation_loss_error")
        return error if error is not None and math.isfinite(error) else 0.0


def has_diverged(row: _Row, metric: Metric) -> bool:
    """Return whether a lane reached NaN or infinity, or has no finite value of the metric.

    >>> has_diverged({"validation_loss": 0.1, "diverged_at": 40}, Metric("validation_loss"))
    True
    """
    value, step = row.get(metric.name), row.get("diverged_at")
    has_step = step is not None and not math.isnan(step)
    return has_step or value is None or not math.isfinite(value)


def outcomes(rows: Sequence[_Row], outline: Outline) -> list[str]:
    """Return the outcome of every run.

    Args:
      rows: the records of the sweep.
      outline: its outline.

    >>> axes = {"init": ["zeros", "he_normal"]}
    >>> metric = Metric("validation_loss", chance=2.3)
    >>> outline = Outline("digits", metric, axes, (), (0,), total_lanes=2)
    >>> losses = {"zeros": 2.3, "he_normal": 0.1}
    >>> rows = [{"init": init, "validation_loss": loss} for init, loss in losses.items()]
    >>> outcomes(rows, outline)
    ['did not learn', 'learned']
    """
    scale = _find_scale(rows, outline)
    return [scale.outcome(row) for row in rows]


def _find_scale(rows: Sequence[_Row], outline: Outline) -> OutcomeScale:
    metric = outline.metric
    guess = metric.chance if metric.chance is not None else _best_untrained(rows, metric)
    return OutcomeScale(metric, guess, _best_mean(rows, outline), outline.validation_examples)


def _best_untrained(rows: Iterable[_Row], metric: Metric) -> float:
    """Return the best metric of an untrained network, which stands for an unknown guess."""
    firsts = [(row.get(f"{metric.name}_curve") or [None])[0] for row in rows]
    finite = [first for first in firsts if first is not None and math.isfinite(first)]
    return max(finite, key=metric.merit, default=math.nan)


def _best_mean(rows: Iterable[_Row], outline: Outline) -> float:
    """Return the best mean over seeds of all configurations; divergence counts as the worst."""
    metric, groups = outline.metric, {}
    for row in rows:
        config = tuple(canonical_value(row[axis]) for axis in outline.axes)
        value = math.nan if has_diverged(row, metric) else row[metric.name]
        groups.setdefault(config, []).append(value)
    worst = metric.worst_value(value for values in groups.values() for value in values)
    means = [float(np.mean(np.nan_to_num(values, nan=worst))) for values in groups.values()]
    return max(means, key=metric.merit, default=math.nan)
