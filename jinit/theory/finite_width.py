"""How far a healthy network of finite width strays from the infinite-width prediction."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats


class FiniteWidth(NamedTuple):
    """Law of the second moment q_L of a random relu network, relative to its input's."""

    log_mean: float
    """Mean of ln(q_L / q_0)."""
    log_var: float
    """Variance of ln(q_L / q_0)."""
    moment_ratio: float
    """E[q_L²] / E[q_L]²."""


def finite_width(widths: Sequence[int]) -> FiniteWidth:
    r"""Fluctuation of the signal through relu layers of these widths, He-Gaussian weights, no bias.

    A layer of width n multiplies q by `(2/n) χ²_K`, with K the number of active units, binomial
    (n, 1/2) and here conditioned on K > 0. Layers are independent, so means and variances of the
    logarithm add up, and `E[q_L²]/E[q_L]² = ∏ (1 + 5/n)`.

    Args:
      widths: units of each layer, positive.

    Raises:
      ValueError: a width is not positive.

    Reference: Hanin & Nica, "Products of many large random matrices and gradients in deep neural
    networks", 2018, theorem 1.

    >>> law = finite_width([100])
    >>> round(law.log_mean, 8), round(law.log_var, 8), law.moment_ratio
    (-0.02542089, 0.05193999, 1.05)
    """
    counted = [_whole(width) for width in widths]
    laws = {width: _layer(width) for width in set(counted)}
    layers = [laws[width] for width in counted]
    return FiniteWidth(
        math.fsum(mean for mean, _ in layers),
        math.fsum(variance for _, variance in layers),
        math.prod(1 + 5 / width for width in counted),
    )


def _whole(width: float) -> int:
    if not (width >= 1 and width == int(width)):
        raise ValueError(f"finite_width: expected widths of at least 1, got {width}")
    return int(width)


def _layer(width: int) -> tuple[float, float]:
    active = np.arange(1, width + 1)
    weight = stats.binom.pmf(active, width, 0.5) / -np.expm1(width * np.log(0.5))
    log_chi2 = special.digamma(active / 2) + math.log(2)
    mean = float(weight @ log_chi2)
    second = float(weight @ (log_chi2**2 + special.polygamma(1, active / 2)))
    return mean + math.log(2 / width), second - mean**2
