"""Charts of the effect of scale: all layers with a slider, and the loss."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jinit.report.diagnosis.faults import VERDICT_MEANINGS
from jinit.report.layer_traces import (
    FAULT_COLOR,
    HEALTHY_COLOR,
    MEASURED_COLOR,
    LogRange,
    layer_axis,
    layer_line,
    range_trace,
    short_layer_names,
    special_traces,
)
from jinit.report.page import LEGEND_ABOVE, Chart, Frame, FrameChart, chart_array, chart_text
from jinit.report.scale.text import factor_name, loss_at

_DOMAINS = {"yaxis": [0.68, 1.0], "yaxis2": [0.36, 0.62], "yaxis3": [0.0, 0.3]}
_COLORS = [
    [0, "rgba(86,180,233,0)"],
    [0.2, "#56B4E9"],
    [0.5, "#0072B2"],
    [1, "#D55E00"],
]
_FRACTIONS = (0.01, 0.1, 0.3, 1.0)
"""Fractions with a tick at the color bar."""


def layers_by_scale(data: Mapping[str, Any]) -> FrameChart:
    """Return activations, signal and gradient of all layers, with a slider over the scale.

    Args:
      data: plain data from `ScaleEffect.to_dict()`.
    """
    paths, scales = data["layers"], data["scales"]
    signal, gradient = _array(data, "signal_std"), _array(data, "gradient_std")
    ends = [_range_of(signal), _range_of(gradient)]
    shared = {"anchor": "y3"}
    low, high = data["histogram_range"]
    layout = {
        "xaxis": layer_axis(paths) | shared,
        "yaxis": {
            "domain": _DOMAINS["yaxis"],
            "range": [low, high],
            "title": {"text": "activation / its RMS at × 1"},
        },
        "yaxis2": ends[0].axis("std of the signal") | {"domain": _DOMAINS["yaxis2"]},
        "yaxis3": ends[1].axis("std of the gradient") | {"domain": _DOMAINS["yaxis3"]},
        "legend": LEGEND_ABOVE,
    }
    return FrameChart(
        "Above: histogram of the activations of each layer, a column for each. Middle: standard "
        "deviation of the pre-activations. Below: standard deviation of the gradient of one "
        "example's loss. Green: range of healthy networks.",
        "scale of the kernels",
        [_scale_frame(data, place, signal, gradient, ends) for place in range(len(scales))],
        layout,
        height=880,
        kind="slider",
        first=int(np.argmin(np.abs(np.log(scales)))),
    )


def _array(data: Mapping[str, Any], name: str) -> np.ndarray:
    return np.array(data[name], float)


def _range_of(values: np.ndarray) -> LogRange:
    """Return an axis for all scales; what a single one sends far away does not stretch it."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return LogRange.of(values)
    return LogRange.of(np.clip(positive, 1e-12, 1e12))


def _scale_frame(
    data: Mapping[str, Any],
    place: int,
    signal: np.ndarray,
    gradient: np.ndarray,
    ends: list[LogRange],
) -> Frame:
    verdict = data["verdicts"][place]
    mark = "✓" if verdict == "stable" else "✗"
    names = short_layer_names(data["layers"])
    traces = [_histogram_map(data, place, names)]
    rows = [
        (signal[place], "healthy_signal", "y2", ends[0]),
        (gradient[place], "healthy_gradient", "y3", ends[1]),
    ]
    color = HEALTHY_COLOR if verdict == "stable" else FAULT_COLOR
    for values, healthy, axis, limits in rows:
        edges = np.array(data[healthy][place], float)
        drawn = np.where(values > 0, values, np.nan)
        found = [
            range_trace(edges, "range of healthy networks", HEALTHY_COLOR, limits.low),
            layer_line(drawn, "measured", MEASURED_COLOR, names),
            *special_traces(values, limits, color),
        ]
        traces += [each | {"yaxis": axis, "showlegend": False} for each in found]
    sentence = f"{mark} {verdict}: {VERDICT_MEANINGS[verdict]}; {loss_at(data, place)}"
    return Frame(factor_name(data["scales"][place]), traces, {}, sentence)


