"""Charts of a diagnosis by layer: signal, gradient, correlation and fractions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jinit.report.diagnosis.faults import LayerData
from jinit.report.diagnosis.panels import (
    CORRELATION_PANEL,
    GRADIENT_PANEL,
    SIGNAL_PANEL,
    LayerPanel,
)
from jinit.report.layer_traces import (
    EXPECTED_COLOR,
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
from jinit.report.page import LEGEND_ABOVE, Chart, PageBlock, Paragraphs, chart_text

_LABELS = {
    SIGNAL_PANEL: "Forward: the signal of each layer",
    GRADIENT_PANEL: "Backward: the gradient at each layer",
    CORRELATION_PANEL: "Similarity of the network's response to different inputs: at 1 all inputs "
    "give the same, at 0 nothing is left of what they have in common",
}
_AXIS_TITLES = {
    SIGNAL_PANEL: "RMS of the pre-activations",
    GRADIENT_PANEL: "RMS of the gradient",
    CORRELATION_PANEL: "mean correlation of pairs of inputs",
}
_FRACTIONS = {
    "zero_fraction": ("zeros", "#56B4E9", "circle"),
    "dead_fraction": ("units that are 0 for every example", "#D55E00", "square"),
    "saturated_fraction": ("activations at a limit", "#CC79A7", "diamond"),
}
_HEIGHT = 440
_EQUAL = 0.98
"""Standard deviation over RMS from which on the two count as equal."""


def layer_charts(layers: Sequence[LayerData]) -> list[PageBlock]:
    """Return the charts of a diagnosis by layer; none without layers.

    Args:
      layers: the layers of `Diagnosis.to_dict()`.
    """
    if not layers:
        return []
    panels = [
        _panel_chart(panel, layers)
        for panel in _LABELS
        if panel.is_logarithmic or np.isfinite(panel.heights(layers)).any()
    ]
    return [*panels, *_fraction_blocks(layers)]


def _panel_chart(panel: LayerPanel, layers: Sequence[LayerData]) -> Chart:
    heights, expected = panel.heights(layers), panel.expected(layers)
    healthy = panel.healthy(layers)
    ends = LogRange.of(heights, expected[:, 0], healthy[:, 1:])
    names = short_layer_names([each["path"] for each in layers])
    floor = ends.low if panel.is_logarithmic else -1.0
    traces = [
        *_ranges(healthy, expected, floor),
        *_expected_line(expected, names, panel),
        *(_deviation_line(layers, names) if panel is SIGNAL_PANEL else []),
        *_measured_traces(panel, heights, layers, names),
    ]
    if panel.is_logarithmic:
        traces += special_traces(heights, ends, FAULT_COLOR)
    title = _AXIS_TITLES[panel]
    linear = {"title": {"text": title}, "range": [-0.1, 1.05]}
    return Chart(
        _LABELS[panel] + _shown_ranges(expected, healthy) * panel.is_logarithmic,
        traces,
        {
            "xaxis": layer_axis([each["path"] for each in layers]),
            "yaxis": ends.axis(title) if panel.is_logarithmic else linear,
            "legend": LEGEND_ABOVE,
            "hovermode": "closest",
        },
        _HEIGHT,
    )


def _shown_ranges(expected: np.ndarray, healthy: np.ndarray) -> str:
    """Return what the chart of a signal shows beside the measurement, in words."""
    shown = [
        text
        for text, edges in (
            ("as theory expects it of these weights", expected),
            ("in the range of healthy networks of this depth", healthy),
        )
        if np.isfinite(edges).any()
    ]
    return ", ".join(["", "measured", *shown])


def _ranges(healthy: np.ndarray, expected: np.ndarray, floor: float) -> list[dict[str, Any]]:
    both = [
        (healthy, "range of healthy networks", HEALTHY_COLOR),
        (expected, "interval expected of these weights", EXPECTED_COLOR),
    ]
    return [
        range_trace(edges[:, 1:], name, color, floor)
        for edges, name, color in both
        if np.isfinite(edges).any()
    ]


def _expected_line(
    expected: np.ndarray, names: Sequence[str], panel: LayerPanel
) -> list[dict[str, Any]]:
    values = expected[:, 0]
    drawn = np.where(values > 0, values, np.nan) if panel.is_logarithmic else values
    if not np.isfinite(drawn).any():
        return []
    line = {"color": EXPECTED_COLOR, "width": 1.5, "dash": "dash"}
    name = "expected of these weights"
    return [layer_line(drawn, name, EXPECTED_COLOR, names, mode="lines", line=line)]


def _measured_traces(
    panel: LayerPanel, heights: np.ndarray, layers: Sequence[LayerData], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the line through all layers, and marks on those with a fault."""
    drawn = np.where(heights > 0, heights, np.nan) if panel.is_logarithmic else heights
    if not np.isfinite(drawn).any():
        return []
    traces = [layer_line(drawn, "measured", MEASURED_COLOR, names)]
    is_faulty = np.array([each["verdict"] != "stable" for each in layers])
    faulty = np.where(is_faulty, drawn, np.nan)
    if np.isfinite(faulty).any():
        texts = [
            f"{name}, {chart_text(each['verdict'])}"
            for name, each in zip(names, layers, strict=True)
        ]
        marker = {"color": FAULT_COLOR, "size": 8, "symbol": "diamond"}
        traces.append(
            layer_line(faulty, "with a fault", FAULT_COLOR, texts, mode="markers", marker=marker)
        )
    return traces


def _deviation_line(layers: Sequence[LayerData], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the standard deviations, where the mean makes them differ from the RMS."""
    pairs = [(each["statistics"].get("std"), each["statistics"]["rms"]) for each in layers]
    values, rms = np.array(pairs, float).T
    if not np.any(values < _EQUAL * rms):
        return []
    line = {"color": MEASURED_COLOR, "width": 1.5, "dash": "dot"}
    drawn = np.where(values > 0, values, np.nan)
    name = "standard deviation, without the mean"
    return [layer_line(drawn, name, MEASURED_COLOR, names, mode="lines", line=line)]


def _fraction_blocks(layers: Sequence[LayerData]) -> list[PageBlock]:
    """Return the chart of the fractions that are not zero everywhere, and a line on the others."""
    paths = [each["path"] for each in layers]
    traces, absent = [], []
    for statistic, (name, color, symbol) in _FRACTIONS.items():
        values = np.array([each["statistics"].get(statistic) for each in layers], float)
        marker = {"color": color, "size": 7, "symbol": symbol}
        if np.any(values > 0):
            traces.append(
                layer_line(100 * values, name, color, short_layer_names(paths), marker=marker)
            )
        elif np.any(values == 0):
            absent.append(name)
    blocks: list[PageBlock] = []
    if traces:
        layout = {
            "xaxis": layer_axis(paths),
            "yaxis": {"title": {"text": "percent"}, "range": [-4, 104]},
            "legend": LEGEND_ABOVE,
            "showlegend": True,
        }
        label = "Activations of each layer that are 0, dead or at a limit"
        blocks.append(Chart(label, traces, layout, _HEIGHT))
    return [*blocks, Paragraphs([f"None in any layer: {', '.join(absent)}."])] if absent else blocks
