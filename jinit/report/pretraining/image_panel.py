"""Panels of images: filters of a kernel, and examples with their reconstructions."""

from typing import NamedTuple

import numpy as np

from jinit.report.pretraining.image_shape import COLOR_CHANNELS
from jinit.report.pretraining.mosaic import ValueColors, count_columns, join_images

_MOST_FILTERS = 100
_MOST_ROWS, _MOST_CHANNELS = 12, 16
"""Number of filters and of their channels that are drawn if each channel is an image."""
_MOST_EXAMPLES = 10
_TILE, _WIDTH, _HEIGHT, _CHARACTER = 0.56, 5.6, 7.0, 0.063
"""Inches: largest width of an image, largest width and height of a panel, and width of a character
of a title."""


class ImagePanel(NamedTuple):
    """Images in rows, and the colors of their values."""

    title: str
    colors: ValueColors
    color_label: str
    pixels: np.ndarray
    columns: int

    @property
    def width(self) -> float:
        """Width in inches."""
        return min(_WIDTH, self.columns * _TILE, _HEIGHT / self._ratio)

    @property
    def height(self) -> float:
        """Height in inches."""
        return self.width * self._ratio

    @property
    def title_width(self) -> float:
        """Width of the title in inches, about."""
        return len(self.title) * _CHARACTER

    @property
    def _ratio(self) -> float:
        return self.pixels.shape[0] / self.pixels.shape[1]


def filter_panel(filters: np.ndarray) -> ImagePanel:
    """Return the panel of the filters with the largest norms.

    Args:
      filters: of shape [units, height, width, channels].

    >>> filter_panel(np.ones((9, 3, 3, 1))).title
    '9 filters of 3 × 3, largest norm first'
    """
    count, height, width, channels = filters.shape
    norms = np.linalg.norm(filters.reshape(count, -1), axis=1)
    order = np.argsort(-np.nan_to_num(norms, nan=np.inf), kind="stable")
    if channels in (1, COLOR_CHANNELS):
        shown = filters[order[:_MOST_FILTERS]]
        columns = count_columns(len(shown))
        rest = ", largest norm first"
    else:
        shown = filters[order[:_MOST_ROWS], ..., :_MOST_CHANNELS]
        columns = shown.shape[-1]
        rest = f" in rows, largest norm first; {_count(columns, channels, 'channel')} in columns"
    title = f"{_count(len(shown), count, 'filter')} of {height} × {width}{rest}"
    largest = np.abs(filters[np.isfinite(filters)]).max(initial=0) or 1.0
    is_colored = channels == COLOR_CHANNELS
    if not is_colored:
        shown = np.moveaxis(shown, -1, 1).reshape(-1, height, width, 1)
    colors = ValueColors(-largest, largest, "gray" if is_colored else "RdBu_r")
    return _panel(title, colors, "weight", shown, columns)


def example_panels(
    examples: np.ndarray, reconstructions: np.ndarray, shape: tuple[int, int, int]
) -> list[ImagePanel]:
    """Return the panels of examples and of their reconstructions, with the same colors.

    Args:
      examples: of shape [examples, inputs].
      reconstructions: of the same shape.
      shape: height, width and channels of an image.

    >>> panels = example_panels(np.ones((20, 9)), np.zeros((20, 9)), (3, 3, 1))
    >>> [panel.title for panel in panels]
    ['10 of 20 examples', 'reconstructions: mean squared error 1 per input over 20 examples']
    """
    count, columns = len(examples), min(len(examples), _MOST_EXAMPLES)
    both = [np.asarray(each, float) for each in (examples, reconstructions)]
    shown = [each[:columns].reshape(-1, *shape) for each in both]
    finite = np.concatenate(shown)[np.isfinite(np.concatenate(shown))]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    colors = ValueColors(low, high if high > low else low + 1, "gray")
    error = ((both[0] - both[1]) ** 2).mean()
    titles = (
        _count(columns, count, "example"),
        f"reconstructions: mean squared error {error:.3g} per input over "
        f"{_count(count, count, 'example')}",
    )
    return [
        _panel(title, colors, "value", each, columns)
        for title, each in zip(titles, shown, strict=True)
    ]


def _panel(
    title: str, colors: ValueColors, label: str, images: np.ndarray, columns: int
) -> ImagePanel:
    note = "" if np.isfinite(images).all() else "; black where not finite"
    pixels = join_images(colors.paint(images), columns)
    return ImagePanel(title + note, colors, label, pixels, columns)


def _count(shown: int, count: int, name: str) -> str:
    """Return a number of things, and of how many."""
    number = str(count) if shown == count else f"{shown} of {count}"
    return f"{number} {name}{'' if count == 1 else 's'}"
