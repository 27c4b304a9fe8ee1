"""A sweep as one picture: learning curves above, the signal by layer below, a column per facet."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jinit.report.curve_panel import INK, curve_limits, draw_curves, loss_column, note_guesses
from jinit.report.extras import needed_for
from jinit.report.facets import Candidate, Facet, printable
from jinit.report.measures import curves
from jinit.report.outline import Outline
from jinit.report.signal_panel import draw_signal, has_zero

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours for every kind of sight (Color universal design, 2008), without yellow,
# which is lost on white; a second round of them is dashed, a third dotted.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)))
_MOST_LINES = 12
_MOST_COLUMNS = 4
_LONGEST_LABEL = 40
_FAINT = "#8a8a8a"


def sweep_figure(facets: Sequence[Facet], outline: Outline) -> "Figure":
    """Learning curves and activation std by layer, one line per candidate, one column per facet.

    Curves are geometric means over seeds with their 95 % band, as their axis is logarithmic. At
    most twelve candidates are drawn, those with the best rank in any facet; the title says when
    there are more.

    Args:
        facets: at least one, candidates best first.
        outline: the plan of the sweep.

    >>> from jinit.report.facets import Candidate
    >>> from jinit.report.metric import Metric
    >>> plan = Outline("digits", Metric("loss"), {"init": ["ones"]}, (), (0,), 1)
    >>> start = Candidate({"init": "ones"}, "ones", ({"step": [0], "seed": 0},), {0: 1.0}, ())
    >>> len(sweep_figure([Facet({}, "relu", (start,))], plan).axes)
    2
    """
    with needed_for("Drawing"):
        from matplotlib.figure import Figure
    styles = _styles(facets)
    columns = min(len(facets), _MOST_COLUMNS)
    bands = math.ceil(len(facets) / columns)
    figure = Figure(
        figsize=(max(3.4 * columns, 6.8), 5.2 * bands + 1.4), dpi=150, layout="constrained"
    )
    grid = figure.subplots(2 * bands, columns, squeeze=False)
    drawn = [[each for each in facet.candidates if each.label in styles] for facet in facets]
    everyone = [each for group in drawn for each in group]
    column = loss_column(everyone)
    limits = curve_limits(everyone, column)
    for index, (facet, group) in enumerate(zip(facets, drawn, strict=True)):
        band, place = divmod(index, columns)
        upper, lower = grid[2 * band, place], grid[2 * band + 1, place]
        draw_curves(upper, group, styles, column, limits)
        note_guesses(upper, _guesses(group, outline, column))
        draw_signal(lower, group, styles)
        upper.set_title(_short(facet.label), parse_math=False, fontweight="bold", color=INK)
        _label_axes(upper, "step", _curve_name(column) if place == 0 else "")
        _label_axes(lower, "layer", "std of layer outputs at step 0" if place == 0 else "")
    for index in range(len(facets), bands * columns):
        band, place = divmod(index, columns)
        for axes in grid[2 * band : 2 * band + 2, place]:
            axes.remove()
    _write_title(figure, facets, outline, len(styles))
    _write_legend(figure, styles, columns)
    return figure


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes a PNG; a character that the font lacks becomes a box, without a warning.

    >>> from matplotlib.figure import Figure
    >>> write_figure(Figure(), Path("no/such/directory/figure.png"))
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, format="png")


def _styles(facets: Sequence[Facet]) -> dict[str, dict[str, Any]]:
    """Line options of every candidate drawn, the same in all facets, the best ranks first."""
    ranks: dict[str, int] = {}
    for facet in facets:
        for rank, each in enumerate(facet.candidates):
            ranks[each.label] = min(rank, ranks.get(each.label, rank))
    chosen = sorted(ranks, key=lambda label: ranks[label])[:_MOST_LINES]
    return {
        label: {
            "color": _COLOURS[index % len(_COLOURS)],
            "linestyle": _DASHES[index // len(_COLOURS)],
            "linewidth": 1.6,
        }
        for index, label in enumerate(chosen)
    }


def _guesses(group: Sequence[Candidate], outline: Outline, column: str) -> list[float]:
    """Last loss, median over seeds, of the candidates that did not learn."""
    stuck = [each for each in group if not outline.metric.learned(each.interval)]
    lines = [curves(each, column)[1] for each in stuck]
    return [float(np.median(line[:, -1])) for line in lines if line.size]


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _curve_name(column: str) -> str:
    return column.removesuffix("_curve").replace("_", " ")


def _label_axes(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(which="major", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(which="both", colors=INK, labelsize=8)


def _write_title(figure: "Figure", facets: Sequence[Facet], outline: Outline, drawn: int) -> None:
    labels = {each.label for facet in facets for each in facet.candidates}
    seeds = len(outline.seeds)
    parts = [
        printable(outline.task),
        f"mean of {seeds} seeds with 95 % band" if seeds > 1 else "one seed",
    ]
    if any(each.diverged for facet in facets for each in facet.candidates):
        parts.append("× diverged")
    if any(has_zero(facet.candidates) for facet in facets):
        parts.append("▽ zero")
    if len(labels) > drawn:
        parts.append(f"best {drawn} of {len(labels)} starts")
    figure.suptitle("  ·  ".join(parts), parse_math=False, fontsize=10, color=INK)


def _write_legend(figure: "Figure", styles: dict[str, dict[str, Any]], columns: int) -> None:
    """A legend below; its texts are set afterwards, as matplotlib hides labels such as `_x`."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **options) for options in styles.values()]
    legend = figure.legend(
        handles, [str(index) for index in range(len(handles))], loc="outside lower center",
        ncols=min(len(handles), max(2, columns + (columns > 2))), frameon=False, fontsize=8,
        handlelength=3.0,
    )  # fmt: skip
    for text, label in zip(legend.get_texts(), styles, strict=True):
        text.set_parse_math(False)
        text.set_text(_short(label))
