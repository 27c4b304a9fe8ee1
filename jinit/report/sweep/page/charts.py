"""Charts with one frame per facet, and the lines and axes that several of them share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jinit.report.initializer_colors import LineLook
from jinit.report.page import (
    LEGEND_ABOVE,
    Chart,
    Frame,
    FrameChart,
    chart_array,
    chart_text,
    log_axis,
)
from jinit.report.sweep.heat_cells import is_logarithmic
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.profile import MeanProfile

NEUTRAL_COLOR = "#808080"
"""The color of marks that belong to no candidate, visible on white and on dark."""

ROOM_FOR_LEGEND: Mapping[str, Any] = {
    "legend": {**LEGEND_ABOVE, "traceorder": "normal"},
    "margin": {"t": 50},
}
"""Entries of a layout for a legend in a line above the chart."""

_BAND_OPACITY = "26"  # hexadecimal
_LONGEST_NAME = 40
_FEW_STEPS = 6
_HEADROOM = 1.15


def choice_chart(
    label: str, control: str, frames: Sequence[Frame], layout: Mapping[str, Any], height: int = 420
) -> list[Chart | FrameChart]:
    """Return a chart with a choice of frames, a plain one for one frame, or none without frames.

    Args:
      label: the caption.
      control: the name of the choice.
      frames: the frames; those without traces are left out.
      layout: the layout that they share.
      height: height in pixels.

    >>> choice_chart("Curves", "depth", [Frame("2", [], {})], {})
    []
    """
    shown = [frame for frame in frames if frame.traces]
    if len(shown) > 1:
        return [FrameChart(label, control, shown, layout, height)]
    return [
        Chart(f"{label} {each.sentence}".strip(), each.traces, {**layout, **each.layout}, height)
        for each in shown
    ]


def mean_traces(
    x: np.ndarray, profile: MeanProfile, look: LineLook, name: str, place: str
) -> list[dict[str, Any]]:
    """Return the line of a mean and the band of its intervals.

    Args:
      x: places of the means.
      profile: the means and their intervals.
      look: color and dashes.
      name: name of the line, for the legend.
      place: the word for a place, such as `step`.

    >>> ones = np.ones(2)
    >>> line = mean_traces(
    ...     np.arange(2), MeanProfile(ones, ones, ones), LineLook("#000"), "a", "step"
    ... )
    >>> [trace["mode"] for trace in line]
    ['lines']
    """
    known = np.isfinite(profile.low) & np.isfinite(profile.high)
    shared = {
        "type": "scatter",
        "name": chart_text(name, _LONGEST_NAME),
        "legendgroup": chart_text(name, 999),
    }
    line = {
        **shared,
        "mode": "lines",
        "x": chart_array(x.astype(float)),
        "y": chart_array(profile.mean),
        "line": {"color": look.color, "dash": look.dash, "width": 2},
        "hovertemplate": f"{place} %{{x}}: %{{y:.3g}}<extra>%{{fullData.name}}</extra>",
    }
    if not known.any() or bool((profile.low == profile.high)[known].all()):
        return [line]
    band = {
        **shared,
        "mode": "lines",
        "x": chart_array(np.concatenate([x[known], x[known][::-1]]).astype(float)),
        "y": chart_array(np.concatenate([profile.high[known], profile.low[known][::-1]])),
        "fill": "toself",
        "fillcolor": f"{look.color}{_BAND_OPACITY}",
        "line": {"width": 0, "color": look.color},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [band, line]


def marker_trace(
    x: Sequence[float], y: Sequence[float], symbol: str, name: str, **options: Any
) -> dict[str, Any]:
    """Return marks without a line.

    Args:
      x: horizontal places.
      y: vertical places.
      symbol: symbol of plotly, such as `x`.
      name: what the marks mean, for the legend.
      **options: options of the marks, such as `color`.

    >>> marker_trace([1.0], [2.0], "x", "diverged", color="#000")["marker"]
    {'symbol': 'x', 'size': 8, 'color': '#000'}
    """
    return {
        "type": "scatter",
        "mode": "markers",
        "x": chart_array(np.array(x, float)),
        "y": chart_array(np.array(y, float)),
        "name": chart_text(name, _LONGEST_NAME),
        "marker": {"symbol": symbol, "size": 8, **options},
    }


def error_bars(means: Sequence[float], bounds: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return horizontal error bars; an end that is not finite has no bar.

    Args:
      means: places of the marks.
      bounds: lower and upper ends.

    >>> error_bars([1.0], [(0.5, 2.0)])["symmetric"]
    False
    """
    lows, highs = np.array(bounds, float).T
    return {
        "type": "data",
        "symmetric": False,
        "array": chart_array(np.nan_to_num(highs - means, nan=0.0, posinf=0.0)),
        "arrayminus": chart_array(np.nan_to_num(means - lows, nan=0.0, posinf=0.0)),
        "color": NEUTRAL_COLOR,
        "thickness": 2,
        "width": 5,
    }


def step_axis(last: float) -> dict[str, Any]:
    """Return the axis of the optimizer's steps, with ticks at whole numbers.

    Args:
      last: the last step.

    >>> step_axis(3)["dtick"]
    1
    """
    axis: dict[str, Any] = {"title": {"text": "optimizer step"}, "rangemode": "tozero"}
    return axis | ({"dtick": 1} if last < _FEW_STEPS else {"tickformat": ",d"})


def metric_axis(metric: Metric, title: str | None = None) -> dict[str, Any]:
    """Return a linear axis of a metric, in percent for accuracies.

    Args:
      metric: the metric.
      title: title of the axis; its name by default.

    >>> metric_axis(Metric("validation_accuracy"))["tickformat"]
    '.3~p'
    """
    axis: dict[str, Any] = {"title": {"text": chart_text(title or metric.title)}}
    return axis | ({"tickformat": ".3~p"} if metric.is_percentage else {})


def value_axis(values: Sequence[float], metric: Metric) -> dict[str, Any]:
    """Return an axis of a metric, which is logarithmic for losses that differ much.

    Args:
      values: the values that are drawn.
      metric: the metric.

    >>> value_axis([0.01, 2.3], Metric("validation_loss"))["type"]
    'log'
    """
    finite = [value for value in values if np.isfinite(value)]
    if finite and is_logarithmic((min(finite), max(finite)), metric):
        return log_axis(min(finite) / _HEADROOM, max(finite) * _HEADROOM, metric.title)
    return metric_axis(metric)


def label_axis(labels: Sequence[str], title: str = "") -> dict[str, Any]:
    """Return an axis with a label at 0, 1, 2, ..., from top to bottom.

    Args:
      labels: the labels.
      title: title of the axis.

    >>> label_axis(["a", "b"])["range"]
    [1.5, -0.5]
    """
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": [chart_text(label, _LONGEST_NAME) for label in labels],
        "range": [len(labels) - 0.5, -0.5],
        "title": {"text": chart_text(title), "standoff": 12},
        "zeroline": False,
    }
