"""Distribution of a single weight: mean, standard deviation, support and exact density."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

_Density = Callable[[np.ndarray], np.ndarray]
_LARGEST_DEVIATION = 5.43
"""Largest absolute value of a standard normal draw in float32."""


@dataclass(frozen=True)
class Marginal:
    """Distribution of one entry of a random array.

    >>> normal_marginal(0.0, 0.5).std
    0.5
    """

    mean: float
    std: float
    low: float
    """Infimum of the support."""
    high: float
    """Supremum of the support."""
    support_density: _Density = field(compare=False, repr=False)
    """Probability density, as a function of values inside the support."""

    @property
    def largest(self) -> float:
        """Largest absolute value of a draw: that of the support, or 5.43 std beyond the mean.

        >>> uniform_marginal(-3.0, 1.0).largest, normal_marginal(0.0, 2.0).largest
        (3.0, 10.86)
        """
        reach = _LARGEST_DEVIATION * self.std
        return max(-max(self.low, self.mean - reach), min(self.high, self.mean + reach))

    def density(self, values: np.ndarray) -> np.ndarray:
        """Return the probability density at `values`; it is zero outside the support.

        >>> import numpy as np
        >>> uniform_marginal(0.0, 2.0).density(np.array([-1.0, 1.0])).tolist()
        [0.0, 0.5]
        """
        supported = (values >= self.low) & (values <= self.high)
        with np.errstate(divide="ignore"):
            return np.where(supported, self.support_density(values), 0.0)


def scaled_marginal(marginal: Marginal, factor: float) -> Marginal:
    """Return the distribution of `factor · x`, where x has the given distribution.

    The density is divided by |factor|, which must not be zero.

    >>> scaled_marginal(uniform_marginal(0.0, 1.0), -2.0).low
    -2.0
    """
    low, high = sorted((factor * marginal.low, factor * marginal.high))

    def support_density(values: np.ndarray) -> np.ndarray:
        return marginal.support_density(values / factor) / abs(factor)

    return Marginal(
        mean=factor * marginal.mean,
        std=abs(factor) * marginal.std,
        low=low,
        high=high,
        support_density=support_density,
    )


def uniform_marginal(low: float, high: float) -> Marginal:
    """Return the uniform distribution on `[low, high)`, of standard deviation `(high - low) / √12`.

    >>> uniform_marginal(-1.0, 1.0).mean
    0.0
    """
    width = high - low
    return Marginal(
        mean=(low + high) / 2,
        std=width / math.sqrt(12),
        low=low,
        high=high,
        support_density=lambda values: 0 * values + 1 / width,
    )


def normal_marginal(mean: float, std: float) -> Marginal:
    """Return the normal distribution with this mean and standard deviation `std > 0`.

    >>> normal_marginal(1.0, 2.0).high
    inf
    """
    return Marginal(
        mean=mean,
        std=std,
        low=-math.inf,
        high=math.inf,
        support_density=lambda values: _normal_density((values - mean) / std) / std,
    )


def truncated_normal_marginal(
    std: float, lower: float, upper: float, shift: float = 0.0
) -> Marginal:
    r"""Return the distribution of `shift + std · z`, z standard normal and `lower < z < upper`.

    The density is `exp(-z²/2)` divided by its integral between the bounds. It is integrated
    relative to its largest value, so that far tails and narrow intervals have full accuracy.

    Reference: Johnson, Kotz, Balakrishnan, "Continuous univariate distributions", volume 1, 1994,
    section 13.10.1.

    >>> round(truncated_normal_marginal(1.0, -2.0, 2.0).std, 6)
    0.879626
    >>> round(truncated_normal_marginal(1.0, 20.0, 30.0).std, 4)
    0.0496
    """
    mode = min(max(0.0, lower), upper)
    reach = math.sqrt(mode**2 + 100)  # beyond it the density is below e⁻⁵⁰ of that at the mode
    low, high = max(lower, -reach), min(upper, reach)
    points, weights = _legendre_nodes()
    offsets = (high - low) * (points + 1) / 2
    masses = weights * np.exp((mode**2 - (low + offsets) ** 2) / 2)
    mass = masses.sum() * (high - low) / 2
    mean = -low if low == -high else float(offsets @ masses / masses.sum())
    variance = float((offsets - mean) ** 2 @ masses / masses.sum())

    def support_density(values: np.ndarray) -> np.ndarray:
        deviations = (values - shift) / std
        return np.exp((mode**2 - deviations**2) / 2) / (std * mass)

    return Marginal(
        mean=shift + std * (low + mean),
        std=std * math.sqrt(variance),
        low=shift + std * lower,
        high=shift + std * upper,
        support_density=support_density,
    )


def sphere_marginal(dimension: int, scale: float) -> Marginal:
    r"""Return the distribution of one coordinate of a uniform random point on a sphere.

    The sphere has the radius `scale > 0` in n = `dimension >= 2` dimensions. The density is
    `Γ(n/2) / (√π Γ((n-1)/2)) (1 - x²)^((n-3)/2)` for scale 1, and the
    variance `scale² / n`.

    Reference: Muirhead, "Aspects of multivariate statistical theory", 1982, theorem 1.5.7.

    >>> sphere_marginal(4, 1.0).std
    0.5
    """
    logarithm = math.lgamma(dimension / 2) - math.lgamma((dimension - 1) / 2)
    constant = math.exp(logarithm) / (math.sqrt(math.pi) * scale)

    def support_density(values: np.ndarray) -> np.ndarray:
        rest = np.clip(1 - (values / scale) ** 2, 0, None)
        return constant * rest ** ((dimension - 3) / 2)

    return Marginal(
        mean=0.0,
        std=scale / math.sqrt(dimension),
        low=-scale,
        high=scale,
        support_density=support_density,
    )


@cache
def _legendre_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights of Gauss–Legendre quadrature on [-1, 1]."""
    return np.polynomial.legendre.leggauss(128)


def _normal_density(values: np.ndarray) -> np.ndarray:
    return np.exp(-(values**2) / 2) / math.sqrt(2 * math.pi)
