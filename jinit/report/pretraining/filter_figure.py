"""Filters, examples and reconstructions as a figure of images."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure
from jinit.report.pretraining.image_panel import (
    ImagePanel,
    example_panels,
    filter_panel,
)
from jinit.report.pretraining.image_shape import read_filters, read_image_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARGIN, _TITLE_HEIGHT, _BAR_WIDTH, _BAR_HEIGHT, _LABEL_WIDTH = 0.12, 0.3, 0.14, 0.55, 0.75
"""Inches: margin, height of a title, width and smallest height of a color bar, and width of its
labels."""
_DOTS_PER_INCH = 200


def filter_figure(
    kernel: np.ndarray,
    path: str | os.PathLike[str] | None = None,
    *,
    shape: Sequence[int] | None = None,
    examples: tuple[np.ndarray, np.ndarray] | None = None,
) -> "Figure":
    """Return a figure of filters as images, and of examples with their reconstructions.

    Args:
      kernel: of shape [inputs, units] or [height, width, channels, units].
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.
      shape: shape of the inputs of a dense layer as an image; None for squares.
      examples: examples and their reconstructions, both of shape [examples, inputs].

    Raises:
      ValueError: if a shape does not fit or cannot be guessed, or the file cannot be written.
      MissingExtraError: if matplotlib is not installed.

    >>> filter_figure(np.ones((16, 5))).axes[0].get_title(loc="left")
    '5 filters of 4 × 4, largest norm first'
    """
    if path is not None:
        check_figure_path(path)
    filters = read_filters(kernel, shape)
    with explain_missing_extra("A figure of filters"):
        from matplotlib.figure import Figure
    groups = [[filter_panel(filters)]]
    if examples is not None:
        groups.append(example_panels(*examples, read_image_shape(len(kernel), shape)))
    panels = [panel for group in groups for panel in group]
    width = max(max(panel.width, panel.title_width) for panel in panels)
    top = sum(map(_group_height, groups)) + _MARGIN
    size = width + _BAR_WIDTH + _LABEL_WIDTH + 2 * _MARGIN, top + _MARGIN / 2
    figure = Figure(size, dpi=_DOTS_PER_INCH)
    for group in groups:
        _draw_group(figure, group, top, width)
        top -= _group_height(group)
    if path is not None:
        write_figure(figure, path)
    return figure


def _group_height(panels: Sequence[ImagePanel]) -> float:
    """Return the height in inches of panels with one color bar."""
    height = sum(panel.height + _TITLE_HEIGHT for panel in panels)
    return max(height, _TITLE_HEIGHT + _BAR_HEIGHT)


def _draw_group(figure: "Figure", panels: Sequence[ImagePanel], top: float, width: float) -> None:
    """Draw panels with one color bar after a width, from a height in inches down."""
    bottom = top
    for panel in panels:
        bottom -= _TITLE_HEIGHT + panel.height
        axes = _add_axes(figure, _MARGIN, bottom, panel.width, panel.height)
        axes.imshow(panel.pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()
        axes.set_title(panel.title, loc="left", fontsize="small", parse_math=False)
    height = _group_height(panels)
    left, extent = width + 2 * _MARGIN, height - _TITLE_HEIGHT
    bar = _add_axes(figure, left, top - height, _BAR_WIDTH, extent)
    figure.colorbar(panels[0].colors.mappable(), cax=bar)
    bar.set_ylabel(panels[0].color_label, fontsize="small")
    bar.tick_params(labelsize="small")


def _add_axes(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Add axes at a place in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))
