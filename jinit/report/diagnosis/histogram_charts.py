"""Histograms of the signal at each layer, with a slider over the layers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jinit.report.diagnosis.columns import number_text
from jinit.report.diagnosis.faults import LayerData
from jinit.report.layer_traces import FAULT_COLOR, MEASURED_COLOR
from jinit.report.page import Frame, FrameChart, chart_array, chart_text

_POINTS = 81
_GAP = 0.16
"""Part of the height between the two histograms of a layer."""


def histogram_charts(layers: Sequence[LayerData]) -> list[FrameChart]:
    """Return the histograms of all layers that have one.

    The first layer with a fault is shown first.

    Args:
      layers: the layers of `Diagnosis.to_dict()`.
    """
    shown = [layer for layer in layers if layer.get("histograms")]
    if not shown:
        return []
    faulty = [number for number, layer in enumerate(shown) if layer["verdict"] != "stable"]
    label = (
        "Signal of a layer: its pre-activations, beside a normal distribution of the variance that "
        "theory expects, and its activations. The outermost bars count what lies beyond."
    )
    return [
        FrameChart(
            label,
            "layer",
            [_layer_frame(layer) for layer in shown],
            {
                "xaxis": {"anchor": "y"},
                "xaxis2": {"anchor": "y2", "title": {"text": "activation"}},
                "yaxis": {"domain": [0.5 + _GAP / 2, 1], "title": {"text": "fraction"}},
                "yaxis2": {"domain": [0, 0.5 - _GAP / 2], "title": {"text": "fraction"}},
                "bargap": 0.04,
                "showlegend": False,
            },
            height=520,
            kind="slider",
            first=faulty[0] if faulty else 0,
        )
    ]


def _layer_frame(layer: LayerData) -> Frame:
    histograms = layer["histograms"]
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"xaxis": {"anchor": "y", "title": {"text": "pre-activation"}}}
    if found := histograms.get("preactivation"):
        traces += [bar_trace(found, MEASURED_COLOR, "pre-activations"), *_normal_trace(layer)]
    if found := histograms.get("activation"):
        traces.append(bar_trace(found, "#E69F00", "activations") | {"xaxis": "x2", "yaxis": "y2"})
    else:
        layout["annotations"] = [_no_activations()]
    return Frame(layer["path"], traces, layout, _layer_sentence(layer))


def _layer_sentence(layer: LayerData) -> str:
    statistics = layer["statistics"]
    parts = [f"{layer['verdict']}: RMS {number_text(statistics['rms']) or 'not finite'}"]
    for name, text in (
        ("zero_fraction", "activations that are 0"),
        ("dead_fraction", "units that are 0 for every example"),
        ("saturated_fraction", "activations at a limit"),
    ):
        fraction = statistics.get(name)
        if fraction is not None:
            parts.append(f"{text}: {100 * fraction:.3g} %")
    return ", ".join(parts)


def bar_trace(histogram: Mapping[str, Any], color: str, name: str) -> dict[str, Any]:
    """Return the bars of a histogram, which add up to 1.

    Args:
      histogram: `low`, `high` and `counts`.
      color: color of the bars.
      name: their name.
    """
    counts = np.array(histogram["counts"], float)
    edges = np.linspace(histogram["low"], histogram["high"], len(counts) + 1)
    return {
        "type": "bar",
        "name": chart_text(name),
        "x": chart_array((edges[:-1] + edges[1:]) / 2),
        "y": chart_array(counts / max(counts.sum(), 1)),
        "marker": {"color": color},
        "hovertemplate": "%{x:.3g}: %{y:.3f}",
    }


def _normal_trace(layer: LayerData) -> list[dict[str, Any]]:
    """Return the expected distribution; none if theory has none, or it does not fit the axis."""
    histogram = layer["histograms"]["preactivation"]
    second = (layer["predicted"].get("second_moment") or [None])[0]
    if not second or not math.isfinite(math.sqrt(second)):
        return []
    x = np.linspace(histogram["low"], histogram["high"], _POINTS)
    width = (histogram["high"] - histogram["low"]) / len(histogram["counts"])
    density = np.exp(-(x**2) / (2 * second)) / math.sqrt(2 * math.pi * second)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "expected",
            "x": chart_array(x),
            "y": chart_array(width * density),
            "line": {"color": FAULT_COLOR, "width": 2, "dash": "dash"},
            "hoverinfo": "skip",
        }
    ]


def _no_activations() -> dict[str, Any]:
    return {
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.2,
        "showarrow": False,
        "text": "no single layer takes in its activations",
    }
