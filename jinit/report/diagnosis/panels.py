"""The statistics of a diagnosis that are drawn by layer, for figures and pages."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jinit.report.diagnosis.faults import LayerData

_NO_INTERVAL = (None, None, None)


class LayerPanel(NamedTuple):
    """One statistic by layer, with the intervals of theory."""

    statistic: str
    is_square: bool
    """Whether its square root is drawn."""
    title: str
    is_logarithmic: bool

    def heights(self, layers: Sequence[LayerData]) -> np.ndarray:
        """Return the measurement of each layer; NaN if it is not finite.

        Args:
          layers: the layers of `Diagnosis.to_dict()`.
        """
        return self._read([each["statistics"][self.statistic] for each in layers])

    def expected(self, layers: Sequence[LayerData]) -> np.ndarray:
        """Return value, lower and upper end of what theory expects of the weights.

        They are NaN where both ends are equal: theory begins at the measurement of such a layer.

        Args:
          layers: the layers of `Diagnosis.to_dict()`.
        """
        edges = self._edges([each["predicted"] for each in layers])
        return np.where(np.isclose(edges[:, 1], edges[:, 2], atol=0)[:, None], np.nan, edges)

    def healthy(self, layers: Sequence[LayerData]) -> np.ndarray:
        """Return value, lower and upper end of the range of healthy networks.

        Args:
          layers: the layers of `Diagnosis.to_dict()`.
        """
        return self._edges([each.get("healthy", {}) for each in layers])

    def _edges(self, intervals: Sequence[Mapping[str, Any]]) -> np.ndarray:
        ends = [each.get(self.statistic) or _NO_INTERVAL for each in intervals]
        return self._read(ends).reshape(-1, 3)

    def _read(self, values: Sequence[Any]) -> np.ndarray:
        array = np.array(values, float)  # None becomes NaN
        return np.sqrt(array) if self.is_square else array


SIGNAL_PANEL = LayerPanel("second_moment", True, "signal: RMS of the pre-activations", True)
GRADIENT_PANEL = LayerPanel(
    "gradient_rms", False, "gradient: RMS of the gradient of one example's loss", True
)
CORRELATION_PANEL = LayerPanel(
    "correlation", False, "correlation: mean over pairs of inputs", False
)
