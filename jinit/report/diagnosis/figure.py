"""A diagnosis as a figure: signal, gradient and correlation by layer, with theory's intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.diagnosis.faults import LayerData
from jinit.report.diagnosis.panels import (
    CORRELATION_PANEL,
    GRADIENT_PANEL,
    SIGNAL_PANEL,
    LayerPanel,
)
from jinit.report.diagnosis.text import loss_text
from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE_COLOR, _FAULT_COLOR = "#1f4e79", "#c00000"
_PANELS = (SIGNAL_PANEL, GRADIENT_PANEL, CORRELATION_PANEL)
_HEALTHY_COLOR, _INTERVAL_COLOR = "#c6e5c3", "#5b9bd5"
_CAPTION = (
    "layer, in execution order\n"
    "red: a fault; green: range of healthy networks; blue: expected of these weights"
)


def diagnosis_figure(data: Mapping[str, Any], path: Path | str | None = None) -> "Figure":
    """Return the figure of a diagnosis.

    Layers with a fault are red. The green range is that of healthy networks of this depth. The blue
    interval is what theory expects of these weights, so it follows an exploding signal too.

    Args:
      data: plain data from `Diagnosis.to_dict()`.
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

    Raises:
      MissingExtraError: if matplotlib is not installed.
      ValueError: if the suffix is another one, or the folder does not exist.

    >>> diagnosis_figure({}, "figure.txt")
    Traceback (most recent call last):
    ValueError: cannot draw figure.txt: expected a name that ends in .png, .pdf or .svg...
    """
    if path is not None:
        check_figure_path(path)
    with explain_missing_extra("diagnosis.plot()"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 7), layout="constrained")
    axes_by_panel = figure.subplots(3, 1, sharex=True)
    for axes, panel in zip(axes_by_panel, _PANELS, strict=True):
        _draw_panel(axes, panel, data["layers"])
    last = axes_by_panel[-1]
    last.set_xlabel(_CAPTION)
    last.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    last.set_xlim(0.5, max(len(data["layers"]), 1) + 0.5)
    title = f"{data['verdict']}, {loss_text(data)}"
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)
    if path is not None:
        write_figure(figure, path)
    return figure


def _draw_panel(axes: "Axes", panel: LayerPanel, layers: Sequence[LayerData]) -> None:
    heights, healthy, expected = (
        np.where(values > 0, values, np.nan) if panel.is_logarithmic else values
        for values in (panel.heights(layers), panel.healthy(layers), panel.expected(layers))
    )
    numbers = np.arange(1, len(layers) + 1)
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    _set_scale(axes, panel, np.concatenate([heights, expected.ravel()]))
    for edges, color in ((healthy, _HEALTHY_COLOR), (expected, _INTERVAL_COLOR)):
        axes.fill_between(numbers, edges[:, 1], edges[:, 2], color=color, alpha=0.5, linewidth=0)
    axes.plot(numbers, heights, color=_LINE_COLOR, linewidth=1, zorder=2)
    is_faulty = np.array([each["verdict"] != "stable" for each in layers], bool)
    for color, chosen in ((_LINE_COLOR, ~is_faulty), (_FAULT_COLOR, is_faulty)):
        axes.plot(numbers[chosen], heights[chosen], "o", color=color, markersize=4, zorder=3)


def _set_scale(axes: "Axes", panel: LayerPanel, values: np.ndarray) -> None:
    """Set the vertical scale; without a positive value there is no logarithmic one."""
    if not panel.is_logarithmic:
        axes.set_ylim(-0.15, 1.05)
    elif np.any(values > 0):
        axes.set_yscale("log")
    else:
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "zero or not finite in every layer", ha="center", transform=axes.transAxes
        )
