"""The panel of learning curves, drawn on axes that somebody else lays out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.facets import Candidate
from jinit.report.measures import curves
from jinit.report.metric import compact
from jinit.report.profile import profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Styles = Mapping[str, Mapping[str, Any]]

INK = "#333333"
BAND_OPACITY = 0.16
# Losses above this many times the usual loss at step 0 leave the panel, so that the rest is seen.
_HEADROOM = 3.0


def loss_column(candidates: Iterable[Candidate]) -> str:
    """The curve to draw: validation loss where it was recorded, else train loss.

    >>> loss_column([])
    'train_loss_curve'
    """
    recorded = any(row.get("validation_loss_curve") for each in candidates for row in each.rows)
    return "validation_loss_curve" if recorded else "train_loss_curve"


def curve_limits(candidates: Sequence[Candidate], column: str) -> tuple[float, float] | None:
    """Limits of a logarithmic loss axis that show what matters; None if a loss is negative.

    >>> rows = ({"step": [0, 1], "loss": [2.0, 0.5]},)
    >>> low, high = curve_limits([Candidate({}, "it", rows, {}, ())], "loss")
    >>> 0.3 < low < 0.5, 2.0 < high < 7.0
    (True, True)
    """
    lines = [curves(each, column)[1] for each in candidates]
    every = np.concatenate([line.ravel() for line in lines]) if lines else np.array([])
    every = every[np.isfinite(every)]
    if not every.size or every.min() < 0 or not (every > 0).any():
        return None
    starts = np.concatenate([line[:, 0] for line in lines if line.size])
    usual = float(np.median(starts[np.isfinite(starts)])) if np.isfinite(starts).any() else math.inf
    means = [profile(line, logarithmic=True).mean for line in lines]
    lowest = min(float(np.nanmin(mean)) for mean in means if np.isfinite(mean).any())
    return lowest / 1.5, min(float(every.max()) * 1.3, usual * _HEADROOM)


def draw_curves(
    axes: "Axes",
    candidates: Sequence[Candidate],
    styles: Styles,
    column: str,
    limits: tuple[float, float] | None,
) -> None:
    """Loss over steps, a line and a band per candidate, a cross where a seed diverged.

    Args:
        axes: where to draw.
        candidates: in drawing order, the first on top.
        styles: line options by label.
        column: the recorded curve.
        limits: of a logarithmic axis; None for a linear one.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> start = Candidate({}, "it", ({"step": [0, 1], "loss": [2.0, 1.0], "seed": 0},), {}, ())
    >>> draw_curves(axes, [start], {"it": {"color": "black"}}, "loss", (0.5, 3.0))
    >>> axes.get_yscale(), len(axes.lines)
    ('log', 1)
    """
    for depth, candidate in enumerate(candidates):
        steps, lines = curves(candidate, column)
        over = profile(lines, logarithmic=limits is not None)
        options = {**styles[candidate.label], "zorder": 4 - depth / len(candidates)}
        axes.plot(steps, over.mean, **options)
        axes.fill_between(
            steps, over.low, over.high, color=options["color"], alpha=BAND_OPACITY, linewidth=0
        )
        _cross_out(axes, candidate, (steps, lines), options["color"], limits)
    if limits is not None:
        axes.set_yscale("log")
        axes.set_ylim(limits)
        _plain_ticks(axes, limits)


def note_guesses(axes: "Axes", finals: Sequence[float]) -> None:
    """Says how many lines lie on one another at the loss of a guess, and how many above the panel.

    Args:
        axes: a drawn panel.
        finals: last loss of every candidate that is no better than a guess; NaN where it diverged.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> limits = axes.set_ylim(0.1, 5.0)
    >>> note_guesses(axes, [2.3, 2.3, 60.0])
    >>> [text.get_text() for text in axes.texts]
    ['2 no better than a guess', '1 above this range']
    """
    bottom, top = axes.get_ylim()
    inside = [each for each in finals if bottom < each < top]
    above = sum(each >= top for each in finals)
    style: dict[str, Any] = {"color": INK, "fontsize": 7.5, "ha": "right"}
    if inside:
        note = f"{len(inside)} no better than a guess"
        place: dict[str, Any] = {
            "xycoords": axes.get_yaxis_transform(),
            "textcoords": "offset points",
        }
        axes.annotate(note, (0.99, float(np.median(inside))), (0, 3), va="bottom", **place, **style)
    if above:
        note = f"{above} above this range"
        axes.annotate(note, (0.99, 0.985), va="top", xycoords="axes fraction", **style)


def _plain_ticks(axes: "Axes", limits: tuple[float, float]) -> None:
    """Ticks such as 0.1, 0.2, 0.5 instead of powers of ten, where those would be few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if limits[1] / limits[0] < 1e3:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _cross_out(
    axes: "Axes",
    candidate: Candidate,
    curve: tuple[np.ndarray, np.ndarray],
    color: str,
    limits: tuple[float, float] | None,
) -> None:
    """A cross at the last finite loss of every seed that diverged, or at the edge."""
    for row, line in zip(candidate.rows, curve[1], strict=True):
        known = np.flatnonzero(np.isfinite(line))
        if row["seed"] not in candidate.diverged or not known.size:
            continue
        step, loss = curve[0][known[-1]], line[known[-1]]
        height = min(loss, limits[1]) if limits else loss
        axes.plot(step, height, "x", color=color, markersize=5, clip_on=False, zorder=5)
