"""Models that reconstruct their inputs, and the figure of their filters and reconstructions."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array

from jinit.pretrain.checks import read_examples

if TYPE_CHECKING:
    from jinit.report.pretraining.filter_figure import Figure


class Reconstructor(ABC):
    """A model that has filters, and reconstructs its inputs."""

    @property
    @abstractmethod
    def filters(self) -> Array:
        """The weights of the first layer, of shape [inputs, hidden]."""

    @abstractmethod
    def reconstruct(self, inputs: Array) -> Array:
        """Return the reconstructions of inputs, of shape [..., inputs].

        Args:
          inputs: examples, of shape [..., inputs].
        """

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        examples: Any = None,
        shape: Sequence[int] | None = None,
    ) -> "Figure":
        """Return a figure of the filters as images, and of examples with their reconstructions.

        The 100 filters with the largest norms and the first 10 examples are drawn. The mean squared
        error is that of all examples.

        Args:
          path: file to write the figure to, in the format of its suffix: .png, .pdf or .svg.
          examples: examples, of shape [examples, inputs]; None for the filters alone.
          shape: shape of an image, (height, width) or (height, width, channels); None for squares
            of one or three channels.

        Returns:
          The figure of matplotlib.

        Raises:
          ValueError: if the shape does not fit the inputs or cannot be guessed, the examples do not
            fit the model, or the file cannot be written.
          MissingExtraError: if matplotlib is not installed.
        """
        from jinit.report import filter_figure

        if examples is None:
            return filter_figure(np.asarray(self.filters), path, shape=shape)
        given = read_examples("plot", examples)
        if given.shape[1] != self.filters.shape[0]:
            raise ValueError(
                f"plot: the examples have {given.shape[1]} values each, and the model takes "
                f"{self.filters.shape[0]} inputs; give examples like those it was trained on"
            )
        pair = np.asarray(given), np.asarray(self.reconstruct(given))
        return filter_figure(np.asarray(self.filters), path, shape=shape, examples=pair)
