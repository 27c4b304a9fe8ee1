"""The catalog of initializers as lines of text: one entry per line, for people and for grep."""

from collections.abc import Iterable, Sequence

from jinit.report.catalog import EntryDescription, short_citation

_WIDE = 110
"""Columns from which on the family and the paper are shown."""


def matches_words(entry: EntryDescription, words: Sequence[str]) -> bool:
    """Return whether every word is part of the entry's text, regardless of case.

    Args:
      entry: an entry of the catalog.
      words: words to look for in its name, family, variance, summary and reference.

    >>> zeros = EntryDescription("zeros", "constant", "", "Zeros.", "")
    >>> matches_words(zeros, ["Constant"]), matches_words(zeros, ["zeros", "random"])
    (True, False)
    """
    text = " ".join(vars(entry).values()).lower()
    return all(word.lower() in text for word in words)


def catalog_lines(entries: Iterable[EntryDescription], width: int | None) -> list[str]:
    """Return one line per entry: name, family, variance, paper and summary, in columns.

    Args:
      entries: entries of the catalog.
      width: columns of the terminal, to which lines are cut; a narrow one gets the name, variance
        and summary. None leaves lines as long as they are.

    >>> zeros = EntryDescription("zeros", "constant", "", "An array of zeros.", "")
    >>> catalog_lines([zeros], None)
    ['zeros  constant      An array of zeros.']
    """
    narrow = width is not None and width < _WIDE
    rows = [_cells(entry, narrow) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [_cut(line, width) for line in lines]


def _cells(entry: EntryDescription, narrow: bool) -> tuple[str, ...]:
    summary = entry.summary.partition(". ")[0]
    if narrow:
        return entry.name, entry.variance_formula, summary
    paper = short_citation(entry.reference)
    return entry.name, entry.family, entry.variance_formula, paper, summary


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"
