"""A prediction, and how far a healthy network may stray from it."""

from typing import NamedTuple

DEVIATIONS = 5.0
"""Standard deviations of the finite-width law that a healthy network may stray."""


class Band(NamedTuple):
    """A prediction, and between what it may lie in a healthy network."""

    value: float
    low: float
    high: float
