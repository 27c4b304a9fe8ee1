"""The cells of heat maps: the mean metric by the values of two axes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jinit.choice import check_choice
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import Facet
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline, canonical_value
from jinit.report.text import compact_text

CellGrid = Sequence[Sequence[Candidate | None]]
"""Candidates by row and column; None where there is no run."""

MOST_VALUES = 50
"""Greatest number of values of an axis of a heat map."""

# Losses that differ by more than this factor are colored by their logarithms.
_LOG_RATIO = 10.0


def pair_outline(outline: Outline, axes: Sequence[str]) -> Outline:
    """Return the outline in which two axes compete; those that competed before are facets.

    Args:
      outline: the outline of the sweep.
      axes: the axis of the rows and that of the columns.

    Raises:
      ValueError: if there are not two axes of the sweep, or one has too many values.

    >>> axes = {"init": ["a", "b"], "depth": [2, 4], "lr": [0.1, 1.0], "l2": [0.0, 0.1]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 16, ("lr", "l2"))
    >>> pair = pair_outline(outline, ("init", "lr"))
    >>> pair.compare, pair.tune, pair.facet_axes
    (('init', 'lr'), ('l2',), ('depth',))
    """
    for axis in axes:
        check_choice("axis", axis, outline.axes)
    if len(set(axes)) != 2 or len(axes) != 2:
        raise ValueError(
            f"axes: expected two different axes of {', '.join(outline.axes)}, got {axes!r}"
        )
    for axis in axes:
        if (count := len(outline.axes[axis])) > MOST_VALUES:
            raise ValueError(
                f"axes: {axis!r} has {count} values, and a heat map has room for {MOST_VALUES}; "
                "give axes of a grid, or see results.importance()"
            )
    tune = tuple(axis for axis in outline.tune if axis not in axes)
    return replace(outline, compare=tuple(axes), tune=tune)


def axis_values(outline: Outline, axis: str, facets: Sequence[Facet]) -> list[Any]:
    """Return the values of an axis: words in their order, numbers sorted, and None if any lacks it.

    Values that the outline does not name come last.

    Args:
      outline: the outline of the sweep.
      axis: an axis of it.
      facets: the facets whose candidates are cells.

    >>> outline = Outline("digits", Metric("loss"), {"lr": [1.0, 0.1]}, ("lr",), (0,), 2)
    >>> axis_values(outline, "lr", [])
    [0.1, 1.0]
    """
    candidates = [candidate for facet in facets for candidate in facet.candidates]
    distinct: dict[Any, Any] = {}
    for value in (*outline.axes[axis], *(each.config.get(axis) for each in candidates)):
        distinct.setdefault(canonical_value(value), value)
    present = [value for key, value in distinct.items() if key is not None]
    if all(isinstance(value, int | float) for value in present):
        present.sort()
    return [*present, None] if None in distinct else present


def cell_grid(
    facet: Facet, outline: Outline, rows: Sequence[Any], columns: Sequence[Any]
) -> list[list[Candidate | None]]:
    """Return the candidates of a facet by the values of the two axes that compete.

    Args:
      facet: the facet.
      outline: an outline in which two axes compete.
      rows: values of the axis of the rows.
      columns: values of the axis of the columns.

    >>> axes = {"init": ["a"], "lr": [0.1]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init", "lr"), (0,), total_lanes=1)
    >>> cell_grid(Facet({}, "", ()), outline, ["a"], [0.1])
    [[None]]
    """
    cells = {
        tuple(canonical_value(each.config.get(axis)) for axis in outline.compare): each
        for each in facet.candidates
    }
    return [
        [cells.get((canonical_value(row), canonical_value(column))) for column in columns]
        for row in rows
    ]


def color_limits(grids: Sequence[CellGrid]) -> tuple[float, float] | None:
    """Return the least and the greatest mean of all cells; None if none has a mean.

    Args:
      grids: the cells of every panel.

    >>> color_limits([[[Candidate({}, "a", (), {0: 0.5}, ()), None]]])
    (0.5, 0.5)
    """
    cells = [cell for grid in grids for row in grid for cell in row if cell is not None]
    values = [cell.interval.mean for cell in cells if not is_lost(cell)]
    return (min(values), max(values)) if values else None


def is_logarithmic(limits: tuple[float, float], metric: Metric) -> bool:
    """Return whether cells are colored by the logarithms of their values.

    Args:
      limits: least and greatest value.
      metric: the metric of the cells.

    >>> is_logarithmic((0.1, 2.3), Metric("loss"))
    True
    """
    low, high = limits
    return not metric.larger_is_better and low > 0 and high / low > _LOG_RATIO


def cell_lines(cell: Candidate, metric: Metric) -> list[str]:
    """Return the text of a cell: its mean, and how many of its runs diverged.

    Args:
      cell: a cell.
      metric: the metric of the cells.

    >>> cell_lines(Candidate({}, "a", (), {0: 0.8, 1: 0.1}, (1,)), Metric("accuracy"))
    ['45.0', '1/2 ×']
    """
    mean = cell.interval.mean
    lines = [f"{100 * mean:.1f}" if metric.is_percentage else compact_text(mean, 3)]
    if cell.diverged_seeds:
        lines.append(f"{len(cell.diverged_seeds)}/{len(cell.metric_by_seed)} ×")
    return lines


def best_column(cells: Sequence[Candidate | None], metric: Metric) -> int | None:
    """Return the column of the best mean, if it is better than another one of its row.

    Args:
      cells: the cells of a row.
      metric: the metric of the cells.

    >>> cells = [Candidate({}, name, (), {0: value}, ()) for name, value in (("a", 1), ("b", 2))]
    >>> best_column(cells, Metric("loss"))
    0
    """
    merits = {
        column: metric.merit(cell.interval.mean)
        for column, cell in enumerate(cells)
        if cell is not None and not is_lost(cell)
    }
    best = max(merits, key=lambda column: merits[column], default=None)
    return best if best is not None and merits[best] > min(merits.values()) else None


def is_lost(cell: Candidate) -> bool:
    """Return whether every run of a cell diverged.

    >>> is_lost(Candidate({}, "a", (), {0: 2.3}, diverged_seeds=(0,)))
    True
    """
    is_lost = len(cell.diverged_seeds) == len(cell.metric_by_seed)
    return is_lost or math.isnan(cell.interval.mean)
