"""Plans as text that fits the terminal, and as HTML."""

import html
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any, TypeAlias

from jinit.gains.naming import activation_name
from jinit.model import Activation
from jinit.rules.plan_row import PlanRow

_GAP = 2
"""Spaces between two columns."""
_FLEXIBLE = {"path": 24, "initializer": 16}
"""Columns that can be shortened, and the width below which other columns are dropped first."""
_DROPPED = ("axes", "fan out", "role", "fan in", "shape", "activation")
"""Columns that narrow tables leave out, the first of these first."""
_DEFAULT_WIDTH = 80
"""Width where the output is not a terminal."""

Columns: TypeAlias = dict[str, list[str]]
"""Cells of a table by the heading of their column."""


def plan_text(rows: Sequence[PlanRow]) -> str:
    """Return the rows of a plan as a table that fits the terminal, with advice below it.

    Args:
      rows: rows of a plan.
    """
    width = shutil.get_terminal_size((_DEFAULT_WIDTH, 24)).columns
    columns = _plan_columns(rows)
    shown = _drop_columns(columns, width)
    lines = _align(_shorten_columns(shown, width))
    if missing := [heading for heading in columns if heading not in shown]:
        lines += _wrap(f"not shown at {width} columns: {', '.join(missing)}", width)
    for row in rows:
        if row.advice:
            lines += _wrap(_escape(f"{row.path}: {row.advice}"), width)
    return "\n".join(lines)


def plan_html(rows: Sequence[PlanRow]) -> str:
    """Return the rows of a plan as an HTML table with all columns.

    Args:
      rows: rows of a plan.
    """
    columns = _plan_columns(rows)
    if any(row.advice for row in rows):
        columns["advice"] = [_escape(row.advice) for row in rows]
    head = "".join(f"<th>{heading}</th>" for heading in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        for cells in zip(*columns.values(), strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plan_columns(rows: Sequence[PlanRow]) -> Columns:
    columns = {
        "path": [row.path for row in rows],
        "shape": ["×".join(map(str, row.shape)) for row in rows],
        "role": [row.role for row in rows],
        "axes": [",".join(row.axes) for row in rows],
        "fan in": [_number(row.fan_in, 6) for row in rows],
        "fan out": [_number(row.fan_out, 6) for row in rows],
        "activation": [_activation_text(row.activation) for row in rows],
        "initializer": [_initializer_text(row.initializer) for row in rows],
        "std": [_number(row.std, 4) for row in rows],
    }
    if any(row.current_std is not None for row in rows):
        columns["current std"] = [_number(row.current_std, 4) for row in rows]
        columns["ratio"] = [_number(row.ratio, 3) for row in rows]
    return {heading: list(map(_escape, cells)) for heading, cells in columns.items()}


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _activation_text(activation: Activation | None) -> str:
    if activation is None:
        return ""
    return f"{activation_name(activation) or 'custom function'} → {activation.end}"


def _initializer_text(initializer: Any) -> str:
    return "model's own" if initializer is None else str(initializer)


def _escape(text: str) -> str:
    """Return text with characters that a terminal would obey written as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _width(heading: str, cells: Sequence[str]) -> int:
    return max(map(len, (heading, *cells)))


def _drop_columns(columns: Columns, width: int) -> Columns:
    """Return the columns that fit the width, the flexible ones shortened as far as is usual."""
    shown = dict(columns)
    for heading in _DROPPED:
        natural = {name: _width(name, cells) for name, cells in shown.items()}
        least = [min(size, _FLEXIBLE.get(name, size)) for name, size in natural.items()]
        if sum(least) + _GAP * (len(least) - 1) <= width:
            break
        del shown[heading]
    return shown


def _shorten_columns(columns: Columns, width: int) -> Columns:
    """Return the columns with long paths and initializers cut to the width that is left."""
    natural = {heading: _width(heading, cells) for heading, cells in columns.items()}
    fixed = sum(size for heading, size in natural.items() if heading not in _FLEXIBLE)
    left = max(width - fixed - _GAP * (len(columns) - 1), len("path") + len("initializer"))
    initializer = min(natural["initializer"], max(left - natural["path"], left * 2 // 5, 11))
    path = min(natural["path"], left - initializer)
    return columns | {
        "path": [_cut_start(cell, path) for cell in columns["path"]],
        "initializer": [_cut_end(cell, initializer) for cell in columns["initializer"]],
    }


def _cut_start(text: str, width: int) -> str:
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def _cut_end(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _align(columns: Columns) -> list[str]:
    widths = [_width(heading, cells) for heading, cells in columns.items()]
    lines = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    gap = " " * _GAP
    return [
        gap.join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False)
