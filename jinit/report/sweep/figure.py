"""A sweep as one figure: learning curves above, signal by layer below, a column per facet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.extras import explain_missing_extra
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.curve_panel import (
    LineStyles,
    annotate_guesses,
    curve_column,
    curve_limits,
    draw_curves,
)
from jinit.report.sweep.facets import Facet, competitor_labels
from jinit.report.sweep.figure_title import TEXT_COLOR, write_title
from jinit.report.sweep.measures import last_values
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.signal_panel import SIGNAL_COLUMNS, draw_signal, has_zero_std

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The color-blind-safe palette of Okabe and Ito (Color universal design, 2008) without yellow, which
# is hard to see on white. The dashes distinguish lines of one color.
_LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINE_DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)))
_MOST_LINES = 12
_MOST_COLUMNS = 4
_LONGEST_LABEL = 40
_SPINE_COLOR = "#8a8a8a"


@dataclass(frozen=True)
class _Panels:
    """Settings that all panels of a figure share."""

    outline: Outline
    styles: LineStyles
    column: str
    limits: tuple[float, float] | None


def sweep_figure(facets: Sequence[Facet], outline: Outline) -> "Figure":
    """Draw learning curves, and std of activations and gradients by layer.

    A candidate is a line, and a facet is a column of three panels, or of the curves alone if the
    networks were not measured at step 0.

    Curves are geometric means over seeds with their 95 % intervals, because their axis is
    logarithmic. At most twelve candidates are drawn, those with the best rank in any facet; the
    title says if there are more. The color of a candidate depends on its place in the axes of the
    sweep, so it is the same in every figure of one sweep.

    Args:
      facets: the facets, at least one, each with its candidates best first.
      outline: the outline of the sweep.

    Returns:
      The matplotlib figure.

    Raises:
      MissingExtraError: if matplotlib is not installed.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("loss"), {"init": ["ones"]}, ("init",), (0,), 1)
    >>> ones = Candidate({"init": "ones"}, "ones", ({"step": [0], "seed": 0},), {0: 1.0}, ())
    >>> len(sweep_figure([Facet({}, "relu", (ones,))], outline).axes)
    1
    """
    with explain_missing_extra("Drawing"):
        from matplotlib.figure import Figure
    styles = _choose_styles(facets, outline)
    columns = min(len(facets), _MOST_COLUMNS)
    rows = math.ceil(len(facets) / columns)
    drawn = [each for facet in facets for each in _drawn_candidates(facet, styles)]
    height = 1 + len(SIGNAL_COLUMNS) * _has_signals(drawn)
    size = (max(3.4 * columns, 6.8), 2.5 * height * rows + 1.4)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    grid = figure.subplots(height * rows, columns, squeeze=False)
    column = curve_column(drawn, outline.metric)
    limits = curve_limits(drawn, column) if column.endswith("loss_curve") else None
    panels = _Panels(outline, styles, column, limits)
    for index in range(rows * columns):
        row, place = divmod(index, columns)
        axes = grid[height * row : height * (row + 1), place]
        if index < len(facets):
            _draw_facet(list(axes), facets[index], panels, is_leftmost=place == 0)
        else:
            for empty in axes:
                empty.remove()
    mean = f"mean of {len(outline.seeds)} seeds with 95 % interval"
    write_title(figure, outline, mean, _title_parts(facets, len(styles)))
    _write_legend(figure, styles, _legend_labels(drawn), columns)
    return figure


def _draw_facet(
    axes: Sequence["Axes"], facet: Facet, panels: _Panels, *, is_leftmost: bool
) -> None:
    candidates, column = _drawn_candidates(facet, panels.styles), panels.column
    curves, *signals = axes
    draw_curves(curves, candidates, panels.styles, column, panels.limits)
    annotate_guesses(curves, _guess_losses(candidates, panels.outline, column))
    title = _shorten_label(facet.label)
    curves.set_title(title, parse_math=False, fontweight="bold", color=TEXT_COLOR)
    _label_axes(curves, "step", _curve_name(column) if is_leftmost else "")
    for panel, (name, label) in zip(signals, SIGNAL_COLUMNS.items(), strict=bool(signals)):
        draw_signal(panel, candidates, panels.styles, name)
        _label_axes(panel, "layer", label if is_leftmost else "")


def _has_signals(candidates: Sequence[Candidate]) -> bool:
    """Return whether the networks were measured at step 0, which a sweep may leave out."""
    return any(row.get("layers") for each in candidates for row in each.records)


def _drawn_candidates(facet: Facet, styles: LineStyles) -> list[Candidate]:
    return [candidate for candidate in facet.candidates if candidate.name in styles]


def _choose_styles(facets: Sequence[Facet], outline: Outline) -> dict[str, dict[str, Any]]:
    """Return line options by name for the candidates drawn, the best ranks first."""
    ranks: dict[str, int] = {}
    for facet in facets:
        for rank, candidate in enumerate(facet.candidates):
            ranks[candidate.name] = min(rank, ranks.get(candidate.name, rank))
    chosen = sorted(ranks, key=lambda name: ranks[name])[:_MOST_LINES]
    numbers = _style_numbers(chosen, outline)
    return {
        name: {
            "color": _LINE_COLORS[numbers[name] % len(_LINE_COLORS)],
            "linestyle": _LINE_DASHES[numbers[name] // len(_LINE_COLORS)],
            "linewidth": 1.6,
        }
        for name in chosen
    }


def _style_numbers(names: Sequence[str], outline: Outline) -> dict[str, int]:
    """Return a number by name: its place among all competitors, or the next that is free."""
    count = len(_LINE_COLORS) * len(_LINE_DASHES)
    places = {name: place for place, name in enumerate(competitor_labels(outline))}
    numbers: dict[str, int] = {}
    for name in sorted(names, key=lambda name: places.get(name, len(places))):
        number = places.get(name, len(places)) % count
        while number in numbers.values():
            number = (number + 1) % count
        numbers[name] = number
    return numbers


def _legend_labels(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return a label by name, with the tuned values if they are the same in every facet."""
    labels: dict[str, set[str]] = {}
    for each in candidates:
        labels.setdefault(each.name, set()).add(each.label)
    return {name: found.pop() if len(found) == 1 else name for name, found in labels.items()}


