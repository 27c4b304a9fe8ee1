"""Panels of numbers over steps or epochs, with error bars where there are some."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jinit.report.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ERROR_ENDING = " standard error"
"""End of the name of the standard errors of the quantity that is called without it."""
_UNITS = {
    "reconstruction error": "squared, per input",
    "log-likelihood": "nats per example",
    "pseudo-log-likelihood": "nats per example",
}
_MARGIN = 0.03
"""Space at both ends of a curve, relative to the number of steps."""
_MOST_MARKERS = 60
"""Number of steps up to which each has a marker."""
_MOST_LABELS = 12
"""Number of curves up to which a legend names them."""
_LOGARITHMIC_RANGE = 10.0
"""Ratio of the largest to the smallest positive value from which an axis is logarithmic."""


class Curve(NamedTuple):
    """Numbers by step, of shape [steps] or [runs, steps], and their standard errors."""

    label: str
    values: np.ndarray
    errors: np.ndarray | None = None


def read_panels(
    history: Mapping[str, Any], layers: Mapping[str, tuple[str, str]] | None = None
) -> dict[str, list[Curve]]:
    """Return the curves of each panel by its title: those of a quantity share a panel.

    Args:
      history: numbers by name.
      layers: layer and quantity by name, for the numbers of one layer.

    >>> history = {"a loss": [1.0], "b loss": [2.0], "b loss standard error": [0.1]}
    >>> layers = {"a loss": ("a", "loss"), "b loss": ("b", "loss")}
    >>> [(each.label, each.errors) for each in read_panels(history, layers)["loss"]]
    [('a', None), ('b', array([0.1]))]
    """
    arrays = {name: np.asarray(each, float) for name, each in history.items() if np.size(each)}
    panels: dict[str, list[Curve]] = {}
    for name, values in arrays.items():
        if name.endswith(_ERROR_ENDING) and name.removesuffix(_ERROR_ENDING) in arrays:
            continue
        label, title = (layers or {}).get(name, ("", name))
        curve = Curve(label, values, arrays.get(name + _ERROR_ENDING))
        panels.setdefault(title, []).append(curve)
    return panels


def split_empty(panels: Mapping[str, list[Curve]]) -> tuple[dict[str, list[Curve]], str]:
    """Return the panels with a finite number, and a sentence that names the others.

    Args:
      panels: curves by title.

    >>> split_empty({"loss": [Curve("", np.full(3, np.nan))]})
    ({}, 'not drawn, without a finite number: loss')
    """
    drawn = {
        title: curves
        for title, curves in panels.items()
        if any(np.isfinite(each.values).any() for each in curves)
    }
    empty = ", ".join(title for title in panels if title not in drawn)
    return drawn, f"not drawn, without a finite number: {empty}" if empty else ""


def draw_panels(axes: Sequence["Axes"], panels: Mapping[str, list[Curve]], step_label: str) -> None:
    """Draw a panel per title; the first one with several curves has the legend.

    Args:
      axes: the axes of each panel.
      panels: curves by title.
      step_label: name of the horizontal axis.
    """
    from matplotlib.ticker import MaxNLocator

    is_explained = False
    for each, (title, curves) in zip(axes, panels.items(), strict=True):
        for curve, color in zip(curves, _curve_colors(len(curves)), strict=True):
            _draw_curve(each, curve, color)
        choose_scale(each, np.concatenate([curve.values.ravel() for curve in curves]))
        label_panel(each, title, curves)
        steps = max(curve.values.shape[-1] for curve in curves)
        margin = max(0.5, _MARGIN * steps)
        each.set_xlim(1 - margin, steps + margin)
        each.set_xlabel(step_label)
        locator = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
        each.xaxis.set_major_locator(locator)
        if len(curves) > 1 and not is_explained:
            _draw_legend(each)
            is_explained = True


def choose_scale(axes: "Axes", values: np.ndarray) -> None:
    """Use a logarithmic axis for positive numbers of different sizes.

    Args:
      axes: the axes.
      values: all numbers that they show.
    """
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() / finite.min() > _LOGARITHMIC_RANGE:
        axes.set_yscale("log")


def label_panel(axes: "Axes", title: str, curves: Sequence[Curve]) -> None:
    """Write the title of a panel, whether it has error bars, and the unit of its values.

    Args:
      axes: the axes.
      title: the quantity.
      curves: its curves.
    """
    has_errors = any(curve.errors is not None for curve in curves)
    name = f"{title} ± standard error" if has_errors else title
    axes.set_title(escape_unprintable(name), loc="left", fontsize="medium", parse_math=False)
    axes.set_ylabel(_UNITS.get(title, ""))


def _draw_curve(axes: "Axes", curve: Curve, color: Any) -> None:
    """Draw one line per run; a curve with errors is drawn through the steps with a number."""
    runs = np.atleast_2d(curve.values)
    steps = np.arange(1, runs.shape[1] + 1)
    errors = [None] * len(runs) if curve.errors is None else np.atleast_2d(curve.errors)
    style: dict[str, Any] = {"color": color, "alpha": 1.0 if len(runs) == 1 else 0.6}
    for number, (values, error) in enumerate(zip(runs, errors, strict=True)):
        label = curve.label if number == 0 else ""
        if error is None:
            marker = "." if len(steps) <= _MOST_MARKERS else ""
            axes.plot(steps, values, marker=marker, label=label, **style)
        else:
            known = np.isfinite(values)
            axes.errorbar(
                steps[known], values[known], error[known], fmt=".-", capsize=3, label=label, **style
            )


def _curve_colors(count: int) -> list[Any]:
    """Return one color, or colors from dark to bright in the order of the curves."""
    if count == 1:
        return ["#0072B2"]
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.85, count)))


def _draw_legend(axes: "Axes") -> None:
    lines, labels = axes.get_legend_handles_labels()
    if len(labels) > _MOST_LABELS:
        lines, labels = [lines[0], lines[-1]], [labels[0], labels[-1]]
    legend = axes.legend(
        lines,
        [escape_unprintable(label) for label in labels],
        loc="upper left",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize="small",
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
