"""Lesson: signals and gradients that vanish or explode, with a slider over the scale."""

import math
from typing import Any

import numpy as np

from jinit.report.learn.drawing import BLUE, VERMILION, line_trace, titled_axis
from jinit.report.learn.numbers import SignalScan
from jinit.report.page import (
    LEGEND_ABOVE,
    Frame,
    FrameChart,
    Prose,
    Section,
    Snippet,
    chart_array,
    log_axis,
)
from jinit.report.text import compact_text

_SHADES = [[0, "rgba(0,114,178,0)"], [0.15, "rgba(0,114,178,0.25)"], [1, "#0072B2"]]
_FACTOR = 10.0
"""Growth of the gradient over all layers from which on it counts as vanishing or exploding."""
_UPPER, _LOWER = [0.52, 1.0], [0.0, 0.42]
"""Parts of the height for the histograms and for the sizes."""


def signal_section(scans: tuple[SignalScan, ...]) -> Section:
    """Return the lesson on vanishing and exploding signals.

    Args:
      scans: deep networks of tanh and of relu.
    """
    layers, width = scans[0].activation_rms.shape[1], scans[0].width
    small, large = 0.9**layers, 1.1**layers
    return Section(
        "2. Vanishing and exploding",
        [
            Prose(
                [
                    "A layer multiplies the size of a signal by some factor, and a deep network by "
                    f"the product of all factors: $0.9^{{{layers}}} = {small:.2f}$, but "
                    f"$1.1^{{{layers}}} = {large:.2f}$. The gradient comes back through the same "
                    "layers and is multiplied by factors as well.",
                    f"Below are two networks of {layers} layers with {width} units each, before "
                    "any training. Their weights are normal with mean 0 and variance "
                    "$σ_w^2/n_in$, their inputs standard normal. Move the slider: what survives?",
                ]
            ),
            *(_scan_chart(scan) for scan in scans),
            Prose(
                [
                    "For relu the mean square of the activations is multiplied by $σ_w^2/2$ in "
                    "every layer, and that of the gradient by the same factor, so that both "
                    f"survive only at $σ_w = √2 = {math.sqrt(2):.4f}$. tanh cannot explode "
                    "forward, because it is bounded. With large weights its units sit at ±1 "
                    "instead, and the gradient explodes on its way back. Around $σ_w = 1$ both "
                    "change slowly.",
                ]
            ),
            Snippet(
                "print(jinit.diagnose(model, params, inputs, labels).table())",
                "The same measurement for your own network, compared with theory",
            ),
        ],
    )


def _scan_chart(scan: SignalScan) -> FrameChart:
    floor = min(scan.activation_rms.min(), scan.gradient_std.min())
    ceiling = max(scan.activation_rms.max(), scan.gradient_std.max())
    shown = "log₁₀ |activation|" if scan.is_log else "activation"
    layers = scan.activation_rms.shape[1]
    layout: dict[str, Any] = {
        "xaxis": titled_axis("layer", dtick=2 if layers > 10 else 1, range=[0.5, layers + 0.5]),
        "yaxis2": titled_axis(shown, domain=_UPPER, zeroline=False),
        "yaxis": log_axis(floor / 3, ceiling * 3, "size") | {"domain": _LOWER, "dtick": 2},
        "legend": LEGEND_ABOVE,
    }
    zeros = " Zeros, about half of all, have no logarithm and are left out." if scan.is_log else ""
    return FrameChart(
        f"{scan.activation}. Above: how the activations of each layer are distributed; strong "
        f"color is frequent.{zeros} Below: root mean square of the activations and standard "
        "deviation of the gradient by the pre-activations. Markers are this network, lines the "
        "theory of infinitely wide layers.",
        f"scale σ_w of the {scan.activation} network",
        [_frame(scan, place) for place in range(len(scan.sigmas))],
        layout,
        height=620,
        kind="slider",
        first=scan.sigmas.index(1.0),
    )


def _frame(scan: SignalScan, place: int) -> Frame:
    layers = np.arange(1, scan.activation_rms.shape[1] + 1)
    shares = scan.shares[place]
    heights = shares / np.maximum(shares.max(axis=1, keepdims=True), 1e-12)
    histogram = {
        "type": "heatmap",
        "x": chart_array(layers),
        "y": chart_array((scan.edges[1:] + scan.edges[:-1]) / 2),
        "z": chart_array(np.ascontiguousarray(heights.T)),
        "zmin": 0,
        "zmax": 1,
        "colorscale": _SHADES,
        "showscale": False,
        "hoverinfo": "skip",
        "yaxis": "y2",
    }
    measured = {"mode": "markers"}
    traces = [
        histogram,
        line_trace("activations", layers, scan.activation_rms[place], BLUE, **measured),
        line_trace("theory", layers, scan.theory_rms[place], BLUE, dash="dot"),
        line_trace("gradient", layers, scan.gradient_std[place], VERMILION, **measured),
        line_trace("theory", layers, scan.theory_gradient_std[place], VERMILION, dash="dot"),
    ]
    return Frame(f"{scan.sigmas[place]:.3g}", traces, {}, _sentence(scan, place))


def _sentence(scan: SignalScan, place: int) -> str:
    rms, gradient = scan.activation_rms[place], scan.gradient_std[place]
    ratio = gradient[0] / gradient[-1]
    verdict = (
        "It vanishes."
        if ratio < 1 / _FACTOR
        else "It explodes."
        if ratio > _FACTOR
        else f"It changes by less than a factor of {_FACTOR:g}."
    )
    return (
        f"Activations: {compact_text(rms[0])} in the first layer, {compact_text(rms[-1])} in the "
        f"last. The gradient in the first layer is {compact_text(ratio)} times that in the last. "
        f"{verdict}"
    )
