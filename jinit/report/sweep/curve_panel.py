"""The panel of learning curves, drawn on given axes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.curve_data import divergence_marks, split_guesses
from jinit.report.sweep.figure_title import TEXT_COLOR
from jinit.report.sweep.measures import seed_curves
from jinit.report.sweep.profile import mean_profile
from jinit.report.text import compact_text, join_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LineStyles = Mapping[str, Mapping[str, Any]]
"""Line options of matplotlib by the name of a candidate."""

BAND_OPACITY = 0.16
_LONGEST_NOTE = 46  # characters that fit into the width of a panel


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
        for step, height in divergence_marks(candidate, curves, limits):
            axes.plot(step, height, "x", color=color, markersize=5, clip_on=False, zorder=5)
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
    guesses, above = split_guesses(final_losses, axes.get_ylim())
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
