"""Expected intervals, and the growth that is normal for a network of a given depth."""

import math
from typing import NamedTuple

from jinit.diagnostics.judging.thresholds import GROWTH_PER_LAYER


class ExpectedInterval(NamedTuple):
    """A prediction, and the interval in which a healthy network lies."""

    value: float
    low: float
    high: float


def power_law_growth(layers: int) -> float:
    """Return the log growth of a second moment that critical smooth activations may cause.

    >>> round(math.exp(power_law_growth(10)))
    40
    """
    return math.log(GROWTH_PER_LAYER * layers)


def log_or_infinity(value: float) -> float:
    """Return the logarithm: -inf for zero, and inf for NaN, which comes from an overflow."""
    if math.isnan(value):
        return math.inf
    return math.log(value) if value > 0 else -math.inf
