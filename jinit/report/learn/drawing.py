"""Colors and lines of the charts of the learning page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jinit.report.page import DataTable, TableColumn, chart_array, chart_text
from jinit.report.page.blocks import Cell

BLUE, VERMILION, GREEN, SKY, PURPLE, GRAY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#56B4E9",
    "#CC79A7",
    "#8A8F98",
)


def line_trace(
    name: str,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    color: str,
    *,
    dash: str = "solid",
    mode: str = "lines",
    **options: Any,
) -> Mapping[str, Any]:
    """Return a line or markers of plotly.

    Args:
      name: name in the legend.
      x: abscissas.
      y: ordinates; NaN is a gap.
      color: color of line and markers.
      dash: dash of the line.
      mode: `lines`, `markers` or both.
      **options: other entries of the trace.

    >>> line_trace("loss", [0, 1], [2.0, 1.0], BLUE)["name"]
    'loss'
    """
    return {
        "type": "scatter",
        "name": chart_text(name),
        "x": chart_array(x),
        "y": chart_array(y),
        "mode": mode,
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"color": color, "size": 7},
        **options,
    }


def titled_axis(title: str, **options: Any) -> dict[str, Any]:
    """Return a linear axis of plotly with a title.

    >>> titled_axis("step", dtick=1)
    {'title': {'text': 'step'}, 'dtick': 1}
    """
    return {"title": {"text": chart_text(title, most=80)}, **options}


def lesson_table(
    caption: str, columns: Sequence[TableColumn], rows: Sequence[Sequence[Cell]]
) -> DataTable:
    """Return a table of a few rows, which needs no filter.

    Args:
      caption: its caption.
      columns: its columns.
      rows: its rows.

    >>> lesson_table("Sizes", [TableColumn("size")], [[1]]).has_filter
    False
    """
    return DataTable(caption, columns, rows, has_filter=False)
