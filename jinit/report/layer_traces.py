"""Values by layer for plotly: an axis of layers, lines, ranges, zeros and numbers that are lost."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jinit.report.page import chart_array, chart_text, log_axis

MEASURED_COLOR, EXPECTED_COLOR, HEALTHY_COLOR = "#0072B2", "#56B4E9", "#009E73"
FAULT_COLOR = "#D55E00"

_MOST_TICKS = 24
_MOST_CHARACTERS = 20
_NUMBER = re.compile(r"(#\d+)?(\[\d+\])*$")
_SMALLEST, _LARGEST = 1e-37, 1e37
"""Range of the numbers that a chart shows: arrays are packed in single precision."""


def short_layer_names(paths: Sequence[str]) -> list[str]:
    """Return names of layers without what all paths have in common, safe for a chart.

    Long names lose their beginning.

    Args:
      paths: the paths of kernels.

    >>> short_layer_names(["params/block_0/kernel", "params/block_1/kernel", "params/head/kernel"])
    ['block_0', 'block_1', 'head']
    """
    stems, numbers = zip(*map(_split_number, paths), strict=True) if paths else ((), ())
    parts = [stem.split("/") for stem in stems]
    while len(parts) > 1 and all(len(each) > 1 and each[0] == parts[0][0] for each in parts):
        parts = [each[1:] for each in parts]
    while len(parts) > 1 and all(len(each) > 1 and each[-1] == parts[0][-1] for each in parts):
        parts = [each[:-1] for each in parts]
    names = [f"{'/'.join(each)}{number}" for each, number in zip(parts, numbers, strict=True)]
    return [chart_text(_cut_start(name), most=_MOST_CHARACTERS) for name in names]


def _split_number(path: str) -> tuple[str, str]:
    """Return a path, and the number of the use or of the iteration at its end."""
    found = _NUMBER.search(path)
    place = len(path) if found is None else found.start()
    return path[:place], path[place:]


def _cut_start(name: str) -> str:
    return name if len(name) <= _MOST_CHARACTERS else f"…{name[1 - _MOST_CHARACTERS :]}"


def layer_axis(paths: Sequence[str]) -> dict[str, Any]:
    """Return the axis of the layers 1 to n, with as many of their names as there is room for.

    Args:
      paths: the paths of their kernels, in execution order.

    >>> layer_axis(["a", "b"])["ticktext"]
    ['a', 'b']
    """
    step = math.ceil(len(paths) / _MOST_TICKS) or 1
    return {
        "title": {"text": "layer, in execution order"},
        "range": [0.5, max(len(paths), 1) + 0.5],
        "tickvals": list(range(1, len(paths) + 1, step)),
        "ticktext": short_layer_names(paths)[::step],
        "tickfont": {"size": 11},
    }


class LogRange(NamedTuple):
    """The ends of a logarithmic axis."""

    low: float
    high: float

    @classmethod
    def of(cls, *values: np.ndarray) -> "LogRange":
        """Return a range with room around all positive numbers; one decade if there are none.

        Args:
          *values: arrays of numbers, which may be zero or NaN.
        """
        numbers = np.concatenate([np.ravel(each) for each in values])
        numbers = np.clip(numbers[np.isfinite(numbers) & (numbers > 0)], _SMALLEST, _LARGEST)
        if not numbers.size:
            return cls(0.1, 1.0)
        low, high = math.log10(numbers.min()), math.log10(numbers.max())
        room = max(0.08 * (high - low) + 0.15, (1 - high + low) / 2)
        return cls(10 ** (low - room), 10 ** (high + room))

    def axis(self, title: str) -> dict[str, Any]:
        """Return the axis.

        Args:
          title: its title.
        """
        return log_axis(self.low, self.high, title)


def range_trace(edges: np.ndarray, name: str, color: str, floor: float = 0.0) -> dict[str, Any]:
    """Return the range of each layer as a step, NaN where there is none.

    Args:
      edges: lower and upper ends by layer.
      name: name in the legend.
      color: its color.
      floor: value of a lower end that a logarithmic axis cannot show.
    """
    x, y = [], []
    for number, (low, high) in enumerate(edges, 1):
        if math.isfinite(low) and math.isfinite(high):
            bottom = min(max(low, floor), _LARGEST)
            top = max(min(high, _LARGEST), bottom)
            left, right = number - 0.5, number + 0.5
            x += [left, left, right, right, math.nan]
            y += [bottom, top, top, bottom, math.nan]
    return {
        "type": "scatter",
        "name": chart_text(name),
        "x": chart_array(np.array(x, float)),
        "y": chart_array(np.array(y, float)),
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": f"{color}40",
        "hoverinfo": "skip",
    }


def layer_line(
    values: np.ndarray, name: str, color: str, texts: Sequence[str], **options: Any
) -> dict[str, Any]:
    """Return a line through the values of the layers, with gaps where there is nothing to draw.

    Args:
      values: one number for each layer.
      name: name in the legend.
      color: its color.
      texts: names of the layers for the pointer, from `short_layer_names`.
      **options: further entries of the trace.
    """
    is_shown = np.isfinite(values) & (np.abs(values) <= _LARGEST)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": chart_text(name),
        "x": chart_array(np.arange(1, len(values) + 1)),
        "y": chart_array(np.where(is_shown, values, np.nan)),
        "text": list(texts),
        "hovertemplate": "%{text}: %{y:.3g}",
        "line": {"color": color, "width": 1.5},
        "marker": {"color": color, "size": 6},
    } | options


def mark_trace(
    numbers: Sequence[int], height: float, name: str, symbol: str, color: str
) -> dict[str, Any]:
    """Return marks at layers whose value a logarithmic axis cannot show.

    Args:
      numbers: the numbers of the layers, from 1.
      height: the value at which they stand.
      name: what they mean, as `zero`.
      symbol: the symbol of plotly.
      color: its color.
    """
    return {
        "type": "scatter",
        "mode": "markers",
        "name": chart_text(name),
        "x": chart_array(np.asarray(numbers, int)),
        "y": chart_array(np.full(len(numbers), height)),
        "marker": {"symbol": symbol, "color": color, "size": 9},
        "hovertemplate": f"layer %{{x}}: {chart_text(name)}",
    }


def special_traces(values: np.ndarray, ends: LogRange, color: str) -> list[dict[str, Any]]:
    """Return marks for zeros at the lower end of an axis, and for NaN or infinity at the upper end.

    Args:
      values: one number for each layer.
      ends: the ends of the axis.
      color: color of the marks.

    >>> [each["name"] for each in special_traces(np.array([0.0, 1.0]), LogRange(0.1, 1), "red")]
    ['zero (at the lower end)']
    """
    zeros = np.flatnonzero(values == 0) + 1
    lost = np.flatnonzero(~np.isfinite(values)) + 1
    room = (ends.high / ends.low) ** 0.03
    low, high = ends.low * room, ends.high / room
    marks = [
        (zeros, low, "zero (at the lower end)", "triangle-down"),
        (lost, high, "not finite (at the upper end)", "x"),
    ]
    return [
        mark_trace(numbers.tolist(), height, name, symbol, color)
        for numbers, height, name, symbol in marks
        if numbers.size
    ]
