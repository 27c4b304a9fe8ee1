"""Figures of kernels and of the history of a training."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jinit.report.pretraining.filter_figure import Figure


def plot_filters(
    kernel: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    shape: Sequence[int] | None = None,
) -> "Figure":
    """Return a figure of the filters of a kernel as images, those with the largest norms first.

    A filter of a convolution with other than one or three channels is a row of images, one per
    channel.

    Args:
      kernel: the kernel of a dense layer, of shape [inputs, units], or of a convolution, of shape
        [height, width, channels, units].
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.
      shape: shape of the inputs of a dense layer as an image, (height, width) or (height, width,
        channels); None for squares of one or three channels.

    Returns:
      The figure of matplotlib.

    Raises:
      ValueError: if the kernel has another shape, the shape does not fit it or cannot be guessed,
        or the file cannot be written.
      MissingExtraError: if matplotlib is not installed.

    >>> figure = plot_filters(np.eye(16))
    >>> figure.axes[0].get_title(loc="left")
    '16 filters of 4 × 4, largest norm first'
    """
    from jinit.report import filter_figure

    return filter_figure(np.asarray(kernel), path, shape=shape)


def plot_history(
    history: Mapping[str, Any], path: str | os.PathLike[str] | None = None
) -> "Figure":
    """Return a figure of the history of a training, with a panel per quantity over epochs.

    Log-likelihoods that were estimated by annealed importance sampling have error bars of one
    standard error.

    Args:
      history: numbers by name, of shape [epochs], or [runs, epochs] of several runs; as
        `train_rbm`, `train_autoencoder` and `fine_tune` return them.
      path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.

    Returns:
      The figure of matplotlib.

    Raises:
      ValueError: if there is no finite number to draw, or the file cannot be written.
      MissingExtraError: if matplotlib is not installed.

    >>> figure = plot_history({"loss": [2.0, 1.0]})
    >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_xlabel()
    ('loss', 'epoch')
    """
    from jinit.report import history_figure

    return history_figure({name: np.asarray(each) for name, each in history.items()}, path)