def _guess_losses(
    candidates: Sequence[Candidate], outline: Outline, column: str
) -> dict[str, float]:
    """Return the last loss by name, median over seeds, of the candidates that did not learn."""
    failed = [each for each in candidates if not each.has_learned(outline.metric)]
    losses = {each.name: last_values(each, column) for each in failed}
    return {
        _shorten_label(name): float(np.median(values))
        for name, values in losses.items()
        if values.size
    }


def _shorten_label(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _curve_name(column: str) -> str:
    return column.removesuffix("_curve").replace("_", " ")


def _label_axes(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x, color=TEXT_COLOR)
    axes.set_ylabel(y, color=TEXT_COLOR)
    axes.grid(which="major", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_SPINE_COLOR)
    axes.tick_params(which="both", colors=TEXT_COLOR, labelsize=8)


def _title_parts(facets: Sequence[Facet], drawn: int) -> list[str]:
    """Return what marks mean, and how many of the candidates are drawn."""
    candidates = [candidate for facet in facets for candidate in facet.candidates]
    names = {candidate.name for candidate in candidates}
    parts = []
    if any(candidate.diverged_seeds for candidate in candidates):
        parts.append("× diverged")
    if has_zero_std(candidates):
        parts.append("▽ zero")
    if len(names) > drawn:
        parts.append(f"best {drawn} of {len(names)} candidates")
    return parts


def _write_legend(
    figure: "Figure", styles: LineStyles, labels: Mapping[str, str], columns: int
) -> None:
    """Write a legend below the panels.

    The texts are set after the legend is built, because matplotlib hides labels such as `_x`.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **options) for options in styles.values()]
    legend = figure.legend(
        handles,
        [str(number) for number in range(len(handles))],
        loc="outside lower center",
        ncols=min(len(handles), max(2, columns + (columns > 2))),
        frameon=False,
        fontsize=8,
        handlelength=3.0,
    )
    for text, name in zip(legend.get_texts(), styles, strict=True):
        text.set_parse_math(False)
        text.set_text(_shorten_label(labels[name]))