def _histogram_map(data: Mapping[str, Any], place: int, names: list[str]) -> dict[str, Any]:
    """Return the histograms of all layers as columns; colors show the root of the fraction."""
    counts = np.array(data["histograms"][place], float)
    fractions = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    low, high = data["histogram_range"]
    edges = np.linspace(low, high, counts.shape[1] + 1)
    return {
        "type": "heatmap",
        "x": chart_array(np.arange(1, len(names) + 1)),
        "y": chart_array((edges[:-1] + edges[1:]) / 2),
        "z": chart_array(np.sqrt(fractions).T),
        "zmin": 0,
        "zmax": 1,
        "colorscale": _COLORS,
        "colorbar": {
            "title": {"text": "fraction"},
            "tickvals": [math.sqrt(each) for each in _FRACTIONS],
            "ticktext": [f"{each:g}" for each in _FRACTIONS],
            "thickness": 12,
            "len": 0.34,
            "y": 0.84,
        },
        "hovertemplate": "layer %{x}, activation %{y:.2f}<extra></extra>",
    }


def loss_by_scale(data: Mapping[str, Any]) -> Chart:
    """Return the loss by scale, with the verdict at each.

    Args:
      data: plain data from `ScaleEffect.to_dict()`.
    """
    loss, scales = _array(data, "loss"), _array(data, "scales")
    is_stable = np.array(data["verdicts"]) == "stable"
    ends = LogRange.of(loss)
    shown = np.where(loss > 0, loss, np.nan)
    texts = [
        f"{factor_name(each)}, {chart_text(verdict)}"
        for each, verdict in zip(scales, data["verdicts"], strict=True)
    ]
    traces = [
        _loss_marks(scales, np.where(chosen, shown, np.nan), name, color, symbol, texts)
        for chosen, name, color, symbol in (
            (is_stable, "stable", HEALTHY_COLOR, "circle"),
            (~is_stable, "with a fault", FAULT_COLOR, "diamond"),
        )
        if np.isfinite(np.where(chosen, shown, np.nan)).any()
    ]
    lost = scales[~np.isfinite(loss)]
    if lost.size:
        top = np.full(lost.size, ends.high)
        traces.append(_loss_marks(lost, top, "not finite (at the upper end)", FAULT_COLOR, "x", []))
    room = 2**0.25
    x_axis = LogRange(scales.min() / room, scales.max() * room).axis("scale of the kernels")
    layout = {
        "xaxis": x_axis | {"tickvals": [0.125, 0.25, 0.5, 1, 2, 4, 8], "exponentformat": "none"},
        "yaxis": ends.axis(data["loss_name"]),
        "legend": LEGEND_ABOVE,
        "showlegend": True,
        **_recommended_mark(data),
    }
    return Chart("Loss before the first step, by scale", traces, layout, 400)


def _loss_marks(
    scales: np.ndarray, loss: np.ndarray, name: str, color: str, symbol: str, texts: list[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": chart_text(name),
        "x": chart_array(scales),
        "y": chart_array(np.clip(loss, None, 1e37)),
        "text": texts or [factor_name(each) for each in scales],
        "hovertemplate": "%{text}: %{y:.4g}",
        "marker": {"color": color, "symbol": symbol, "size": 9},
    }


def _recommended_mark(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line at the scale that the kernels need; nothing if it is not known."""
    factor = data["recommended"]
    if factor is None or not data["scales"][0] <= factor <= data["scales"][-1]:
        return {}
    line = {"color": MEASURED_COLOR, "width": 2, "dash": "dash"}
    ends = {"x0": factor, "x1": factor, "y0": 0, "y1": 1}
    is_right = factor > math.sqrt(data["scales"][0] * data["scales"][-1])
    label = {
        "x": math.log10(factor),
        "y": 1,
        "yref": "paper",
        "text": "needed by theory",
        "showarrow": False,
        "xanchor": "right" if is_right else "left",
        "yanchor": "top",
    }
    return {
        "shapes": [{"type": "line", "yref": "paper", "line": line, **ends}],
        "annotations": [label],
    }
