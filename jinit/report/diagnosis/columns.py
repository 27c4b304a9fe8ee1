"""The columns of the table of layers, for the terminal and for a notebook."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from jinit.report.diagnosis.faults import LayerData
from jinit.report.text import escape_unprintable


class Room(Enum):
    """The width of a page that a column needs."""

    ANY = 0
    MEDIUM = 1
    WIDE = 2


@dataclass(frozen=True)
class Column:
    """One column of the table of layers."""

    name: str
    meaning: str = ""
    """Explanation for the legend; empty if the name needs none."""
    room: Room = Room.ANY

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, which are aligned to the right."""
        return bool(self.meaning)


_EXPECTED_MEANING = "interval that theory expects of weights of this scale in layers of this width"
PAGE_COLUMNS = (
    Column("layer"),
    Column("verdict"),
    Column("signal", "RMS of the pre-activations"),
    Column("expected", _EXPECTED_MEANING, Room.WIDE),
    Column("gradient", "RMS of the gradient of one example's loss with respect to them"),
    Column("expected", _EXPECTED_MEANING, Room.WIDE),
    Column("corr.", "mean correlation of pairs of inputs", Room.MEDIUM),
    Column("dead", "fraction of units that are 0 for every example", Room.MEDIUM),
    Column("limit", "fraction of activations at a limit", Room.MEDIUM),
)
UPDATE_COLUMN = Column(
    "update", "RMS of the optimizer's first update over that of the weights", Room.MEDIUM
)


def filled_columns(layers: Sequence[LayerData]) -> tuple[Column, ...]:
    """Return the columns of the table; that of updates only if an optimizer was given.

    Args:
      layers: the layers of `Diagnosis.to_dict()`.
    """
    has_updates = any(_update_ratio(layer) is not None for layer in layers)
    return (*PAGE_COLUMNS, UPDATE_COLUMN) if has_updates else PAGE_COLUMNS


def _update_ratio(layer: LayerData) -> float | None:
    return layer["statistics"].get("update_ratio")


def layer_cells(layer: LayerData, columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the texts of a layer's row, one for each column, safe to print.

    Args:
      layer: one layer of `Diagnosis.to_dict()`.
      columns: those of `filled_columns`.
    """
    statistics, predicted = layer["statistics"], layer["predicted"]
    second = predicted.get("second_moment")
    signal = None if second is None else [None if x is None else math.sqrt(x) for x in second]
    cells = (
        escape_unprintable(layer["path"]),
        layer["verdict"],
        number_text(statistics["rms"]),
        _interval_text(signal),
        number_text(statistics["gradient_rms"]),
        _interval_text(predicted.get("gradient_rms")),
        number_text(statistics["correlation"]),
        number_text(statistics["dead_fraction"]),
        number_text(statistics["saturated_fraction"]),
        number_text(_update_ratio(layer)),
    )
    return cells[: len(columns)]


def sort_values(layer: LayerData, columns: Sequence[Column]) -> tuple[float | None, ...]:
    """Return the numbers by which a layer's row is sorted, one for each column; None for texts.

    Args:
      layer: one layer of `Diagnosis.to_dict()`.
      columns: those of `filled_columns`.
    """
    statistics, predicted = layer["statistics"], layer["predicted"]
    values = (
        None,
        None,
        statistics["rms"],
        (predicted.get("second_moment") or [None])[0],
        statistics["gradient_rms"],
        (predicted.get("gradient_rms") or [None])[0],
        statistics["correlation"],
        statistics["dead_fraction"],
        statistics["saturated_fraction"],
        _update_ratio(layer),
    )
    return values[: len(columns)]


def legend_text(columns: Sequence[Column]) -> str:
    """Return the meanings of columns, each name once.

    >>> legend_text([Column("layer"), Column("signal", "RMS of the pre-activations")])
    'signal: RMS of the pre-activations'
    """
    meanings = {column.name: column.meaning for column in columns if column.meaning}
    return "; ".join(f"{name}: {meaning}" for name, meaning in meanings.items())


def number_text(value: float | None) -> str:
    """Return a number with two digits; empty if there is none.

    >>> number_text(0.1234), number_text(None)
    ('0.12', '')
    """
    return "" if value is None else f"{value:.2g}"


def _interval_text(interval: Sequence[float | None] | None) -> str:
    """Return an interval; empty if theory begins at this layer's measurement."""
    if interval is None or interval[1] == interval[2]:
        return ""
    return f"{number_text(interval[1])}–{number_text(interval[2])}"
