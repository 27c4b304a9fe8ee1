"""The catalog in the terminal: descriptions from docstrings, and histograms with densities."""

import io

import numpy as np
import pytest
from rich.console import Console

from jinit.report.catalog import catalog_table, histogram, read_description

DOCUMENTED = """Normal with `n` zeros, over
    two lines.

    Args:
      n: how many.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions", 2013, section 3; Mezzadri,
    2007.

    >>> 1
    1
    """


def test_a_docstring_is_read():
    description = read_description("some", "family", "1 / n", DOCUMENTED)
    assert description.summary == "Normal with n zeros, over two lines."
    assert description.reference == (
        'Saxe, McClelland, Ganguli, "Exact solutions", 2013, section 3; Mezzadri, 2007'
    )
    assert read_description("bare", "family", "", "Zeros.").reference == ""


@pytest.mark.parametrize(
    ("reference", "paper"),
    [
        ('Saxe, McClelland, "Exact", 2013, section 3', "Saxe et al. 2013"),
        ('Glorot & Bengio, "Understanding", 2010', "Glorot & Bengio 2010"),
        ('He et al., "Delving, deep", 2015; LeCun, "Efficient", 1998', "He et al. 2015"),
        ("", ""),
    ],
)
def test_the_table_names_the_paper(reference, paper):
    entry = read_description("one", "family", "", f"One.\n\nReference: {reference}.\n")
    printed = io.StringIO()
    Console(width=120, file=printed).print(catalog_table([entry]))
    (line,) = (line for line in printed.getvalue().splitlines() if "One." in line)
    assert line.split("One.")[1].strip() == paper


def test_bars_reach_the_exact_density():
    values = (np.arange(25_000) + 0.5) / 25_000
    lines = histogram(values, np.ones_like).plain.splitlines()
    assert len(lines) == 26
    assert {line[11:] for line in lines[:-1]} == {"█" * 48 + "┃"}
    steep = histogram(values, lambda x: 2 * x).plain.splitlines()
    marks = [line.index("┃") - 11 for line in steep[:-1]]
    assert marks == sorted(marks)
    assert marks[-1] > 24 * marks[0]


def test_few_values_make_few_bars():
    assert len(histogram(np.arange(16.0), None).plain.splitlines()) == 6
    assert histogram(np.full(7, -2.5), None).plain == "all 7 values are -2.5"
