"""Heat maps of the mean metric by two axes; a scatter plot for axes with many values."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from jinit.report.page import Frame, Section, chart_array
from jinit.report.page.blocks import PageBlock
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import find_facets
from jinit.report.sweep.heat_cells import (
    MOST_VALUES,
    CellGrid,
    axis_values,
    best_column,
    cell_grid,
    cell_lines,
    color_limits,
    is_logarithmic,
    is_lost,
    pair_outline,
)
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline
from jinit.report.sweep.page.charts import (
    choice_chart,
    label_axis,
    marker_trace,
)
from jinit.report.sweep.page.scatter import axis_scatter
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.text import UNKNOWN_TEXT, value_text

_T = TypeVar("_T")

_MOST_MAPS = 4
_MISSING, _LOST = "rgba(128,128,128,0.25)", "rgba(213,94,0,0.22)"
_BEST_COLOR = "#D55E00"
_ROW_HEIGHT, _MARGIN_HEIGHT = 34, 130


def heat_section(sweep: SweepData) -> Section:
    """Return a heat map per pair of axes, such as initialization × learning rate.

    Args:
      sweep: the sweep.
    """
    blocks = [block for axes in _pairs(sweep.outline) for block in _pair_chart(sweep, axes)]
    return Section("Pairs of axes", blocks)


def _pairs(outline: Outline) -> list[tuple[str, str]]:
    """Return the axis of the rows, one that competes if any varies, with each of the others."""
    varying = outline.varying_axes
    competing = [axis for axis in outline.compare if axis in varying]
    axes = [*competing, *(axis for axis in outline.tune if axis in varying)]
    return [(axes[0], axis) for axis in axes[1 : _MOST_MAPS + 1]]


def _pair_chart(sweep: SweepData, axes: tuple[str, str]) -> Sequence[PageBlock]:
    if max(len(sweep.outline.axes[axis]) for axis in axes) > MOST_VALUES:
        return axis_scatter(sweep, axes[1])
    outline = pair_outline(sweep.outline, axes)
    facets = find_facets(sweep.rows, outline)
    rows, columns = (axis_values(outline, axis, facets) for axis in outline.compare)
    grids = [cell_grid(facet, outline, rows, columns) for facet in facets]
    limits = color_limits(grids)
    frames = [
        Frame(facet.label or "all", _map_traces(grid, limits, outline), _map_layout(grid, outline))
        for facet, grid in zip(facets, grids, strict=True)
    ]
    down, across = outline.compare
    layout = {
        "yaxis": _value_axis(down, rows),
        "xaxis": {**_value_axis(across, columns), "range": [-0.5, len(columns) - 0.5]},
    }
    varying = [axis for axis in outline.facet_axes if axis in outline.varying_axes]
    control, height = ", ".join(varying) or "setting", _MARGIN_HEIGHT + _ROW_HEIGHT * len(rows)
    return choice_chart(_caption(outline, grids), control, frames, layout, max(height, 240))


def _caption(outline: Outline, grids: Sequence[CellGrid]) -> str:
    down, across = outline.compare
    cells = [cell for grid in grids for row in grid for cell in row]
    parts = [f"Mean {outline.metric.title} by {down} and {across}; framed: the best of its row."]
    if tuned := outline.varying_tuned_axes:
        parts.append(f"Every cell has its best {' and '.join(tuned)}.")
    if any(cell and cell.diverged_seeds for cell in cells):
        parts.append("×: runs that diverged; a cell of × alone has no other run.")
    if None in [*cells]:
        parts.append("Gray: no finished run.")
    return " ".join(parts)


def _value_axis(axis: str, values: Sequence[Any]) -> dict[str, Any]:
    labels = [UNKNOWN_TEXT if value is None else value_text(value) for value in values]
    return {**label_axis(labels, axis), "showgrid": False}


def _map_traces(
    grid: CellGrid, limits: tuple[float, float] | None, outline: Outline
) -> list[dict[str, Any]]:
    """Return cells without a mean in plain colors, the others by their means, and crosses."""
    plain = [
        [0.0 if cell is None else 1.0 if is_lost(cell) else math.nan for cell in row]
        for row in grid
    ]
    colors = [[0, _MISSING], [0.5, _MISSING], [0.5, _LOST], [1, _LOST]]
    ground = {
        "type": "heatmap",
        "z": chart_array(plain),
        "zmin": 0,
        "zmax": 1,
        "colorscale": colors,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hoverinfo": "skip",
    }
    lost = [
        (float(column), float(row), f"all {len(cell.metric_by_seed)} ×")
        for row, cells in enumerate(grid)
        for column, cell in enumerate(cells)
        if cell is not None and is_lost(cell)
    ]
    traces: list[dict[str, Any]] = [ground]
    if limits is not None:
        traces.append(_mean_cells(grid, limits, outline.metric))
    if lost:
        x, y, texts = map(list, zip(*lost, strict=True))
        mark = marker_trace(x, y, "x", "all diverged")
        traces.append(
            {**mark, "mode": "text", "text": texts, "showlegend": False, "hoverinfo": "skip"}
        )
    return traces


def _mean_cells(grid: CellGrid, limits: tuple[float, float], metric: Metric) -> dict[str, Any]:
    is_wide = is_logarithmic(limits, metric)
    values = _map_cells(grid, lambda cell: cell.interval.mean, math.nan)
    low, high = np.log10(limits) if is_wide else limits
    return {
        "type": "heatmap",
        "z": chart_array(np.log10(values) if is_wide else values),
        "zmin": float(low),
        "zmax": float(high) if high > low else float(low) + 1e-6,
        "text": _map_cells(grid, lambda cell: "<br>".join(cell_lines(cell, metric)), ""),
        "texttemplate": "%{text}",
        "customdata": _map_cells(grid, lambda cell: _hover_text(cell, metric), ""),
        "hovertemplate": "%{y}, %{x}: %{customdata}<extra></extra>",
        "hoverongaps": False,
        "colorscale": "Cividis",
        "reversescale": not metric.larger_is_better,
        "xgap": 1,
        "ygap": 1,
        "colorbar": _color_bar(metric, is_wide=is_wide),
    }


def _map_cells(grid: CellGrid, read: Callable[[Candidate], _T], other: _T) -> list[list[_T]]:
    """Return a value for every cell with a mean, and another one for all others."""
    return [
        [other if cell is None or is_lost(cell) else read(cell) for cell in cells] for cells in grid
    ]


def _hover_text(cell: Candidate, metric: Metric) -> str:
    return f"{metric.sample_text(cell.metric_by_seed.values())}, {len(cell.metric_by_seed)} seeds"


def _color_bar(metric: Metric, *, is_wide: bool) -> dict[str, Any]:
    title = {"text": "log₁₀" if is_wide else ""}
    return {
        "title": title,
        "thickness": 14,
        **({"tickformat": ".3~p"} if metric.is_percentage else {}),
    }


def _map_layout(grid: CellGrid, outline: Outline) -> dict[str, Any]:
    """Return frames around the best cell of every row."""
    places = [(row, best_column(cells, outline.metric)) for row, cells in enumerate(grid)]
    line = {"color": _BEST_COLOR, "width": 3}
    return {
        "shapes": [
            {
                "type": "rect",
                "line": line,
                "x0": column - 0.5,
                "x1": column + 0.5,
                "y0": row - 0.5,
                "y1": row + 0.5,
            }
            for row, column in places
            if column is not None
        ]
    }
