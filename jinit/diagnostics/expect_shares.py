"""What theory expects of a layer's activations: how many are zero, and how many at a limit."""

import math
from typing import NamedTuple

import numpy as np

from jinit.diagnostics.band import DEVIATIONS, Band
from jinit.diagnostics.limits import COUNT, shares
from jinit.diagnostics.rows import Row


class HandedOn(NamedTuple):
    """Shares of what a layer hands on."""

    zero: Band | None = None
    saturated: Band | None = None
    most_saturated: float = 0.0
    """The largest share at limits that pre-activations of variance 1 explain."""


def handed_on(row: Row, second: Band | None) -> HandedOn:
    """What to expect of a layer, by what its mean square may be."""
    phi = row.leaf.activation
    if phi is None or second is None or row.after is None or not row.is_plain:
        return HandedOn()
    zero, saturated = shares(phi, np.clip([*second, 1.0], 1e-30, 1e30))
    most = _band(row, saturated[-1:]).high
    return HandedOn(_band(row, zero[:-1]), _band(row, saturated[:-1]), most)


def _band(row: Row, seen: np.ndarray) -> Band:
    """Around the share at the expected mean square; beside it are those at either end."""
    value, low, high = float(seen[0]), float(seen.min()), float(seen.max())
    single = max(value * (1 - value), 1 / COUNT) / row.width
    reach = DEVIATIONS * math.sqrt(single * _not_averaged(row)) + 1 / COUNT
    return Band(value, max(low - reach, 0.0), min(high + reach, 1.0))


def _not_averaged(row: Row) -> float:
    """What is left of the variance of one unit's share in the mean over examples.

    Rows of correlation c agree in a share c at most: the k-th Hermite polynomial in cᵏ.
    """
    apart, examples = row.found.made.apart, math.prod(row.contraction.shape) // row.width
    alike = 1.0 if math.isnan(apart) else min(max(1 - apart, 0.0), 1.0)
    return alike + (1 - alike) / examples
