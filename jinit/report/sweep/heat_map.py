"""The mean metric by two axes, as colored cells: a panel per facet."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.extras import explain_missing_extra
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.figure_title import TEXT_COLOR, write_title
from jinit.report.sweep.heat_cells import axis_values, cell_grid
from jinit.report.sweep.heat_panel import ColorScale, draw_cells
from jinit.report.sweep.outline import Outline
from jinit.report.text import UNKNOWN_TEXT, escape_unprintable, value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLUMNS = 3
_CELL_WIDTH, _CELL_HEIGHT, _MARGIN = 0.62, 0.42, 1.6


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

    >>> from jinit.report.sweep.candidate import Candidate
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
    rows, columns = (axis_values(outline, axis, facets) for axis in outline.compare)
    grids = [cell_grid(facet, outline, rows, columns) for facet in facets]
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
