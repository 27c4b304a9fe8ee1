"""Where theory expects a network of some activation to be ordered and where chaotic."""

import math
from collections import Counter
from functools import cache, partial

import numpy as np
from numpy.polynomial import Chebyshev

from jinit.model import Activation, Model
from jinit.theory import response

_LOG_Q = math.log(1e6)
"""Fixed points are looked for between q = 1e-6 and 1e6."""
_DEGREE = 32


def theory_chi(model: Model, sigma_w: np.ndarray, sigma_b: np.ndarray) -> np.ndarray:
    """χ₁ for the activation behind most kernels, where q' = q on the way from 1."""
    nothing = np.full(len(sigma_w), math.nan)
    every = Counter(leaf.activation for leaf in model.leaves if leaf.role == "kernel")
    every = Counter({phi: count for phi, count in every.items() if phi and not phi.is_identity})
    if not every:
        return nothing
    ((phi, _),) = every.most_common(1)
    try:
        second, slope = _moments(phi)
    except (TypeError, ValueError):
        return nothing
    biased = any(leaf.role == "bias" for leaf in model.leaves)
    places = np.linspace(-_LOG_Q, _LOG_Q, 4001)
    values = second(places)
    return np.array(
        [
            w**2 * math.exp(slope(_fixed(places, values, w**2, b**2 * biased)))
            for w, b in zip(sigma_w, sigma_b, strict=True)
        ]
    )


def _moments(phi: Activation) -> list[Chebyshev]:
    """ln E[φ²] and ln E[φ'²] as functions of ln q, each within 1e-3 or so."""
    at = cache(lambda place: response(phi, math.exp(place)))

    def logs(name: str, places: np.ndarray) -> np.ndarray:
        found = [getattr(at(float(place)), name) for place in places]
        if not all(each > 0 for each in found):
            raise ValueError(f"{phi}: {name} is zero")
        return np.log(found)

    ends = [-_LOG_Q, _LOG_Q]
    return [
        Chebyshev.interpolate(partial(logs, name), _DEGREE, ends) for name in ("second", "slope2")
    ]


def _fixed(places: np.ndarray, second: np.ndarray, sigma_w2: float, sigma_b2: float) -> float:
    """ln of the variance that the map of variances leads to from 1; an end, if it goes beyond."""
    change = np.log(sigma_w2 * np.exp(second) + sigma_b2) - places
    middle = len(places) // 2
    if abs(change[middle]) < 1e-9:
        return 0.0
    up = change[middle] > 0
    way = slice(middle, None) if up else slice(middle, None, -1)
    places, change = places[way], change[way] * (1 if up else -1)
    beyond = np.flatnonzero(change <= 0)
    if not beyond.size:
        return float(places[-1])
    last = int(beyond[0])
    part = change[last - 1] / (change[last - 1] - change[last])
    return float(places[last - 1] + part * (places[last] - places[last - 1]))
