"""The outcome of every run: learned, learned slowly, unclear, did not learn, or diverged.

A run has learned if its metric is better than that of a guess by more than three standard errors
over the validation examples. It has learned slowly if it is then still nearer to the guess than to
the best configuration of the sweep. A run that is within three standard errors of a guess did not
learn only if it came less than a tenth of the way from the guess to a perfect run, which has
accuracy 1 or loss 0. Otherwise the validation examples are too few to tell, and it is unclear.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jinit.report.sweep.intervals import FLOAT32_RESOLUTION
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline

LEARNED, LEARNED_SLOWLY, UNCLEAR, DID_NOT_LEARN, DIVERGED = (
    "learned",
    "learned slowly",
    "unclear",
    "did not learn",
    "diverged",
)

OUTCOME_STYLES = {
    LEARNED: "green",
    LEARNED_SLOWLY: "yellow",
    UNCLEAR: "yellow",
    DID_NOT_LEARN: "red",
    DIVERGED: "bold red",
}
"""Style of every outcome in the terminal."""

STANDARD_ERRORS = 3.0
"""Standard errors by which a run must be better than a guess: a guess is with probability 0.1 %."""

# Chosen, not derived: less than this share of the way to a perfect run is no sign of learning.
_SMALL_SHARE = 0.1

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
        if math.isnan(self.guess):
            return UNCLEAR
        value = row[self.metric.name]
        lead = self._lead(value)
        rounding = FLOAT32_RESOLUTION * abs(value)
        if not lead > max(STANDARD_ERRORS * self._standard_error(row), rounding):
            is_small = not lead > max(_SMALL_SHARE * self._lead(self._perfect_value), rounding)
            return DID_NOT_LEARN if is_small else UNCLEAR
        return LEARNED_SLOWLY if lead < self._lead(self.best) / 2 else LEARNED

    def _lead(self, value: float) -> float:
        return self.metric.merit(value) - self.metric.merit(self.guess)

    @property
    def _perfect_value(self) -> float:
        """The metric of a perfect run; the best that is known where there is no such value."""
        if self.metric.is_percentage:
            return 1.0
        is_bounded = self.metric.name.endswith(("loss", "error")) and self.guess > 0
        return 0.0 if is_bounded and not self.best < 0 else self.best

    def _standard_error(self, row: _Row) -> float:
        """Return the standard error of the metric over the validation examples."""
        if self.metric.is_percentage:
            hits = min(max(row[self.metric.name], 0.0), 1.0)
            return math.sqrt(hits * (1 - hits) / max(self.examples, 1))
        error = row.get(f"{self.metric.name}_error")
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
    >>> outline = Outline("digits", metric, axes, ("init",), (0,), total_lanes=2)
    >>> losses = {"zeros": 2.3, "he_normal": 0.1}
    >>> rows = [{"init": init, "validation_loss": loss} for init, loss in losses.items()]
    >>> outcomes(rows, outline)
    ['did not learn', 'learned']
    """
    scale = _find_scale(rows, outline)
    return [scale.outcome(row) for row in rows]


def diverged_value(rows: Sequence[_Row], metric: Metric) -> float:
    """Return the value that stands for a diverged run: the worst of all, and that of a guess.

    Args:
      rows: the records that are compared with each other.
      metric: the metric.

    >>> rows = [{"loss": 0.5, "loss_curve": [2.3, 0.5]}, {"loss": None}]
    >>> diverged_value(rows, Metric("loss"))
    2.3
    """
    values = [row[metric.name] for row in rows if not has_diverged(row, metric)]
    return metric.worst_value([*values, _guess(rows, metric)])


def _find_scale(rows: Sequence[_Row], outline: Outline) -> OutcomeScale:
    metric = outline.metric
    best = _best_mean(rows, outline)
    return OutcomeScale(metric, _guess(rows, metric), best, outline.validation_examples)


def _guess(rows: Iterable[_Row], metric: Metric) -> float:
    """Return the metric of a guess; the best of an untrained network stands for an unknown one."""
    if metric.chance is not None:
        return metric.chance
    firsts = [(row.get(f"{metric.name}_curve") or [None])[0] for row in rows]
    finite = [first for first in firsts if first is not None and math.isfinite(first)]
    return max(finite, key=metric.merit, default=math.nan)


def _best_mean(rows: Sequence[_Row], outline: Outline) -> float:
    """Return the best mean over seeds of all configurations; divergence counts as the worst."""
    metric, groups = outline.metric, {}
    for row in rows:
        value = math.nan if has_diverged(row, metric) else row[metric.name]
        groups.setdefault(outline.config_key(row), []).append(value)
    worst = diverged_value(rows, metric)
    means = [float(np.mean(np.nan_to_num(values, nan=worst))) for values in groups.values()]
    return max(means, key=metric.merit, default=math.nan)
