"""Learning curves as data: their column and limits, and what is said of single curves."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.measures import Curves, last_values, seed_curves
from jinit.report.sweep.metric import Metric, known_direction
from jinit.report.sweep.profile import mean_profile

# Losses above this multiple of the median loss at step 0 are cut off to keep the others visible.
_LOSS_HEADROOM = 3.0


def curve_column(candidates: Iterable[Candidate], metric: Metric) -> str:
    """Return the column of the curves to draw.

    It is the validation loss if recorded, else the train loss; where the metric is neither a loss
    nor an accuracy, it is the metric.

    Args:
      candidates: the candidates whose curves are drawn.
      metric: the metric of the sweep.

    >>> curve_column([], Metric("validation_accuracy"))
    'train_loss_curve'
    """
    wanted = ["validation_loss_curve"]
    if known_direction(metric.name) is None:
        wanted.insert(0, f"{metric.name}_curve")
    records = [row for candidate in candidates for row in candidate.records]
    recorded = [name for name in wanted if any(row.get(name) for row in records)]
    return (*recorded, "train_loss_curve")[0]


def curve_limits(candidates: Sequence[Candidate], column: str) -> tuple[float, float] | None:
    """Return limits of a logarithmic loss axis that show the curves that learn.

    Args:
      candidates: the candidates whose curves are drawn.
      column: the column of the curves.

    Returns:
      Lower and upper limit; None if there is no positive loss or one is negative.

    >>> rows = ({"step": [0, 1], "loss": [2.0, 0.5]},)
    >>> low, high = curve_limits([Candidate({}, "ones", rows, {}, ())], "loss")
    >>> 0.3 < low < 0.5, 2.0 < high < 7.0
    (True, True)
    """
    lines = [seed_curves(candidate, column).lines for candidate in candidates]
    losses = np.concatenate([line.ravel() for line in lines]) if lines else np.array([])
    losses = losses[np.isfinite(losses)]
    if not losses.size or losses.min() < 0 or not (losses > 0).any():
        return None
    first = np.concatenate([line[:, 0] for line in lines if line.size])
    first = first[np.isfinite(first)]
    median = float(np.median(first)) if first.size else math.inf
    means = [mean_profile(line, logarithmic=True).mean for line in lines]
    lowest = min(float(np.nanmin(mean)) for mean in means if np.isfinite(mean).any())
    return lowest / 1.5, min(float(losses.max()) * 1.3, median * _LOSS_HEADROOM)


def curve_name(column: str) -> str:
    """Return the name of a column of curves for people.

    >>> curve_name("validation_loss_curve")
    'validation loss'
    """
    return column.removesuffix("_curve").replace("_", " ")


def guess_losses(candidates: Sequence[Candidate], metric: Metric, column: str) -> dict[str, float]:
    """Return the last loss by name, median over seeds, of the candidates that did not learn.

    Args:
      candidates: the candidates whose curves are drawn.
      metric: the metric of the sweep.
      column: the column of the curves.

    >>> rows = ({"loss_curve": [2.0, 3.0], "outcome": "did not learn"},)
    >>> guess_losses([Candidate({}, "ones", rows, {0: 3.0}, ())], Metric("loss"), "loss_curve")
    {'ones': 3.0}
    """
    failed = [each for each in candidates if not each.has_learned(metric)]
    losses = {each.name: last_values(each, column) for each in failed}
    return {name: float(np.median(values)) for name, values in losses.items() if values.size}


def split_guesses(
    final_losses: Mapping[str, float], limits: tuple[float, float]
) -> tuple[list[str], list[str]]:
    """Return the labels whose last loss lies inside the limits of a panel, and those above it.

    Args:
      final_losses: last loss by label, of the candidates no better than a guess; NaN if diverged.
      limits: lower and upper limit of the panel.

    >>> split_guesses({"zeros": 2.3, "huge": 60.0}, (0.1, 5.0))
    (['zeros'], ['huge'])
    """
    bottom, top = limits
    inside = [label for label, loss in final_losses.items() if bottom < loss < top]
    return inside, [label for label, loss in final_losses.items() if loss >= top]


def divergence_marks(
    candidate: Candidate, curves: Curves, limits: tuple[float, float] | None
) -> list[tuple[float, float]]:
    """Return step and last finite loss of every seed that diverged, at most the upper limit.

    Args:
      candidate: the candidate.
      curves: its curves.
      limits: limits of the panel; None if it shows everything.

    >>> rows = ({"step": [0, 1], "loss": [2.0, math.nan], "seed": 0},)
    >>> ones = Candidate({}, "ones", rows, {}, diverged_seeds=(0,))
    >>> divergence_marks(ones, seed_curves(ones, "loss"), None)
    [(0.0, 2.0)]
    """
    marks = []
    for row, line in zip(candidate.records, curves.lines, strict=True):
        known = np.flatnonzero(np.isfinite(line))
        if row["seed"] in candidate.diverged_seeds and known.size:
            step, loss = float(curves.steps[known[-1]]), float(line[known[-1]])
            marks.append((step, min(loss, limits[1]) if limits else loss))
    return marks
