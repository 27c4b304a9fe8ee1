"""Images side by side as one image, and the colors of their values."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jinit.report.pretraining.image_shape import COLOR_CHANNELS

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

_GAP_COLOR = (178, 178, 178, 255)
_BROKEN_COLOR = np.array((0, 0, 0, 255), np.uint8)
"""Color of values that are not finite."""
_GAP = 1 / 20
"""Width of the gap between two images, relative to the mean side of an image."""
_PIXELS = 1600
"""Width and height up to which pixels are repeated, so that no viewer smooths them."""


class ValueColors(NamedTuple):
    """The range of values that an image shows, and its colors."""

    low: float
    high: float
    color_map: str

    def mappable(self) -> "ScalarMappable":
        """Return the scale of a color bar."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(self.low, self.high), self.color_map)

    def paint(self, images: np.ndarray) -> np.ndarray:
        """Return the colors of images as bytes, of shape [images, height, width, 4].

        Images of three channels have a color per channel.

        Args:
          images: values of shape [images, height, width, channels], of one or three channels.
        """
        finite = np.isfinite(images).all(-1, keepdims=True)
        values = np.where(finite, images, self.low)
        if images.shape[-1] == COLOR_CHANNELS:
            shares = np.clip((values - self.low) / (self.high - self.low), 0, 1)
            opaque = np.ones((*images.shape[:-1], 1))
            colors = np.round(255 * np.concatenate([shares, opaque], -1)).astype(np.uint8)
        else:
            flat = self.mappable().to_rgba(values.reshape(1, -1), bytes=True)
            colors = np.reshape(flat, (*images.shape[:-1], 4))
        return np.where(finite, colors, _BROKEN_COLOR)


def count_columns(images: int) -> int:
    """Return the number of columns of a grid, no higher than wide, with the fewest empty places.

    Args:
      images: number of images.

    >>> count_columns(100), count_columns(12), count_columns(5)
    (10, 4, 5)
    """
    fewest = math.isqrt(images - 1) + 1
    return min(range(fewest, 2 * fewest + 1), key=lambda columns: -images % columns)


def join_images(colors: np.ndarray, columns: int) -> np.ndarray:
    """Return images side by side in rows as one image; empty places are transparent.

    Args:
      colors: the images as bytes, of shape [images, height, width, 4].
      columns: number of images of a row.

    >>> join_images(np.ones((3, 8, 8, 4)), 2).shape
    (1720, 1720, 4)
    """
    rows = -(-len(colors) // columns)
    factor = max(1, _PIXELS // max(rows * colors.shape[1], columns * colors.shape[2]))
    colors = colors.repeat(factor, 1).repeat(factor, 2)
    height, width = colors.shape[1:3]
    gap = max(1, round((height * width) ** 0.5 * _GAP))
    joined = np.zeros((rows * (height + gap) + gap, columns * (width + gap) + gap, 4), np.uint8)
    for place, image in enumerate(colors):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        joined[top : top + height + 2 * gap, left : left + width + 2 * gap] = _GAP_COLOR
        joined[top + gap : top + gap + height, left + gap : left + gap + width] = image
    return joined
