"""The mean metric by two axes, as colored cells: a panel per facet."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.choice import check_choice
from jinit.report.extras import explain_missing_extra
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.figure_title import TEXT_COLOR, write_title
from jinit.report.sweep.heat_panel import ColorScale, draw_cells
from jinit.report.sweep.outline import Outline, canonical_value
from jinit.report.text import UNKNOWN_TEXT, escape_unprintable, value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLUMNS = 3
_MOST_VALUES = 50
_CELL_WIDTH, _CELL_HEIGHT, _MARGIN = 0.62, 0.42, 1.6


def pair_outline(outline: Outline, axes: Sequence[str]) -> Outline:
    """Return the outline in which two axes compete; those that competed before are facets.

    Args:
      outline: the outline of the sweep.
      axes: the axis of the rows and that of the columns.

    Raises:
      ValueError: if there are not two axes of the sweep, or one has too many values.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["a", "b"], "depth": [2, 4], "lr": [0.1, 1.0], "l2": [0.0, 0.1]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 16, ("lr", "l2"))
    >>> pair = pair_outline(outline, ("init", "lr"))
    >>> pair.compare, pair.tune, pair.facet_axes
    (('init', 'lr'), ('l2',), ('depth',))
    """
    for axis in axes:
        check_choice("axis", axis, outline.axes)
    if len(set(axes)) != 2 or len(axes) != 2:
        raise ValueError(
            f"axes: expected two different axes of {', '.join(outline.axes)}, got {axes!r}"
        )
    for axis in axes:
        if (count := len(outline.axes[axis])) > _MOST_VALUES:
            raise ValueError(
                f"axes: {axis!r} has {count} values, and a heat map has room for {_MOST_VALUES}; "
                "give axes of a grid, or see results.importance()"
            )
    tune = tuple(axis for axis in outline.tune if axis not in axes)
    return replace(outline, compare=tuple(axes), tune=tune)


def heat_map_figure(facets: Sequence[Facet], outline: Outline) -> "Figure":
    """Draw the mean metric over seeds for every pair of values of two axes.

    The best cell of each row is outlined. Cells without a run are gray, those where every run
    diverged are crossed, and the number of diverged runs is written into the others.

    Args:
      facets: the facets of the outline, at least one.
      outline: an outline in which two axes compete.

    Returns:
      The matplotlib figure.

    Raises:
      MissingExtraError: if matplotlib is not installed.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["a"], "lr": [0.1]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init", "lr"), (0,), total_lanes=1)
    >>> cell = Candidate({"init": "a", "lr": 0.1}, "a", (), {0: 0.5}, ())
    >>> figure = heat_map_figure([Facet({}, "relu", (cell,))], outline)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.5']
    """
    with explain_missing_extra("Drawing"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import PercentFormatter
    rows, columns = (_axis_values(outline, axis, facets) for axis in outline.compare)
    grids = [_cell_grid(facet, outline, rows, columns) for facet in facets]
    scale = ColorScale.find(grids, outline.metric)
    across = min(len(facets), _MOST_COLUMNS)
    down = math.ceil(len(facets) / across)
    size = (
        across * (_CELL_WIDTH * len(columns) + _MARGIN) + _MARGIN,
        down * (_CELL_HEIGHT * len(rows) + 0.6 * _MARGIN) + 0.6,
    )
    figure = Figure(figsize=(max(size[0], 5.0), max(size[1], 2.4)), dpi=150, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, facet, grid in zip(panels, facets, grids, strict=False):
        draw_cells(panel, grid, scale)
        panel.set_title(facet.label, parse_math=False, fontweight="bold", color=TEXT_COLOR)
        _label_values(panel, outline, rows, columns)
    for empty in panels[len(facets) :]:
        empty.remove()
    if scale.mappable is not None:
        bar = figure.colorbar(scale.mappable, ax=list(panels[: len(facets)]))
        bar.set_label(scale.metric.title, color=TEXT_COLOR)
        if scale.metric.is_percentage:
            bar.formatter = PercentFormatter(1.0)
    parts = ["outlined: best of its row"]
    if any(each.diverged_seeds for facet in facets for each in facet.candidates):
        parts.append("×: diverged runs")
    write_title(figure, outline, f"mean of {len(outline.seeds)} seeds", parts)
    return figure


def _axis_values(outline: Outline, axis: str, facets: Sequence[Facet]) -> list[Any]:
    """Return the values of an axis: words in their order, numbers sorted, and None if any lacks it.

    Values that the outline does not name come last.
    """
    candidates = [candidate for facet in facets for candidate in facet.candidates]
    distinct: dict[Any, Any] = {}
    for value in (*outline.axes[axis], *(each.config.get(axis) for each in candidates)):
        distinct.setdefault(canonical_value(value), value)
    present = [value for key, value in distinct.items() if key is not None]
    if all(isinstance(value, int | float) for value in present):
        present.sort()
    return [*present, None] if None in distinct else present


def _cell_grid(
    facet: Facet, outline: Outline, rows: Sequence[Any], columns: Sequence[Any]
) -> list[list[Candidate | None]]:
    cells = {
        tuple(canonical_value(each.config.get(axis)) for axis in outline.compare): each
        for each in facet.candidates
    }
    return [
        [cells.get((canonical_value(row), canonical_value(column))) for column in columns]
        for row in rows
    ]


def _label_values(
    panel: Any, outline: Outline, rows: Sequence[Any], columns: Sequence[Any]
) -> None:
    down, across = map(escape_unprintable, outline.compare)
    panel.set_xlabel(across, parse_math=False, color=TEXT_COLOR)
    panel.set_ylabel(down, parse_math=False, color=TEXT_COLOR)
    for axis, values in ((panel.xaxis, columns), (panel.yaxis, rows)):
        texts = [UNKNOWN_TEXT if value is None else value_text(value) for value in values]
        axis.set_ticks(np.arange(len(values)), texts, parse_math=False, fontsize=7)
    if max((len(value_text(value)) for value in columns), default=0) > 8:
        for text in panel.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor")
