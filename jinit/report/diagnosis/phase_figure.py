"""A phase diagram as a figure: the measured phase in every cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PHASE_COLORS = {
    "ordered": "#9dc3e6",
    "critical": "#e2f0d9",
    "chaotic": "#f4b183",
    "unknown": "#d9d9d9",
}
"""The color of each phase."""
MAX_LABELED_CELLS = 200
"""Largest number of cells that show their numbers."""


class PhaseTitles(NamedTuple):
    """Titles of the axes of a phase diagram, and of its cells."""

    rows: str
    columns: str
    cells: str


def phase_titles(data: Mapping[str, Any]) -> PhaseTitles:
    """Return the titles of a phase diagram.

    Args:
      data: plain data from `PhaseDiagram.to_dict()`.

    >>> phase_titles({"depths": [2, 4]}).columns
    'depth'
    """
    return PhaseTitles(
        rows="σ_w: weights have variance σ_w²/fan_in",
        columns="depth" if data["depths"] else "σ_b: biases have variance σ_b²",
        cells="χ: growth of the squared gradient per layer",
    )


def phase_figure(data: Mapping[str, Any], path: Path | str | None = None) -> "Figure":
    """Return the figure of `PhaseDiagram.to_dict()`.

    Args:
      data: the diagram as plain data.
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

    Raises:
      MissingExtraError: if matplotlib is not installed.
      ValueError: if the suffix is another one, or the folder does not exist.

    >>> phase_figure({}, "figure.txt")
    Traceback (most recent call last):
    ValueError: cannot draw figure.txt: expected a name that ends in .png, .pdf or .svg...
    """
    if path is not None:
        check_figure_path(path)
    with explain_missing_extra("diagram.plot()"):
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

    phases = list(PHASE_COLORS)
    numbers = np.array([[phases.index(phase) for phase in row] for row in data["phase"]])
    columns = data["depths"] or data["sigma_b"]
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    colors = ListedColormap(list(PHASE_COLORS.values()))
    limits = -0.5, len(phases) - 0.5
    axes.pcolormesh(numbers, cmap=colors, vmin=limits[0], vmax=limits[1], edgecolors="white")
    axes.set_yticks(np.arange(len(data["sigma_w"])) + 0.5, map(_value_text, data["sigma_w"]))
    axes.set_xticks(np.arange(len(columns)) + 0.5, map(_value_text, columns))
    titles = phase_titles(data)
    axes.set_ylabel(titles.rows)
    axes.set_xlabel(titles.columns)
    axes.set_title(titles.cells, loc="left", fontsize=10)
    if numbers.size <= MAX_LABELED_CELLS:
        for (row, column), chi in np.ndenumerate(np.array(data["chi"], object)):
            text = "" if chi is None else f"{chi:.2f}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
    patches = [Patch(color=color, label=phase) for phase, color in PHASE_COLORS.items()]
    figure.legend(handles=patches, loc="outside right upper", frameon=False)
    if path is not None:
        write_figure(figure, path)
    return figure


def _value_text(value: float) -> str:
    return f"{value:.3g}"
