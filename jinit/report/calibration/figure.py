"""The report of a method that initializes by data, as a figure."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure
from jinit.report.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEFORE, _AFTER = " before", " after"
_COLORS = {"before": "#D55E00", "after": "#0072B2"}
_MOST_NAMES = 24
"""Layers whose names are written at the axis; more are numbered."""
_LOGARITHMIC_RANGE = 10.0
"""Ratio of the largest to the smallest positive value from which an axis is logarithmic."""


def calibration_figure(
    data: Mapping[str, Any], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Return a figure: a panel per statistic by layer, and a panel per curve by step.

    Statistics that end in `before` and `after` share a panel.

    Args:
      data: plain data from `Report.to_dict()`.
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

    Raises:
      ValueError: if the suffix is another one, the folder does not exist, or there is nothing to
        draw.
      MissingExtraError: if matplotlib is not installed.

    >>> calibration_figure({}, "figure.txt")
    Traceback (most recent call last):
    ValueError: cannot draw figure.txt: expected a name that ends in .png, .pdf or .svg...
    """
    if path is not None:
        check_figure_path(path)
    with explain_missing_extra("report.plot()"):
        from matplotlib.figure import Figure
    panels = _layer_panels(data["statistics"]) if data["layers"] else {}
    curves = {name: each for name, each in data["history"].items() if np.size(each)}
    if not panels and not curves:
        raise ValueError(
            "there is nothing to draw: the report has no statistics by layer and no curves"
        )
    count = len(panels) + len(curves)
    figure = Figure(figsize=(8, 1 + 2.6 * count), layout="constrained")
    axes = list(figure.subplots(count, 1, squeeze=False)[:, 0])
    for each, (title, series) in zip(axes, panels.items(), strict=False):
        _draw_layers(each, title, series, data["layers"])
    for each, (title, values) in zip(axes[len(panels) :], curves.items(), strict=True):
        _draw_curve(each, title, values)
    title = f"{data['method']}: {data['passes']:g} forward passes"
    figure.suptitle(escape_unprintable(title), x=0.01, ha="left", parse_math=False)
    if path is not None:
        write_figure(figure, path)
    return figure


def _layer_panels(statistics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the series of every panel, by title."""
    panels: dict[str, dict[str, Any]] = {}
    for name, values in statistics.items():
        title, label = name, ""
        for ending in (_BEFORE, _AFTER):
            if name.endswith(ending):
                title, label = name.removesuffix(ending), ending.strip()
        panels.setdefault(title, {})[label] = values
    return panels


def _draw_layers(
    axes: "Axes", title: str, series: Mapping[str, Any], layers: Sequence[str]
) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(1, len(layers) + 1)
    for label in sorted(series, reverse=True):  # before, then after
        values = np.asarray(series[label], float)
        axes.plot(places, values, "o-", color=_COLORS.get(label, "#009E73"), label=label, ms=4)
    _choose_scale(axes, np.concatenate([np.asarray(each, float) for each in series.values()]))
    axes.set_title(title, loc="left", fontsize="medium", parse_math=False)
    if any(series):
        axes.legend(frameon=False)
    axes.set_xlim(0.5, len(layers) + 0.5)
    if len(layers) <= _MOST_NAMES:
        axes.set_xticks(places, [escape_unprintable(name) for name in layers], fontsize="x-small")
        axes.tick_params("x", rotation=30)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_parse_math(False)
    else:
        axes.set_xlabel("layer, in execution order")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_curve(axes: "Axes", title: str, values: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    curves = np.atleast_2d(np.asarray(values, float))
    for number, curve in enumerate(curves):
        color = f"C{number}"
        axes.plot(np.arange(1, len(curve) + 1), curve, color=color, marker="o" * (len(curve) < 2))
    _choose_scale(axes, curves.ravel())
    axes.set_title(title, loc="left", fontsize="medium", parse_math=False)
    axes.set_xlabel("step or epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _choose_scale(axes: "Axes", values: np.ndarray) -> None:
    """Use a logarithmic axis for positive numbers of different sizes."""
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() / finite.min() > _LOGARITHMIC_RANGE:
        axes.set_yscale("log")
