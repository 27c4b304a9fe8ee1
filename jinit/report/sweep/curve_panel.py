"""The panel of learning curves, drawn on given axes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.figure_title import TEXT_COLOR
from jinit.report.sweep.measures import Curves, seed_curves
from jinit.report.sweep.metric import Metric, known_direction
from jinit.report.sweep.profile import mean_profile
from jinit.report.text import compact_text, join_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LineStyles = Mapping[str, Mapping[str, Any]]
"""Line options of matplotlib by the name of a candidate."""

BAND_OPACITY = 0.16
# Losses above this multiple of the median loss at step 0 are cut off to keep the others visible.
_LOSS_HEADROOM = 3.0
_LONGEST_NOTE = 46  # characters that fit into the width of a panel


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


def draw_curves(
    axes: "Axes",
    candidates: Sequence[Candidate],
    styles: LineStyles,
    column: str,
    limits: tuple[float, float] | None,
) -> None:
    """Draw the loss over steps: a line and a band per candidate, a cross where a seed diverged.

    Args:
      axes: the axes to draw on.
      candidates: the candidates; the first is drawn on top.
      styles: line options by name.
      column: the column of the curves.
      limits: limits of a logarithmic loss axis; None for a linear axis.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> rows = ({"step": [0, 1], "loss": [2.0, 1.0], "seed": 0},)
    >>> ones = Candidate({}, "ones", rows, {}, ())
    >>> draw_curves(axes, [ones], {"ones": {"color": "black"}}, "loss", (0.5, 3.0))
    >>> axes.get_yscale(), len(axes.lines)
    ('log', 1)
    """
    for rank, candidate in enumerate(candidates):
        curves = seed_curves(candidate, column)
        profile = mean_profile(curves.lines, logarithmic=limits is not None)
        options = {**styles[candidate.name], "zorder": 4 - rank / len(candidates)}
        color = options["color"]
        axes.plot(curves.steps, profile.mean, **options)
        axes.fill_between(
            curves.steps, profile.low, profile.high, color=color, alpha=BAND_OPACITY, linewidth=0
        )
        _mark_divergence(axes, candidate, curves, color, limits)
    if limits is not None:
        axes.set_yscale("log")
        axes.set_ylim(limits)
        _set_plain_ticks(axes, limits)


def annotate_guesses(axes: "Axes", final_losses: Mapping[str, float]) -> None:
    """Name the candidates no better than a guess: their lines coincide, or lie above the panel.

    Args:
      axes: a drawn panel.
      final_losses: last loss by label, of the candidates no better than a guess; NaN if diverged.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> limits = axes.set_ylim(0.1, 5.0)
    >>> annotate_guesses(axes, {"zeros": 2.3, "ones": 2.3, "huge": 60.0})
    >>> [text.get_text() for text in axes.texts]
    ['no better than a guess: zeros and ones', 'above this range: huge']
    """
    bottom, top = axes.get_ylim()
    guesses = [label for label, loss in final_losses.items() if bottom < loss < top]
    above = [label for label, loss in final_losses.items() if loss >= top]
    style: dict[str, Any] = {
        "color": TEXT_COLOR,
        "fontsize": 7.5,
        "ha": "right",
        "parse_math": False,
    }
    if guesses:
        axes.annotate(
            _note("no better than a guess", guesses),
            xy=(0.99, float(np.median([final_losses[label] for label in guesses]))),
            xytext=(0, 3),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="bottom",
            **style,
        )
    if above:
        axes.annotate(
            _note("above this range", above),
            xy=(0.99, 0.985),
            xycoords="axes fraction",
            va="top",
            **style,
        )


def _note(text: str, labels: Sequence[str]) -> str:
    """Return the text with the labels that fit, and the number of the others."""
    for shown in range(len(labels), 0, -1):
        others = len(labels) - shown
        names = [*labels[:shown], f"{others} {'other' if others == 1 else 'others'}"]
        note = f"{text}: {join_names(names if others else labels, most=len(names))}"
        if len(note) <= _LONGEST_NOTE:
            return note
    return f"{len(labels)} {text}"


def _set_plain_ticks(axes: "Axes", limits: tuple[float, float]) -> None:
    """Set ticks such as 0.1, 0.2, 0.5, since a small range has few powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if limits[1] / limits[0] < 1e3:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact_text(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_divergence(
    axes: "Axes",
    candidate: Candidate,
    curves: Curves,
    color: str,
    limits: tuple[float, float] | None,
) -> None:
    """Draw a cross at the last finite loss of every seed that diverged, or at the upper edge."""
    for row, line in zip(candidate.records, curves.lines, strict=True):
        known = np.flatnonzero(np.isfinite(line))
        if row["seed"] not in candidate.diverged_seeds or not known.size:
            continue
        step, loss = curves.steps[known[-1]], line[known[-1]]
        height = min(loss, limits[1]) if limits else loss
        axes.plot(step, height, "x", color=color, markersize=5, clip_on=False, zorder=5)
