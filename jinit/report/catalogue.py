"""The catalogue of initializers in the terminal: a table by family, and one entry with its law."""

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

Density = Callable[[np.ndarray], np.ndarray]

_MOST_BINS = 25
_WIDTH = 48


@dataclass(frozen=True)
class Description:
    """An entry of the catalogue in words, read off its documentation."""

    name: str
    family: str
    variance: str
    summary: str
    reference: str


def described(name: str, family: str, variance: str, documentation: str) -> Description:
    """The first sentence and the reference of a docstring.

    >>> text = '''Draws zeros.
    ...
    ... Reference: Nobody, 1900.'''
    >>> described("zeros", "constant", "", text).reference
    'Nobody, 1900'
    """
    text = inspect.cleandoc(documentation)
    summary = re.split(r"\n\s*\n", text)[0]
    found = re.search(r"Reference: (.*?)(?:\n\s*\n|\Z)", text, re.DOTALL)
    reference = " ".join(found[1].split()).rstrip(".") if found else ""
    return Description(name, family, variance, _plain(summary), reference)


def catalogue_table(entries: Iterable[Description]) -> Table:
    """All entries, a section per family.

    >>> one = Description("zeros", "constant", "", "Zeros.", "")
    >>> catalogue_table([one]).row_count
    1
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("family", "initializer", "variance", "what it is", "paper"):
        table.add_column(column, overflow="fold", no_wrap=column == "initializer")
    for family, members in groupby(entries, key=lambda entry: entry.family):
        for position, entry in enumerate(members):
            table.add_row(
                Text(family if position == 0 else ""),
                Text(entry.name, style="bold"),
                Text(entry.variance),
                Text(entry.summary),
                Text(_paper(entry.reference)),
            )
        table.add_section()
    return table


def entry_page(
    entry: Description, facts: Sequence[str], values: np.ndarray, density: Density | None
) -> RenderableType:
    """One entry: what it is, facts about one shape, and a histogram of a draw.

    >>> import numpy as np
    >>> one = Description("zeros", "constant", "", "Zeros.", "")
    >>> from rich.console import Console
    >>> Console().print(entry_page(one, ["shape (2,)"], np.zeros(2), None))
    Zeros.
    <BLANKLINE>
    shape (2,)
    <BLANKLINE>
    all 2 values are 0
    """
    words = [entry.summary, *([f"Reference: {entry.reference}"] if entry.reference else [])]
    return Group(*map(Text, [*words, "", *facts, ""]), histogram(values, density))


def histogram(values: np.ndarray, density: Density | None) -> Text:
    """Bars for the share of values per bin, and a mark where the exact density has its bar end.

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
    unit = _WIDTH / finite.max()
    text = Text()
    for bin_, bar in enumerate(bars):
        centre = (edges[bin_] + edges[bin_ + 1]) / 2
        line = "█" * round(bar * unit)
        text.append(f"{centre:>10.3g} ")
        text.append(line if exact is None else _marked(line, exact[bin_] * unit))
        text.append("\n")
    text.append(f"{'':>10} █ drawn" + ("" if exact is None else ", ┃ exact density"))
    return text


def _marked(line: str, position: float) -> str:
    if not np.isfinite(position):
        return line
    place = min(round(position), _WIDTH)
    padded = line.ljust(place + 1)
    return padded[:place] + "┃" + padded[place + 1 :]


def _paper(reference: str) -> str:
    """Authors and year of the first paper of a reference."""
    first = re.match(r'([^"]+), ".*?", ?(?:.*?)\b((?:19|20)\d\d)\b', reference)
    if not first:
        return ""
    authors = first[1].split(", ")
    return f"{authors[0]}{' et al.' if len(authors) > 1 else ''} {first[2]}"


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())
