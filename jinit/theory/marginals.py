"""The law of a single weight: its mean, standard deviation, support and exact density."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Density = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Marginal:
    """Law of one entry of a random array.

    >>> normal_law(0.0, 0.5).std
    0.5
    """

    mean: float
    std: float
    low: float
    """Infimum of the support."""
    high: float
    """Supremum of the support."""
    inside: Density = field(compare=False, repr=False)
    """Probability density inside the support."""

    def density(self, values: np.ndarray) -> np.ndarray:
        """Probability density at `values`: zero outside the support.

        >>> import numpy as np
        >>> uniform_law(0.0, 2.0).density(np.array([-1.0, 1.0])).tolist()
        [0.0, 0.5]
        """
        supported = (values >= self.low) & (values <= self.high)
        with np.errstate(divide="ignore"):
            return np.where(supported, self.inside(values), 0.0)


def scaled_law(law: Marginal, factor: float) -> Marginal:
    """The law of `factor · x`, factor not zero, for x with a law: densities go by 1/|factor|.

    >>> scaled_law(uniform_law(0.0, 1.0), -2.0).low
    -2.0
    """
    low, high = sorted((factor * law.low, factor * law.high))

    def inside(values: np.ndarray) -> np.ndarray:
        return law.inside(values / factor) / abs(factor)

    return Marginal(factor * law.mean, abs(factor) * law.std, low, high, inside)


def uniform_law(low: float, high: float) -> Marginal:
    """Uniform on `[low, high)`, `low < high`: standard deviation `(high - low) / √12`.

    >>> uniform_law(-1.0, 1.0).mean
    0.0
    """
    width = high - low
    return Marginal(
        (low + high) / 2, width / math.sqrt(12), low, high, lambda values: 0 * values + 1 / width
    )


def normal_law(mean: float, std: float) -> Marginal:
    """Normal with mean `mean` and standard deviation `std > 0`.

    >>> normal_law(1.0, 2.0).high
    inf
    """
    return Marginal(
        mean, std, -math.inf, math.inf, lambda values: _phi((values - mean) / std) / std
    )


def truncated_normal_law(std: float, lower: float, upper: float, shift: float = 0.0) -> Marginal:
    r"""`shift + std · z`, z standard normal conditioned on `lower < z < upper`.

    With φ, Φ the standard density and distribution and `Z = Φ(upper) - Φ(lower)`, z has the mean
    `m = (φ(lower) - φ(upper)) / Z` and the variance
    `1 + (lower φ(lower) - upper φ(upper)) / Z - m²`.

    Reference: Johnson, Kotz, Balakrishnan, "Continuous univariate distributions", volume 1, 1994,
    section 13.10.1.

    >>> round(truncated_normal_law(1.0, -2.0, 2.0).std, 6)
    0.879626
    """
    a, b = np.array(lower), np.array(upper)
    mass = (math.erf(upper / math.sqrt(2)) - math.erf(lower / math.sqrt(2))) / 2
    mean = float(_phi(a) - _phi(b)) / mass
    variance = 1 + float(a * _phi(a) - b * _phi(b)) / mass - mean**2
    return Marginal(
        shift + std * mean,
        std * math.sqrt(variance),
        shift + std * lower,
        shift + std * upper,
        lambda values: _phi((values - shift) / std) / (std * mass),
    )


def frame_law(dimension: int, scale: float) -> Marginal:
    r"""One coordinate of a uniformly distributed vector of length `scale > 0` in `dimension >= 2`.

    Density `Γ(n/2) / (√π Γ((n-1)/2)) (1 - x²)^((n-3)/2)` for scale 1; variance `scale² / n`.

    Reference: Muirhead, "Aspects of multivariate statistical theory", 1982, theorem 1.5.7.

    >>> frame_law(4, 1.0).std
    0.5
    """
    logarithm = math.lgamma(dimension / 2) - math.lgamma((dimension - 1) / 2)
    constant = math.exp(logarithm) / (math.sqrt(math.pi) * scale)

    def inside(values: np.ndarray) -> np.ndarray:
        rest = np.clip(1 - (values / scale) ** 2, 0, None)
        return constant * rest ** ((dimension - 3) / 2)

    return Marginal(0.0, scale / math.sqrt(dimension), -scale, scale, inside)


def _phi(values: np.ndarray) -> np.ndarray:
    return np.exp(-(values**2) / 2) / math.sqrt(2 * math.pi)
