"""Theoretical growth of the gradient per layer, for the main activation of a network."""

import math
from collections import Counter
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jinit.model import Activation, Model
from jinit.theory import layer_response

if TYPE_CHECKING:
    from numpy.polynomial import Chebyshev

_MAX_LOG_Q = math.log(1e6)
"""Fixed points are searched between q = 1e-6 and q = 1e6."""
_DEGREE = 32


class _LogMoments(NamedTuple):
    """Logarithms of Gaussian moments of an activation φ, as functions of ln q."""

    second: "Chebyshev"
    """ln E[φ²]."""
    slope2: "Chebyshev"
    """ln E[φ'²]."""


def theory_chi(model: Model, sigma_w: np.ndarray, sigma_b: np.ndarray) -> np.ndarray:
    """Return χ₁ for the activation that follows most kernels; NaN where theory has none.

    χ₁ is taken at the fixed point of the variance map that is reached from q = 1.

    Args:
      model: the traced network.
      sigma_w: scales of the weights.
      sigma_b: scales of the biases, one for each of `sigma_w`; ignored without biases.
    """
    unknown = np.full(len(sigma_w), math.nan)
    kernels = [leaf for leaf in model.leaves if leaf.role == "kernel"]
    activations = [leaf.activation for leaf in kernels if leaf.activation]
    counts = Counter(phi for phi in activations if not phi.is_identity)
    if not counts:
        return unknown
    ((phi, _),) = counts.most_common(1)
    try:
        moments = _log_moments(phi)
    except (TypeError, ValueError):
        return unknown
    has_bias = any(leaf.role == "bias" for leaf in model.leaves)
    log_q = np.linspace(-_MAX_LOG_Q, _MAX_LOG_Q, 4001)
    log_second = moments.second(log_q)

    def chi(w: float, b: float) -> float:
        fixed_point = _log_fixed_point(log_q, log_second, w**2, b**2 * has_bias)
        return w**2 * math.exp(moments.slope2(fixed_point))

    return np.array([chi(w, b) for w, b in zip(sigma_w, sigma_b, strict=True)])


def _log_moments(phi: Activation) -> _LogMoments:
    """Interpolate ln E[φ²] and ln E[φ'²], each within about 1e-3."""
    from numpy.polynomial import Chebyshev

    response_at = cache(lambda log_q: layer_response(phi, math.exp(log_q)))

    def log_moment(name: str, log_q: np.ndarray) -> np.ndarray:
        values = [getattr(response_at(float(entry)), name) for entry in log_q]
        if not all(value > 0 for value in values):
            raise ValueError(f"{phi}: {name} is zero")
        return np.log(values)

    domain = [-_MAX_LOG_Q, _MAX_LOG_Q]
    return _LogMoments(
        second=Chebyshev.interpolate(partial(log_moment, "second"), _DEGREE, domain),
        slope2=Chebyshev.interpolate(partial(log_moment, "slope2"), _DEGREE, domain),
    )


def _log_fixed_point(
    log_q: np.ndarray, log_second: np.ndarray, sigma_w2: float, sigma_b2: float
) -> float:
    """Return ln of the fixed point of the variance map that is reached from q = 1.

    Args:
      log_q: increasing values of ln q, with 0 in the middle.
      log_second: ln E[φ²] at these values.
      sigma_w2: variance of the weights times their fan-in.
      sigma_b2: variance of the biases.

    Returns:
      ln q, or the last value of `log_q` in that direction if the fixed point is beyond it.
    """
    change = np.log(sigma_w2 * np.exp(log_second) + sigma_b2) - log_q
    middle = len(log_q) // 2
    if abs(change[middle]) < 1e-9:
        return 0.0
    grows = change[middle] > 0
    direction = slice(middle, None) if grows else slice(middle, None, -1)
    log_q, change = log_q[direction], change[direction] * (1 if grows else -1)
    crossings = np.flatnonzero(change <= 0)
    if not crossings.size:
        return float(log_q[-1])
    last = int(crossings[0])
    fraction = change[last - 1] / (change[last - 1] - change[last])
    return float(log_q[last - 1] + fraction * (log_q[last] - log_q[last - 1]))
