"""A model as text: one line for `repr`, a table for `print`, and HTML for notebooks."""

import html
import math
from collections.abc import Callable, Sequence

import jax

from jinit.model.leaves import Leaf
from jinit.model.params import PyTree

_WIDTH = 80
_SHAPE_WIDTH = 22
"""Largest width of the column of shapes."""
_GAP = 2
"""Spaces between two columns."""
_HEADINGS = ("path", "shape", "role", "fan_in", "fan_out")


def model_summary(params: PyTree, inputs: Sequence[PyTree]) -> str:
    """Return the size of a model and the shapes of its inputs in one line."""
    arrays = jax.tree.leaves(params)
    count = sum(math.prod(array.shape) for array in arrays)
    shapes = [_array_text(array) for array in jax.tree.leaves(list(inputs))]
    shown = ", ".join(shapes[:3]) + (", ..." if len(shapes) > 3 else "")
    return (
        f"{_plural(count, 'parameter')} in {_plural(len(arrays), 'array')}, "
        f"inputs: {shown or 'none'}"
    )


def leaf_table(leaves: Sequence[Leaf]) -> str:
    """Return a table of the parameters in execution order, at most 80 columns wide."""
    rows = [_HEADINGS, *map(_cells, leaves)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    widths[1] = min(widths[1], _SHAPE_WIDTH)
    widths[0] = min(widths[0], _WIDTH - sum(widths[1:]) - _GAP * (len(widths) - 1))
    alignments: tuple[Callable[[str, int], str], ...] = (
        str.ljust,
        str.ljust,
        str.ljust,
        str.rjust,
        str.rjust,
    )
    lines = []
    for row in rows:
        columns = zip(row, widths, alignments, strict=True)
        cells = [align(_shorten(cell, width), width) for cell, width, align in columns]
        lines.append((" " * _GAP).join(cells).rstrip())
    return "\n".join(lines)


def leaf_table_html(leaves: Sequence[Leaf]) -> str:
    """Return the same table as HTML; all text is escaped."""
    rows = [_html_row("th", _HEADINGS), *(_html_row("td", _cells(leaf)) for leaf in leaves)]
    return f"<table>{''.join(rows)}</table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _cells(leaf: Leaf) -> tuple[str, ...]:
    fans = ("" if fan is None else f"{fan:.6g}" for fan in (leaf.fan_in, leaf.fan_out))
    shape = "×".join(map(str, leaf.shape)) or "scalar"
    return (_printable(leaf.path), shape, leaf.role, *fans)


def _array_text(array: jax.ShapeDtypeStruct) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _printable(text: str) -> str:
    """Return text with control characters, which a terminal would obey, written as escapes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _shorten(text: str, width: int) -> str:
    """Return text with its middle left out if it is too long; the end of a path names the leaf."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
