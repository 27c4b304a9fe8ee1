"""The images that the filters of a kernel are."""

import math
from collections.abc import Sequence

import numpy as np

_DENSE, _CONVOLUTION = 2, 4
"""Number of axes of the kernels of dense layers and of convolutions."""
COLOR_CHANNELS = 3
"""Number of channels of an image with colors."""


def read_filters(kernel: np.ndarray, shape: Sequence[int] | None = None) -> np.ndarray:
    """Return the filters of a kernel, of shape [units, height, width, channels].

    Args:
      kernel: of shape [inputs, units] or [height, width, channels, units].
      shape: shape of the inputs of a dense layer as an image; None for squares.

    Raises:
      ValueError: if the kernel has another shape, or the shape of the image does not fit it.

    >>> read_filters(np.ones((16, 5))).shape, read_filters(np.ones((3, 2, 1, 5))).shape
    ((5, 4, 4, 1), (5, 3, 2, 1))
    """
    if 0 in kernel.shape or kernel.ndim not in (_DENSE, _CONVOLUTION):
        raise ValueError(
            f"cannot draw filters: the kernel has the shape {kernel.shape}, expected [inputs, "
            "units] or [height, width, channels, units]; choose one kernel of a stack or of "
            "several runs, such as kernel[0]"
        )
    kernel = np.asarray(kernel, float)
    if kernel.ndim == _DENSE:
        return kernel.T.reshape(-1, *read_image_shape(len(kernel), shape))
    if shape is not None and tuple(shape) != kernel.shape[: len(shape)]:
        raise ValueError(
            f"cannot draw filters: shape={tuple(shape)}, and the kernel of the convolution has "
            f"filters of {kernel.shape[:3]}; leave shape out"
        )
    return kernel.transpose(3, 0, 1, 2)


def read_image_shape(inputs: int, shape: Sequence[int] | None = None) -> tuple[int, int, int]:
    """Return the height, the width and the number of channels of images with a number of inputs.

    Args:
      inputs: number of inputs.
      shape: (height, width) or (height, width, channels); None for squares of one or three
        channels.

    Raises:
      ValueError: if the shape does not fit, or there is no such square.

    >>> read_image_shape(64), read_image_shape(3 * 64), read_image_shape(6, (2, 3))
    ((8, 8, 1), (8, 8, 3), (2, 3, 1))
    """
    if shape is None:
        for channels in (1, COLOR_CHANNELS):
            side = math.isqrt(inputs // channels)
            if side**2 * channels == inputs:
                return side, side, channels
        raise ValueError(
            f"cannot draw filters: {inputs} inputs are neither a square nor three squares; give "
            "shape=(height, width) or (height, width, channels)"
        )
    height, width, channels = (*shape, 1)[:3] if len(shape) in (2, 3) else (0, 0, 0)
    if height * width * channels != inputs or channels not in (1, COLOR_CHANNELS):
        raise ValueError(
            f"cannot draw filters: shape={tuple(shape)} does not fit {inputs} inputs; expected "
            f"(height, width) or (height, width, channels) with 1 or {COLOR_CHANNELS} channels and "
            f"a product of {inputs}"
        )
    return height, width, channels
