"""The catalog of initializers for the terminal: a table by family, and a page per entry."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_Density = Callable[[np.ndarray], np.ndarray]

_MOST_BINS = 25
_BAR_WIDTH = 48


@dataclass(frozen=True)
class EntryDescription:
    """An entry of the catalog, described by its documentation.

    Args:
      name: name of the initializer.
      family: name of its family.
      variance_formula: formula of the variance, such as `2 / fan_in`; empty if there is none.
      summary: summary line of its docstring.
      reference: paper in which it was published; empty if there is none.
    """

    name: str
    family: str
    variance_formula: str
    summary: str
    reference: str


def read_description(
    name: str, family: str, variance_formula: str, documentation: str
) -> EntryDescription:
    """Read the first paragraph and the reference of a docstring.

    Args:
      name: name of the initializer.
      family: name of its family.
      variance_formula: formula of the variance.
      documentation: the docstring.

    Returns:
      The description.

    >>> text = '''Draws zeros.
    ...
    ... Reference: Nobody, 1900.'''
    >>> read_description("zeros", "constant", "", text).reference
    'Nobody, 1900'
    """
    text = inspect.cleandoc(documentation)
    summary = re.split(r"\n\s*\n", text)[0]
    match = re.search(r"References?:\s+(.*?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    reference = " ".join(match[1].split()).rstrip(".") if match else ""
    return EntryDescription(name, family, variance_formula, _plain_text(summary), reference)


def catalog_table(entries: Iterable[EntryDescription]) -> Table:
    """Return a table of all entries, a section per family.

    >>> entry = EntryDescription("zeros", "constant", "", "Zeros.", "")
    >>> catalog_table([entry]).row_count
    1
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("family", "initializer", "variance", "description", "paper"):
        table.add_column(column, overflow="fold", no_wrap=column == "initializer")
    for family, members in groupby(entries, key=lambda entry: entry.family):
        for position, entry in enumerate(members):
            table.add_row(
                Text(family if position == 0 else ""),
                Text(entry.name, style="bold"),
                Text(entry.variance_formula),
                Text(entry.summary),
                Text(short_citation(entry.reference)),
            )
        table.add_section()
    return table


def entry_page(
    entry: EntryDescription, facts: Sequence[str], values: np.ndarray, density: _Density | None
) -> RenderableType:
    """Return the page of one entry: its description, facts, and a histogram of values.

    Args:
      entry: the description of the initializer.
      facts: lines of text about one shape.
      values: values drawn for that shape.
      density: the exact probability density of one value; None if unknown.

    Returns:
      The page, for rich.

    >>> import numpy as np
    >>> entry = EntryDescription("zeros", "constant", "", "Zeros.", "")
    >>> from rich.console import Console
    >>> Console().print(entry_page(entry, ["shape (2,)"], np.zeros(2), None))
    Zeros.
    <BLANKLINE>
    shape (2,)
    <BLANKLINE>
    all 2 values are 0
    """
    reference = [f"Reference: {entry.reference}"] if entry.reference else []
    lines = [entry.summary, *reference, "", *facts, ""]
    return Group(*map(Text, lines), histogram(values, density))


def histogram(values: np.ndarray, density: _Density | None) -> Text:
    """Return a histogram of values, with a mark at the exact density of every bin.

    Args:
      values: the values, at least one.
      density: the exact probability density; None if unknown.

    Returns:
      A line per bin.

    >>> import numpy as np
    >>> histogram(np.zeros(10), None).plain
    'all 10 values are 0'
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return Text(f"all {values.size} values are {low:g}")
    bins = min(_MOST_BINS, max(5, math.isqrt(values.size)))
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    bars = counts / (values.size * (edges[1] - edges[0]))
    exact = None if density is None else density((edges[:-1] + edges[1:]) / 2)
    finite = bars if exact is None else np.concatenate([bars, exact[np.isfinite(exact)]])
    unit = _BAR_WIDTH / finite.max()
    text = Text()
    for index, bar in enumerate(bars):
        center = (edges[index] + edges[index + 1]) / 2
        line = "█" * round(bar * unit)
        text.append(f"{center:>10.3g} ")
        text.append(line if exact is None else _mark_density(line, exact[index] * unit))
        text.append("\n")
    text.append(f"{'':>10} █ drawn" + ("" if exact is None else ", ┃ exact density"))
    return text


def _mark_density(line: str, position: float) -> str:
    if not np.isfinite(position):
        return line
    column = min(round(position), _BAR_WIDTH)
    padded = line.ljust(column + 1)
    return padded[:column] + "┃" + padded[column + 1 :]


def short_citation(reference: str) -> str:
    """Return the authors and the year of the first paper of a reference.

    >>> short_citation('Glorot & Bengio, "Understanding the difficulty", 2010')
    'Glorot & Bengio 2010'
    """
    first = re.match(r'([^"]+), ".*?", ?(?:.*?)\b((?:19|20)\d\d)\b', reference)
    if not first:
        return ""
    authors = first[1].split(", ")
    return f"{authors[0]}{' et al.' if len(authors) > 1 else ''} {first[2]}"


def _plain_text(text: str) -> str:
    return " ".join(text.replace("`", "").split())
