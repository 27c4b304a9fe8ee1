"""What a layer of finite width does to a signal and its gradient: their mean, and their spread."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import Polynomial

from jinit.theory.meanfield import critical_point, critical_sigma_w2, q_map
from jinit.theory.moments import named_mean
from jinit.theory.normals import at_normal, means

Activation = Callable[..., Any]

_KNOTS_PER_UNIT = 4
"""Points per unit of ln q at which activations are integrated; between them is a line."""
_FARTHEST = 27.0
"""|ln q| beyond which an activation does what it does there."""
_LAYERS, _DRIFT = 20, 10.0
"""A start is steady if q stays within this factor of one over so many layers."""
_DEGREES = 48
"""Hermite polynomials that an activation is made of; what is left is of twice that degree."""
_STEADY_Q = tuple(0.25 * 2 ** (step / 2) for step in range(11))


class Response(NamedTuple):
    """Of an activation φ under pre-activations of variance q, in layers of n units."""

    second: float
    """E[φ²]."""
    slope2: float
    """E[φ'²]."""
    power: float
    """∂ ln E[φ²] / ∂ ln q: how much of an error in ln q is handed on."""
    spread: float
    """n times the relative variance of the mean of φ² over a layer: 5 for relu."""
    slope_spread: float
    """n times the relative variance of what a layer does to a squared gradient: 5 for relu."""


def response(phi: Activation, q: float) -> Response:
    r"""What an activation does to a signal of variance `q`, interpolated between knots in ln q.

    `spread` is `E[φ⁴]/E[φ²]² - 1`, and `slope_spread` is `3 E[φ'⁴]/E[φ'²]² - 1`, since a gradient
    comes through random weights. For He-scaled relu both give the law of `finite_width`.

    Raises:
      ValueError: `q` not above zero, or a `phi` without such means.

    Reference: Hanin & Nica, "Products of many large random matrices and gradients in deep neural
    networks", 2018, theorem 1 (relu).

    >>> import jax
    >>> [round(number, 4) for number in response(jax.nn.relu, 3.0)]
    [1.5, 0.5, 1.0, 5.0, 5.0]
    """
    if not q > 0:
        raise ValueError(f"response: expected a variance above zero, got q={q:g}")
    place = _place(q)
    first = math.floor(place)
    part = place - first
    low, high = _knot(phi, first), _knot(phi, first + 1)
    mixed = [(1 - part) * one + part * other for one, other in zip(low, high, strict=True)]
    log_q = place / _KNOTS_PER_UNIT  # beyond the last knot φ² goes on like a power of q
    return Response(math.exp(mixed[0] + log_q + mixed[2] * (math.log(q) - log_q)), *mixed[1:])


def _place(q: float) -> float:
    """Of a variance among the knots."""
    return min(max(math.log(q), -_FARTHEST), _FARTHEST) * _KNOTS_PER_UNIT


@lru_cache(maxsize=4096)
def _knot(phi: Activation, number: int) -> tuple[float, ...]:
    q = math.exp(number / _KNOTS_PER_UNIT)
    found = named_mean(means, phi, q)
    if not found.second:
        raise ValueError(f"the activation {phi} is zero for normal numbers of variance {q:.3g}")
    _, weights, value, slope = named_mean(at_normal, phi, q)
    slope4 = 3 * float(weights @ slope**4) / found.slope2**2 - 1 if found.slope2 else 0.0
    return (
        math.log(found.second / q),
        found.slope2,
        found.growth * q / found.second,
        float(weights @ value**4) / found.second**2 - 1,
        slope4,
    )


def cosine_map(phi: Activation, q: float, c: float) -> tuple[float, float]:
    r"""`E[φ(u)φ(v)] / E[φ²]` for u and v of variance `q` and correlation `c`, and its slope in c.

    `Σ a_k² cᵏ / Σ a_k²` with `φ(√q z) = Σ a_k h_k(z)`, h_k the normalized Hermite polynomials:
    within 1e-3 for usual activations and at once, where `dual` is exact and slow. Degrees above 47
    are taken as one even and one odd degree twice as high. `q` is taken at the nearest knot.

    Raises:
      ValueError: `q` not above zero, `c` beyond 1, or a `phi` without such means.

    Reference: Daniely, Frostig & Singer, "Toward deeper understanding of neural networks", 2016,
    section 4.2.

    >>> import jax
    >>> value, slope = cosine_map(jax.nn.relu, 1.0, 0.0)
    >>> round(value, 4), round(slope, 4)
    (0.3183, 0.5)
    """
    if not (q > 0 and -1 <= c <= 1):
        raise ValueError(f"cosine_map: expected q above 0 and c within 1, got q={q:g}, c={c:g}")
    series = Polynomial(_degrees(phi, round(_place(q))))
    return float(series(c)), float(series.deriv()(c))


@lru_cache(maxsize=4096)
def _degrees(phi: Activation, number: int) -> np.ndarray:
    """What each degree contributes to E[φ²], as shares."""
    z, weights, value, _ = named_mean(at_normal, phi, math.exp(number / _KNOTS_PER_UNIT))
    before, here = np.zeros_like(z), np.ones_like(z)
    shares = np.zeros(2 * _DEGREES)
    second = weights @ value**2
    if not second:
        raise ValueError(f"the activation {phi} is zero for such numbers")
    for degree in range(_DEGREES):
        shares[degree] = (weights @ (value * here)) ** 2
        after = (z * here - math.sqrt(degree) * before) / math.sqrt(degree + 1)
        before, here = here, after
    shares /= second
    last = shares[[_DEGREES - 2, _DEGREES - 1]]
    split = last / last.sum() if last.sum() > 0 else np.full(2, 0.5)
    shares[-2:] = max(1 - shares.sum(), 0.0) * split
    return shares


@lru_cache(maxsize=256)
def steady(phi: Activation) -> tuple[float, float] | None:
    """(σ_w², σ_b²) with χ₁ = 1 at which q stays near one, layer after layer; None if there is none.

    Without biases where that is possible, as for relu (2, 0) and tanh (1, 0); else at the point of
    the critical line where the fixed point is the most stable, as for gelu.

    Reference: Roberts, Yaida & Hanin, "The principles of deep learning theory", 2022, section 5.3.

    >>> import jax
    >>> steady(jax.nn.relu), steady(jax.nn.softplus)
    ((2.0, 0.0), None)
    """
    try:
        candidate = critical_sigma_w2(phi)
        q = 1.0
        for _ in range(_LAYERS):
            q = candidate * response(phi, q).second
        if 1 / (_DRIFT * _LAYERS) < q < _DRIFT:
            return candidate, 0.0
    except ValueError:
        pass
    points = []
    for q in _STEADY_Q:
        try:
            sigma_w2, sigma_b2 = critical_point(phi, q)
        except ValueError:
            continue
        step = 1.01
        slope = math.log(
            q_map(phi, q * step, sigma_w2, sigma_b2) / q_map(phi, q, sigma_w2, sigma_b2)
        ) / math.log(step)
        points.append((abs(slope - 1) if slope > 1 else 0.0, q, sigma_w2, sigma_b2))
    if not points or min(points)[0] > 0.05:
        return None
    return min(points)[2:]
