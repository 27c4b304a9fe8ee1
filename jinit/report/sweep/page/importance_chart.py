"""A chart of the share of the variance that each axis explains."""

import math
from typing import Any

import numpy as np

from jinit.report.page import Chart, Section, chart_array, chart_text
from jinit.report.sweep.importance import importance_rows
from jinit.report.sweep.page.charts import NEUTRAL_COLOR, ROOM_FOR_LEGEND, label_axis
from jinit.report.sweep.page.sweep_data import SweepData

_PARTS = {
    "share": ("by itself", "#0072B2"),
    "interaction_share": ("together with others", "#56B4E9"),
}
_ROW_HEIGHT, _MARGIN_HEIGHT = 34, 120


def importance_section(sweep: SweepData) -> Section:
    """Return the share of the variance of the metric that each axis explains, if several vary.

    Args:
      sweep: the sweep.
    """
    *rows, noise = importance_rows(sweep.rows, sweep.outline)
    if len(rows) < 2 or all(math.isnan(row["share"]) for row in rows):
        return Section("Which axis mattered", [])
    rows = [*rows, noise] if not math.isnan(noise["share"]) else rows
    top = rows[0]
    total = float(np.nansum([top["share"], top["interaction_share"]]))
    metric = sweep.outline.metric
    label = (
        f"{top['axis']} mattered most: it explains {100 * total:.0f} % of the variance of the "
        f"{'logarithm of the ' if not metric.larger_is_better else ''}{metric.title} over the "
        "configurations, a diverged run counting as the worst. seed: what chance leaves in means."
    )
    layout = {
        "barmode": "stack",
        "xaxis": {"title": {"text": "share of the variance"}, "tickformat": ".3~p"},
        "yaxis": label_axis([f"{row['axis']} ({row['values']} values)" for row in rows]),
        **ROOM_FOR_LEGEND,
    }
    height = _MARGIN_HEIGHT + _ROW_HEIGHT * len(rows)
    return Section("Which axis mattered", [Chart(label, _bars(rows), layout, height)])


def _bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    traces = []
    for column, (name, color) in _PARTS.items():
        values = np.array([row[column] for row in rows], float)
        if np.isfinite(values).any():
            colors = [NEUTRAL_COLOR if row["axis"] == "seed" else color for row in rows]
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": chart_text(name),
                    "x": chart_array(values),
                    "y": chart_array(np.arange(len(rows))),
                    "marker": {"color": colors},
                    "hovertemplate": "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
                }
            )
    return traces
