"""The cells of one panel of a heat map, drawn on given axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.heat_cells import (
    CellGrid,
    best_column,
    cell_lines,
    color_limits,
    is_logarithmic,
    is_lost,
)
from jinit.report.sweep.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Cividis is made for readers with and without color vision deficiency (Nuñez, Anderton and Renslow,
# PLoS ONE 13, 2018). The outline is the vermilion of Okabe and Ito, which it does not contain.
_COLORS = "cividis"
_OUTLINE_COLOR, _MISSING_COLOR, _HATCH_COLOR = "#D55E00", "#d9d9d9", "#8a8a8a"


@dataclass(frozen=True)
class ColorScale:
    """The colors of the values that all panels share; the best value is the brightest.

    Args:
      metric: the metric of the cells.
      mappable: the colors of matplotlib; None if no cell has a value.

    >>> ColorScale.find([[[None]]], Metric("loss")).mappable is None
    True
    """

    metric: Metric
    mappable: Any

    @classmethod
    def find(cls, grids: Sequence[CellGrid], metric: Metric) -> "ColorScale":
        """Return the scale of all cells.

        Args:
          grids: the cells of every panel.
          metric: the metric of the cells.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm, Normalize

        limits = color_limits(grids)
        if limits is None:
            return cls(metric, None)
        norm = (LogNorm if is_logarithmic(limits, metric) else Normalize)(*limits)
        colors = _COLORS if metric.larger_is_better else f"{_COLORS}_r"
        return cls(metric, ScalarMappable(norm, colors))


def draw_cells(axes: "Axes", grid: CellGrid, scale: ColorScale) -> None:
    """Draw cells with their numbers: gray without a run, crossed where every run diverged.

    Args:
      axes: the axes to draw on.
      grid: the cells by row and column.
      scale: the colors.

    >>> from matplotlib.figure import Figure
    >>> axes, metric = Figure().subplots(), Metric("validation_accuracy")
    >>> good = Candidate({}, "a", (), {0: 0.9, 1: 0.8}, ())
    >>> half = Candidate({}, "b", (), {0: 0.8, 1: 0.1}, (1,))
    >>> draw_cells(axes, [[good, half, None]], ColorScale.find([[[good, half]]], metric))
    >>> [text.get_text().split() for text in axes.texts]
    [['85.0'], ['45.0', '1/2', '×']]
    """
    axes.set_facecolor(_MISSING_COLOR)
    axes.set_xlim(-0.5, len(grid[0]) - 0.5)
    axes.set_ylim(len(grid) - 0.5, -0.5)
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            if cell is not None:
                _draw_cell(axes, (column, row), cell, scale)
        if (best := best_column(cells, scale.metric)) is not None:
            box = {"fill": False, "edgecolor": _OUTLINE_COLOR, "linewidth": 2, "zorder": 3}
            _draw_box(axes, (best, row), clip_on=False, **box)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_cell(axes: "Axes", place: tuple[int, int], cell: Candidate, scale: ColorScale) -> None:
    if is_lost(cell):
        _draw_box(axes, place, facecolor="white", edgecolor=_HATCH_COLOR, hatch="xx", linewidth=0)
        return
    mean = cell.interval.mean
    color = scale.mappable.to_rgba(mean)
    _draw_box(axes, place, facecolor=color, edgecolor="white", linewidth=0.8)
    text = "\n".join(cell_lines(cell, scale.metric))
    luminance = float(np.dot(color[:3], (0.2126, 0.7152, 0.0722)))
    ink = "black" if luminance > 0.45 else "white"
    axes.text(*place, text, ha="center", va="center", fontsize=7, color=ink)


def _draw_box(axes: "Axes", place: tuple[int, int], **options: Any) -> None:
    from matplotlib.patches import Rectangle

    column, row = place
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **options))
