"""The report of a method that initializes by data, as a figure."""

import os
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.curves import (
    Curve,
    choose_scale,
    draw_panels,
    label_panel,
    read_panels,
    split_empty,
)
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
_TITLE_WIDTH = 100
"""Number of characters of a line of the title."""


def calibration_figure(
    data: Mapping[str, Any], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Return a figure: a panel per statistic by layer, and a panel per quantity by step.

    Statistics that end in `before` and `after` share a panel, and so do the curves of layers.
    Statistics and curves with a `standard error` have error bars.

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
    statistics = data["statistics"] if data["layers"] else {}
    panels, missing = split_empty(_layer_panels(statistics))
    owners = {f"{each} {name}": (each, name) for each in data["layers"] for name in statistics}
    curves, note = split_empty(read_panels(data["history"], owners))
    if not panels and not curves:
        raise ValueError(
            "there is nothing to draw: the report has no finite statistics by layer and no curves"
        )
    count = len(panels) + len(curves)
    figure = Figure(figsize=(8, 1 + 2.6 * count), layout="constrained")
    axes = list(figure.subplots(count, 1, squeeze=False)[:, 0])
    for each, (title, series) in zip(axes, panels.items(), strict=False):
        _draw_layers(each, title, series, data["layers"])
    draw_panels(axes[len(panels) :], curves, "step or epoch")
    lines = (f"{data['method']}: {data['passes']:g} forward passes", missing, note)
    wrapped = (fill(escape_unprintable(line), _TITLE_WIDTH) for line in dict.fromkeys(lines))
    title = "\n".join(filter(None, wrapped))
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium", parse_math=False)
    if path is not None:
        write_figure(figure, path)
    return figure


def _layer_panels(statistics: Mapping[str, Any]) -> dict[str, list[Curve]]:
    """Return the statistics of every panel by its title."""
    panels: dict[str, list[Curve]] = {}
    for name, curves in read_panels(statistics).items():
        title, label = name, ""
        for ending in (_BEFORE, _AFTER):
            if name.endswith(ending):
                title, label = name.removesuffix(ending), ending.strip()
        panels.setdefault(title, []).extend(each._replace(label=label) for each in curves)
    return panels


def _draw_layers(axes: "Axes", title: str, curves: list[Curve], layers: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(1, len(layers) + 1)
    for label, values, errors in sorted(curves, key=lambda each: each.label, reverse=True):
        color = _COLORS.get(label, "#009E73")  # before, then after
        axes.errorbar(places, values, errors, fmt="o-", color=color, label=label, ms=4, capsize=3)
    choose_scale(axes, np.concatenate([each.values for each in curves]))
    label_panel(axes, title, curves)
    if any(each.label for each in curves):
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
