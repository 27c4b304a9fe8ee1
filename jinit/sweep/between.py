"""A range of numbers that a search draws from."""

import math
from dataclasses import dataclass

import numpy as np

from jinit.sweep.axis_values import read_value

_FLOAT32 = np.finfo(np.float32)
_LARGEST_INTEGER = 2**53
"""Integers up to here are exact in the float64 arithmetic of a quantile."""


@dataclass(frozen=True)
class Between:
    """All numbers from `low` to `high`, both included, with a uniform or log-uniform distribution.

    The values are floats that are distinct in float32, or integers if both bounds are. A
    log-uniform integer is a log-uniform number between low - 1/2 and high + 1/2, rounded.

    Args:
      low: smallest value.
      high: largest value.
      log: whether the logarithm is uniform.

    Raises:
      ValueError: if the bounds are not finite numbers with low < high, or `log` needs low > 0.

    >>> Between(16, 64, log=True).quantile(0.5)
    32
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, read_value(name, getattr(self, name)))
        _check_bounds(self)
        if not self.is_integer:
            object.__setattr__(self, "low", float(self.low))
            object.__setattr__(self, "high", float(self.high))
        if self.log not in (True, False):
            raise ValueError(f"between: log={self.log!r}, expected True or False")
        if self.log and self.low < _FLOAT32.tiny:
            raise ValueError(
                f"between: log=True needs low > 0 (at least {_FLOAT32.tiny:.2g} in float32), got "
                f"low={self.low!r}: give the smallest value of interest, such as 1e-6, or leave "
                "log=True out"
            )

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers, because both bounds are."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> int:
        """Number of distinct values."""
        if self.is_integer:
            return int(self.high - self.low + 1)
        return _float32_rank(self.high) - _float32_rank(self.low) + 1

    def quantile(self, probability: float) -> float:
        """Return the value that a draw does not exceed with this probability.

        Args:
          probability: at least 0 and less than 1.

        >>> Between(1, 6).quantile(0.0), Between(1, 6).quantile(0.999)
        (1, 6)
        """
        if self.log:
            half = 0.5 if self.is_integer else 0.0
            low, high = math.log(self.low - half), math.log(self.high + half)
            value = math.exp(low + probability * (high - low))
            value = round(value) if self.is_integer else value
        elif self.is_integer:
            value = self.low + math.floor(probability * self.count)
        else:
            value = self.low + probability * (self.high - self.low)
        value = value if self.is_integer else _shortest(value)
        return min(max(value, self.low), self.high)


def between(low: float, high: float, log: bool = False) -> Between:
    """Return the range of an axis of `jinit.random_search` or `jinit.sobol`.

    Two integers give integers, both bounds included: write `between(0.0, 1.0)` for fractions, since
    `between(0, 1)` is 0 or 1. With `log=True` all factors are equally likely: as many values
    between 0.001 and 0.01 as between 0.01 and 0.1. A log-uniform integer k has the probability
    log((k + 1/2) / (k - 1/2)) / log((high + 1/2) / (low - 1/2)).

    Args:
      low: smallest value.
      high: largest value.
      log: whether the logarithm of the values is uniform, rather than the values.

    Returns:
      The range.

    Raises:
      ValueError: if the bounds are not finite numbers with low < high, or `log` needs low > 0.

    >>> between(1e-4, 1e-2, log=True).quantile(0.5)
    0.001
    """
    return Between(low, high, log)


def _check_bounds(given: Between) -> None:
    bounds = {"low": given.low, "high": given.high}
    limit = _LARGEST_INTEGER if given.is_integer else float(_FLOAT32.max)
    for name, bound in bounds.items():
        is_number = isinstance(bound, int | float) and not isinstance(bound, bool)
        if not is_number or not abs(bound) <= limit:  # NaN is not
            raise ValueError(
                f"between: expected finite numbers, at most {limit:.4g} in size, got "
                f"{name}={bound!r}; for other values give a list"
            )
    if not given.low < given.high:
        raise ValueError(
            f"between: expected low < high, got low={given.low!r} and high={given.high!r}; for one "
            f"value give a list, [{given.low!r}]"
        )
    if not given.is_integer and np.float32(given.low) == np.float32(given.high):
        raise ValueError(
            f"between: {given.low!r} and {given.high!r} are one number in float32, which training "
            f"takes: give a wider range, or a list, [{given.low!r}]"
        )


def _shortest(value: float) -> float:
    """Return the shortest decimal that rounds to the same float32, one for all those that do."""
    return float(str(np.float32(value)))


def _float32_rank(value: float) -> int:
    """Return the number of float32 values from 0 to `value`, negative below 0."""
    bits = int(np.float32(abs(value)).view(np.int32))
    return bits if value >= 0 else -bits
