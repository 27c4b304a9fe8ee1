"""The metric of every run by an axis with many values, such as the rate of a random search."""

from collections.abc import Sequence
from typing import Any

from jinit.report.initializer_colors import choose_looks
from jinit.report.page import Chart, Frame, FrameChart, chart_text, log_axis
from jinit.report.sweep.candidate import RecordRow
from jinit.report.sweep.facets import group_by_axes
from jinit.report.sweep.labels import competitor_label, facet_label
from jinit.report.sweep.outcome import diverged_value, has_diverged
from jinit.report.sweep.page.charts import choice_chart, marker_trace, value_axis
from jinit.report.sweep.page.sweep_data import SweepData

_WIDE_RATIO = 10.0
_MOST_NAMES = 12


def axis_scatter(sweep: SweepData, axis: str) -> list[Chart | FrameChart]:
    """Return a mark per run: its metric by its value of an axis.

    Args:
      sweep: the sweep.
      axis: an axis of numbers; there is no chart for another one.
    """
    outline, metric = sweep.outline, sweep.outline.metric
    values = [row[axis] for row in sweep.rows if isinstance(row.get(axis), int | float)]
    if not values:
        return []
    is_wide = min(values) > 0 and max(values) / min(values) > _WIDE_RATIO
    low, high = min(values) / 1.3, max(values) * 1.3
    across = log_axis(low, high, axis) if is_wide else {"title": {"text": chart_text(axis)}}
    frames = [
        Frame(facet_label(rows[0], outline), _marks(sweep, rows, axis), {})
        for rows in group_by_axes(sweep.rows, outline.facet_axes)
    ]
    label = (
        f"{metric.title[0].upper()}{metric.title[1:]} of every run by {axis}; "
        "×: diverged, drawn at the value that counts for it."
    )
    worst = [diverged_value(sweep.rows, metric)]
    finals = [row[metric.name] for row in sweep.rows if not has_diverged(row, metric)]
    layout = {"xaxis": across, "yaxis": value_axis([*finals, *worst], metric)}
    return choice_chart(label, sweep.facet_control, frames, layout)


def _marks(sweep: SweepData, rows: Sequence[RecordRow], axis: str) -> list[dict[str, Any]]:
    """Return the marks of the runs of a facet, a color per competitor if there are few."""
    outline, metric = sweep.outline, sweep.outline.metric
    worst = diverged_value(rows, metric)
    groups: dict[str, list[RecordRow]] = {}
    for row in rows:
        if isinstance(row.get(axis), int | float):
            groups.setdefault(competitor_label(row, outline), []).append(row)
    if len(groups) > _MOST_NAMES:
        groups = {"runs": [row for group in groups.values() for row in group]}
    looks = sweep.looks if groups.keys() <= sweep.looks.keys() else choose_looks(list(groups))
    traces = []
    for name, group in groups.items():
        diverged = [has_diverged(row, metric) for row in group]
        heights = [
            worst if lost else row[metric.name] for row, lost in zip(group, diverged, strict=True)
        ]
        symbols = ["x-thin-open" if lost else "circle" for lost in diverged]
        mark = marker_trace([row[axis] for row in group], heights, "circle", name)
        mark["marker"] |= {"symbol": symbols, "color": looks[name].color, "opacity": 0.75}
        traces.append(mark)
    return traces
