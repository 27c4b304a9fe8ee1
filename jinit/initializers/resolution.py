"""Decide whether floating-point numbers are fine enough for a truncated normal distribution."""

import math
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from jinit.initializers.marginals import truncated_normal_marginal

_FEWEST_VALUES = 200
"""A truncated normal with fewer distinct values is not drawn: its standard deviation would be
wrong by more than two percent."""
_LARGEST_EXCESS = 0.04
"""Largest relative error of the variance, two percent of the standard deviation."""


@lru_cache(maxsize=128)
def check_resolution(lower: float, upper: float, dtype: np.dtype) -> None:
    """Raise if JAX's truncated normal has another distribution between the bounds.

    JAX draws a number u between `erf(lower/√2)` and `erf(upper/√2)`. Near one u has a spacing of
    half the epsilon of the dtype. If the farther erf rounds to one, so does half a spacing of u,
    for which JAX returns the farther bound. Between bounds on both sides of zero this is the
    lowest of the equidistant values of u, for a lower bound whose erf rounds to minus one.

    Args:
      lower: lower bound in standard deviations.
      upper: upper bound in standard deviations.
      dtype: dtype in which the values are computed.

    Raises:
      ValueError: if the distribution differs noticeably.

    >>> check_resolution(-2.0, 2.0, np.dtype("float32"))
    """
    near, far = sorted((lower, upper), key=abs)
    spacing = float(jnp.finfo(dtype).eps) / 2
    if lower * upper <= 0 or abs(near) < 2:
        bound, values, outliers = min(lower, 0.0), math.inf, 2 * spacing
    else:
        values = (_mass_beyond(near) - _mass_beyond(far)) / spacing
        bound, outliers = far, 0.5 / values if values else 0.0
    has_outliers = _mass_beyond(bound) < spacing / 2
    if values < _FEWEST_VALUES or (has_outliers and _is_too_wide(lower, upper, bound, outliers)):
        raise ValueError(
            f"truncated_normal: JAX's draw in {dtype.name} does not have the distribution between "
            f"lower={lower:g} and upper={upper:g} standard deviations, where a normal distribution "
            "has almost no mass: use bounds nearer to zero, which are multiples of stddev, or "
            "timm_trunc_normal(mean, stddev, minval, maxval), which is exact where a tail begins "
            "up to five standard deviations from the mean"
        )


def _is_too_wide(lower: float, upper: float, bound: float, outliers: float) -> bool:
    """Return whether a share of outliers at a bound adds noticeably to the variance."""
    exact = truncated_normal_marginal(1.0, lower, upper)
    return outliers * (bound - exact.mean) ** 2 > _LARGEST_EXCESS * exact.std**2


def _mass_beyond(bound: float) -> float:
    """Return the mass of the standard normal distribution beyond ±`bound`."""
    return math.erfc(abs(bound) / math.sqrt(2))
