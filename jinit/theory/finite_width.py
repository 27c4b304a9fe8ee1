"""Fluctuation of the signal in random relu networks of finite width."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jinit.theory.checks import check_width


class FiniteWidth(NamedTuple):
    """Distribution of the second moment q_L of a random relu network, relative to its input's."""

    log_mean: float
    """Mean of ln(q_L / q_0)."""
    log_var: float
    """Variance of ln(q_L / q_0)."""
    moment_ratio: float
    """E[q_L²] / E[q_L]²."""


class _LogMoments(NamedTuple):
    mean: float
    variance: float


def finite_width(widths: Sequence[int]) -> FiniteWidth:
    r"""Return the fluctuation of the signal through relu layers of these widths.

    Weights are normal with variance 2/fan_in, and there are no biases. A layer of width n
    multiplies q by `(2/n) χ²_K`. K is the number of active units: binomial (n, 1/2), here
    conditioned on K > 0.
    Layers are independent, so means and variances of the logarithm add up, and
    `E[q_L²]/E[q_L]² = ∏ (1 + 5/n)`.

    Args:
      widths: units of each layer, at least 1.

    Raises:
      ValueError: if a width is not an integer of at least 1.

    Reference: Hanin & Nica, "Products of many large random matrices and gradients in deep neural
    networks", 2018, theorem 1.

    >>> found = finite_width([100])
    >>> round(found.log_mean, 8), round(found.log_var, 8), found.moment_ratio
    (-0.02542089, 0.05193999, 1.05)
    """
    checked = [check_width("finite_width", width) for width in widths]
    layers = [_layer_log_moments(width) for width in checked]
    return FiniteWidth(
        log_mean=math.fsum(layer.mean for layer in layers),
        log_var=math.fsum(layer.variance for layer in layers),
        moment_ratio=math.prod(1 + 5 / width for width in checked),
    )


@lru_cache(maxsize=1024)
def _layer_log_moments(width: int) -> _LogMoments:
    """Return mean and variance of ln((2/n) χ²_K) for one layer."""
    from scipy import special, stats  # heavy: they would double the time of `import jinit`

    active = np.arange(1, width + 1)
    probability = stats.binom.pmf(active, width, 0.5) / -np.expm1(width * np.log(0.5))
    log_chi2 = special.digamma(active / 2) + math.log(2)
    mean = float(probability @ log_chi2)
    second = float(probability @ (log_chi2**2 + special.polygamma(1, active / 2)))
    return _LogMoments(mean + math.log(2 / width), second - mean**2)
