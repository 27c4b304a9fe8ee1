"""A diagnosis as a figure: signal, gradient and correlation by layer, beside theory's bands."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.extras import needed_for
from jinit.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BAND, _FAULT = "#1f4e79", "#9dc3e6", "#c00000"
_SMALLEST = 1e-38


def diagnosis_figure(data: Mapping[str, Any], path: Path | str | None = None) -> "Figure":
    """The figure of `Diagnosis.to_dict()`, written to `path` as PNG if there is one.

    Layers where something is wrong are red; a band is what theory allows weights of this scale.
    """
    with needed_for("diagnosis.plot()"):
        from matplotlib.figure import Figure

    layers = data["layers"]
    figure = Figure(figsize=(8, 7), layout="constrained")
    signal, gradient, correlation = figure.subplots(3, 1, sharex=True)
    _draw(signal, layers, "rms", "second_moment", math.sqrt)
    _draw(gradient, layers, "gradient_rms", "gradient_rms", float)
    _dots(correlation, layers, [each["statistics"]["correlation"] for each in layers])
    correlation.set_ylim(-0.15, 1.05)
    for axes, title in (
        (signal, "signal: RMS of the pre-activations"),
        (gradient, "gradient: RMS of the loss gradient of one example"),
        (correlation, "correlation: mean cosine of pairs of inputs"),
    ):
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    correlation.set_xlabel("layer, in execution order")
    title = f"{data['verdict']}, {data['loss_name']} {_text(data['loss'])}"
    figure.suptitle(title, x=0.01, ha="left")
    if path is not None:
        write_figure(figure, Path(path))
    return figure


def _text(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _draw(
    axes: "Axes", layers: Sequence[Mapping[str, Any]], name: str, band: str, scale: Any
) -> None:
    axes.set_yscale("log")
    bands = [each["predicted"].get(band) for each in layers]
    edges = np.array([[_of(scale, one, end) for end in (1, 2)] for one in bands]).reshape(-1, 2)
    numbers = np.arange(1, len(layers) + 1)
    axes.fill_between(numbers, edges[:, 0], edges[:, 1], color=_BAND, alpha=0.4, linewidth=0)
    values = [each["statistics"][name] for each in layers]
    _dots(axes, layers, [value if value and value > _SMALLEST else None for value in values])


def _of(scale: Any, band: Sequence[float | None] | None, end: int) -> float:
    value = None if band is None else band[end]
    return math.nan if value is None else scale(max(value, _SMALLEST))


def _dots(
    axes: "Axes", layers: Sequence[Mapping[str, Any]], values: Sequence[float | None]
) -> None:
    numbers = np.arange(1, len(layers) + 1)
    heights = np.array([math.nan if value is None else value for value in values], float)
    axes.plot(numbers, heights, color=_INK, linewidth=1, zorder=2)
    for colour, wrong in ((_INK, False), (_FAULT, True)):
        chosen = np.array([(each["verdict"] != "stable") == wrong for each in layers], bool)
        axes.plot(numbers[chosen], heights[chosen], "o", color=colour, markersize=4, zorder=3)
