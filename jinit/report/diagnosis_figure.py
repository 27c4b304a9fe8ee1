"""A diagnosis as a figure: signal, gradient and correlation by layer, beside theory's bands."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.extras import needed_for
from jinit.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BAND, _FAULT = "#1f4e79", "#9dc3e6", "#c00000"
_NONE = (None, None, None)
_CAPTION = (
    "layer, in execution order\n"
    "red: something is wrong; shaded: what theory expects of weights of this scale"
)


def diagnosis_figure(data: Mapping[str, Any], path: Path | str | None = None) -> "Figure":
    """The figure of `Diagnosis.to_dict()`, written to `path` as PNG if there is one.

    Layers where something is wrong are red; a band is what theory allows weights of this scale.
    """
    with needed_for("diagnosis.plot()"):
        from matplotlib.figure import Figure

    layers = data["layers"]
    figure = Figure(figsize=(8, 7), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    for axes, (name, scale, title) in zip(panels, _PANELS, strict=True):
        _bands(axes, [each["predicted"].get(name) for each in layers], scale)
        _dots(axes, layers, [scale(each["statistics"][name]) for each in layers])
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[:2]:
        axes.set_yscale("log")
    panels[2].set_ylim(-0.15, 1.05)
    panels[2].set_xlabel(_CAPTION)
    title = f"{data['verdict']}, {data['loss_name']} {_text(data['loss'])}"
    figure.suptitle(title, x=0.01, ha="left")
    if path is not None:
        write_figure(figure, Path(path))
    return figure


def _text(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _on_log_axis(value: float | None) -> float:
    return _number(value) or math.nan


def _bands(axes: "Axes", bands: Sequence[Any], scale: Callable[[float | None], float]) -> None:
    edges = [[scale(end) for end in band or _NONE] for band in bands]
    _, low, high = np.array(edges).reshape(-1, 3).T
    numbers = np.arange(1, len(bands) + 1)
    axes.fill_between(numbers, low, high, color=_BAND, alpha=0.4, linewidth=0)


def _dots(axes: "Axes", layers: Sequence[Mapping[str, Any]], heights: Sequence[float]) -> None:
    numbers = np.arange(1, len(layers) + 1)
    axes.plot(numbers, heights, color=_INK, linewidth=1, zorder=2)
    ill = np.array([each["verdict"] != "stable" for each in layers], bool)
    for colour, chosen in ((_INK, ~ill), (_FAULT, ill)):
        dots = numbers[chosen], np.array(heights)[chosen]
        axes.plot(*dots, "o", color=colour, markersize=4, zorder=3)


def _root(value: float | None) -> float:
    return math.sqrt(_on_log_axis(value))


_PANELS = (
    ("second_moment", _root, "signal: RMS of the pre-activations"),
    ("gradient_rms", _on_log_axis, "gradient: RMS of the loss gradient of one example"),
    ("correlation", _number, "correlation: mean cosine of pairs of inputs"),
)
