"""A sweep as one figure: learning curves above, signal by layer below, a column per facet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinit.report.extras import explain_missing_extra
from jinit.report.initializer_colors import LineLook
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.candidate_looks import candidate_looks, drawn_candidates
from jinit.report.sweep.curve_data import curve_column, curve_limits, curve_name, guess_losses
from jinit.report.sweep.curve_panel import LineStyles, annotate_guesses, draw_curves
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.figure_title import TEXT_COLOR, write_title
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.signal_data import SIGNAL_COLUMNS, has_zero_std
from jinit.report.sweep.signal_panel import draw_signal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = {
    "solid": "solid",
    "dash": (0, (4, 1.5)),
    "dot": (0, (1, 1.2)),
    "dashdot": (0, (4, 1.2, 1, 1.2)),
}
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
    looks = candidate_looks(facets, outline)
    styles = {name: _line_options(look) for name, look in looks.items()}
    columns = min(len(facets), _MOST_COLUMNS)
    rows = math.ceil(len(facets) / columns)
    drawn = [each for facet in facets for each in drawn_candidates(facet, looks)]
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
    candidates, column = drawn_candidates(facet, panels.styles), panels.column
    curves, *signals = axes
    draw_curves(curves, candidates, panels.styles, column, panels.limits)
    losses = guess_losses(candidates, panels.outline.metric, column)
    shown = {_shorten_label(name): loss for name, loss in losses.items()}
    annotate_guesses(curves, shown)
    title = _shorten_label(facet.label)
    curves.set_title(title, parse_math=False, fontweight="bold", color=TEXT_COLOR)
    _label_axes(curves, "step", curve_name(column) if is_leftmost else "")
    for panel, (name, label) in zip(signals, SIGNAL_COLUMNS.items(), strict=bool(signals)):
        draw_signal(panel, candidates, panels.styles, name)
        _label_axes(panel, "layer", label if is_leftmost else "")


def _has_signals(candidates: Sequence[Candidate]) -> bool:
    """Return whether the networks were measured at step 0, which a sweep may leave out."""
    return any(row.get("layers") for each in candidates for row in each.records)


def _line_options(look: LineLook) -> dict[str, Any]:
    return {"color": look.color, "linestyle": _DASHES[look.dash], "linewidth": 1.6}


def _legend_labels(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return a label by name, with the tuned values if they are the same in every facet."""
    labels: dict[str, set[str]] = {}
    for each in candidates:
        labels.setdefault(each.name, set()).add(each.label)
    return {name: found.pop() if len(found) == 1 else name for name, found in labels.items()}


def _shorten_label(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


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
