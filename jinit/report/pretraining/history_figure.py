"""The history of a training as a figure."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinit.report.curves import draw_panels, read_panels, split_empty
from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def history_figure(
    history: Mapping[str, Any], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Return a figure with a panel per quantity over epochs, with error bars where there are some.

    Args:
      history: numbers by name, of shape [epochs] or [runs, epochs].
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

    Raises:
      ValueError: if there is no finite number to draw, or the file cannot be written.
      MissingExtraError: if matplotlib is not installed.

    >>> history_figure({})
    Traceback (most recent call last):
    ValueError: there is nothing to draw: the history has no numbers that are finite
    """
    if path is not None:
        check_figure_path(path)
    with explain_missing_extra("A figure of a history"):
        from matplotlib.figure import Figure
    panels, note = split_empty(read_panels(history))
    if not panels:
        raise ValueError("there is nothing to draw: the history has no numbers that are finite")
    figure = Figure(figsize=(6.4, 0.4 + 2.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    draw_panels(list(axes), panels, "epoch")
    for each in axes[:-1]:
        each.set_xlabel("")
    if note:
        figure.suptitle(note, x=0.01, ha="left", fontsize="small", parse_math=False)
    if path is not None:
        write_figure(figure, path)
    return figure
