"""Expected fractions of a layer's activations that are zero, or at a limit."""

import math
from typing import NamedTuple

import numpy as np

from jinit.diagnostics.judging.interval import ExpectedInterval
from jinit.diagnostics.judging.layers import LayerRow
from jinit.diagnostics.judging.thresholds import DEVIATIONS
from jinit.diagnostics.measuring.limits import QUANTILE_COUNT, activation_fractions


class ExpectedFractions(NamedTuple):
    """Expected fractions of the activations that a layer passes to the next one."""

    zero_fraction: ExpectedInterval | None = None
    saturated_fraction: ExpectedInterval | None = None
    saturated_limit: float = 0.0
    """Largest saturated fraction that pre-activations of variance 1 explain."""


def expected_fractions(row: LayerRow, second: ExpectedInterval | None) -> ExpectedFractions:
    """Return the fractions to expect of a layer.

    Args:
      row: the layer.
      second: expected mean square of its pre-activations.
    """
    activation = row.leaf.activation
    if activation is None or second is None:
        return ExpectedFractions()
    if row.next_layer is None or not row.has_scalar_activation:
        return ExpectedFractions()
    zero, saturated = activation_fractions(activation, np.clip([*second, 1.0], 1e-30, 1e30))
    return ExpectedFractions(
        zero_fraction=_fraction_interval(row, zero[:-1]),
        saturated_fraction=_fraction_interval(row, saturated[:-1]),
        saturated_limit=_fraction_interval(row, saturated[-1:]).high,
    )


def _fraction_interval(row: LayerRow, fractions: np.ndarray) -> ExpectedInterval:
    """Return the interval of a fraction.

    Args:
      row: the layer.
      fractions: theory's fraction at the expected mean square, then at the ends of its interval.
    """
    value, low, high = float(fractions[0]), float(fractions.min()), float(fractions.max())
    unit_variance = max(value * (1 - value), 1 / QUANTILE_COUNT)
    variance = unit_variance / row.width * _averaged_variance(row)
    reach = DEVIATIONS * math.sqrt(variance) + 1 / QUANTILE_COUNT
    return ExpectedInterval(value, max(low - reach, 0.0), min(high + reach, 1.0))


def _averaged_variance(row: LayerRow) -> float:
    """Return the variance of a unit's fraction after averaging over examples, relative to that of
    one example.

    For rows of correlation c, the k-th Hermite polynomials have correlation cᵏ, so the fractions
    of two rows have a correlation of at most c.
    """
    decorrelation = row.statistics.preactivation.decorrelation
    examples = math.prod(row.contraction.shape) // row.width
    correlation = 1.0 if math.isnan(decorrelation) else min(max(1 - decorrelation, 0.0), 1.0)
    return correlation + (1 - correlation) / examples
