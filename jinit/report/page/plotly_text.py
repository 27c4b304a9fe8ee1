"""Strings, arrays and axes in the form that plotly's figures take."""

import base64
import html
import math
from typing import Any

import numpy as np

from jinit.report.text import compact_text, escape_unprintable

_DTYPES = {"f": "f4", "i": "i4", "u": "u4", "b": "u1"}


LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
"""A legend in a line above the chart."""
_FEW_DECADES = 1.5
"""Range of a logarithmic axis, in decades, below which 2 and 5 have ticks too."""
_MOST_DECADES = 10
"""Range of a logarithmic axis, in decades, above which not every decade has a tick."""


def chart_text(text: object, most: int = 48) -> str:
    """Return a string for plotly, which reads tags and entities, so that it shows every character.

    Args:
      text: the string, of a user perhaps.
      most: number of characters from which on it is cut.

    >>> chart_text("he <b>normal</b>"), chart_text("orthogonal", most=5)
    ('he &lt;b&gt;normal&lt;/b&gt;', 'orth…')
    """
    shown = escape_unprintable(str(text))
    return html.escape(shown if len(shown) <= most else f"{shown[: most - 1]}…", quote=False)


def log_axis(low: float, high: float, title: str) -> dict[str, Any]:
    """Return a logarithmic axis with ticks at decades, or at 1, 2 and 5 if it spans few.

    Args:
      low: lower end, positive.
      high: upper end.
      title: its title.

    >>> log_axis(0.01, 10.0, "loss")["range"], log_axis(0.1, 0.7, "loss")["ticktext"]
    ([-2.0, 1.0], ['0.1', '0.2', '0.5'])
    """
    ends = [math.log10(low), math.log10(high)]
    axis = {"type": "log", "title": {"text": chart_text(title)}, "range": ends}
    span = ends[1] - ends[0]
    if span > _FEW_DECADES:
        return axis | {"dtick": math.ceil(span / _MOST_DECADES), "exponentformat": "power"}
    decades = range(math.floor(ends[0]), math.floor(ends[1]) + 1)
    values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    shown = [value for value in values if low <= value <= high]
    if len(shown) < 2:  # plotly then chooses
        return axis
    return axis | {"tickvals": shown, "ticktext": list(map(compact_text, shown))}


def chart_array(values: Any) -> dict[str, str]:
    """Return an array of numbers as plotly's binary array: four bytes per number.

    Args:
      values: numbers with one or two axes; NaN is a gap in a line, and an empty cell of a map.

    Raises:
      TypeError: if the values are not numbers.

    >>> chart_array([1.0, float("nan")])
    {'dtype': 'f4', 'bdata': 'AACAPwAAwH8='}
    >>> chart_array([[1, 2, 3]])["shape"]
    '1, 3'
    """
    array = np.asarray(values)
    if array.dtype.kind not in _DTYPES:
        raise TypeError(f"a chart takes arrays of numbers, got an array of {array.dtype}")
    dtype = _DTYPES[array.dtype.kind]
    data = np.ascontiguousarray(array.astype(f"<{dtype}"))
    packed = {"dtype": dtype, "bdata": base64.b64encode(data.tobytes()).decode("ascii")}
    if array.ndim > 1:
        packed["shape"] = ", ".join(map(str, array.shape))
    return packed
