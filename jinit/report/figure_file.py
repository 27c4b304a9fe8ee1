"""Figures written to files in the format of their suffix."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from jinit.report.text import escape_unprintable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".pdf", ".svg")


def check_figure_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a figure file, checked before anything is computed.

    Args:
      path: the file to write.

    Returns:
      The path.

    Raises:
      ValueError: if the suffix is unknown or the folder does not exist.

    >>> check_figure_path("figure.txt")
    Traceback (most recent call last):
    ValueError: cannot draw figure.txt: expected a name that ends in .png, .pdf or .svg...
    """
    file = Path(path)
    name = escape_unprintable(str(file))
    if file.suffix.lower() not in _SUFFIXES:
        *others, last = _SUFFIXES
        raise ValueError(
            f"cannot draw {name}: expected a name that ends in {', '.join(others)} or {last}, "
            f"such as {escape_unprintable(file.stem or 'figure')}.png"
        )
    if not file.absolute().parent.is_dir():
        raise ValueError(
            f"cannot draw {name}: the folder {escape_unprintable(str(file.parent))} does not "
            "exist; create it, or give another path"
        )
    return file


def write_figure(figure: "Figure", path: str | os.PathLike[str]) -> Path:
    """Write a figure in the format of the suffix: PNG, PDF or SVG.

    A character that the font lacks becomes a box, without a warning.

    Args:
      figure: the figure to write.
      path: the file to write.

    Returns:
      The path.

    Raises:
      ValueError: if the suffix is unknown, or the file cannot be written.

    >>> from matplotlib.figure import Figure
    >>> write_figure(Figure(), "no/such/folder/figure.png")
    Traceback (most recent call last):
    ValueError: cannot draw no/such/folder/figure.png: the folder no/such/folder does not exist...
    """
    file = check_figure_path(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(file, format=file.suffix.lower().removeprefix("."))
    except OSError as error:
        raise ValueError(
            f"cannot write {escape_unprintable(str(file))}: {error.strerror or error}; "
            "give another path"
        ) from error
    return file
