"""The variances of weights and biases at which a chain of layers keeps its signal and gradient."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from jinit.theory import (
    ActivationFunction,
    CriticalPoint,
    critical_point,
    critical_sigma_w2,
    layer_response,
    moments,
)

MAX_LAYERS = 64
"""Number of layers beyond which the answer does not change."""
_POWER_LAW = 4.0
"""A bias-free critical point counts if signal and gradient change by less than this factor times
the number of layers: at such a point tanh divides the second moment by twice that number."""
_SHORT_CHAIN = 32.0
"""Growth that a few layers may always show: one sigmoid divides the squared gradient by 16."""
_MAX_WEIGHTS = 16.0
"""Largest σ_w². The sigmoid has a bias-free critical point at 103, where all units are at their
limits."""
_CANDIDATE_Q = (*(2.0**-step for step in range(2, 13)), *(2 ** (step / 2) for step in range(-3, 9)))
"""Second moments that the layers may keep, in the order of preference: from 1/4 down to 1/4096, and
only then up to 16. At a small one, gelu is nearly linear and keeps the angles between inputs over
many layers; a large one is the more stable fixed point, but deep MLPs learn worse from it."""
_DISTURBANCE = math.log(4.0)
"""A difference of ln q that must not grow: that of inputs which are twice as large."""
_NEGLIGIBLE = 0.05
"""Share of q below which biases are left out, and difference of χ₁ from 1 that counts as none."""
_ENOUGH = math.log(2.0)
"""Growth over the whole chain that is as good as none."""
_HOPELESS = 9.0
"""Growth from which on the rest of the chain is extrapolated."""
_FORGOTTEN = 0.28
"""Difference of ln q that is as good as none: 15 % of the RMS."""
_BETTER = 0.1
"""Difference of growth from which on a later candidate is better."""
_GAINS = tuple(0.25 * 2 ** (step / 4) for step in range(25))
"""Variances that are tried where there is no critical point, from 1/4 to 16."""


class DeepVariances(NamedTuple):
    """Variances of a chain of layers. Those of weights are multiplied by the fan-in."""

    first: float
    """Variance of the weights of the first layer, whose input has a second moment of 1."""
    weights: float
    """Variance of the weights of all others."""
    biases: float
    """Variance of the biases."""
    is_critical: bool
    """Whether χ₁ is 1, up to 5 % where biases are left out: neither signal nor gradient has a
    noticeable rate per layer."""
    growth: float
    """Largest absolute logarithm of the growth of signal or gradient, in mean squares."""

    @property
    def begins_small(self) -> bool:
        """Whether the first kernel makes the signal small, which larger inputs would undo."""
        return self.first < self.weights / 2

    def is_stable(self, layers: int) -> bool:
        """Return whether a chain of this length keeps signal and gradient but for a power law.

        A kernel with a gain of 1 ends the chain, which is a loss to the gradient if all others
        need a larger one.
        """
        return self.growth + max(math.log(self.weights), 0.0) < _healthy_growth(layers)


@lru_cache(maxsize=512)
def deep_variances(
    phi: ActivationFunction, layers: int, *, has_biases: bool
) -> DeepVariances | None:
    r"""Return the variances that keep signal and gradient over a number of layers, or None.

    If the activation has a bias-free critical point that only power laws leave, as relu (2, 0) and
    tanh (1, 0), this is the answer for any depth. Otherwise, it is the point of the critical line
    `χ₁ = σ_w² E[φ'(√q z)²] = 1`, `q = σ_w² E[φ(√q z)²] + σ_b²` with the largest q of at most
    1/4 that `layers` layers keep even if it is disturbed, or a larger q if there is none; biases of
    less than a twentieth of q are left out. Without
    biases, or if there is no critical line, as for the sigmoid, signal and gradient cannot both be
    kept; the answer changes them least over `layers` layers.

    Args:
      phi: a JAX function of one number.
      layers: number of layers in the chain.
      has_biases: whether the layers have biases.

    Raises:
      TypeError: if `phi` does not map one number to one number.

    Reference: Schoenholz et al., "Deep information propagation", 2017, section 3; Roberts, Yaida &
    Hanin, "The principles of deep learning theory", 2022, section 5.3.

    >>> import jax, jax.numpy as jnp
    >>> [round(value, 9) for value in deep_variances(jnp.tanh, 50, has_biases=True)[:3]]
    [1.0, 1.0, 0.0]
    >>> deep_variances(jax.nn.sigmoid, 10, has_biases=True).is_critical
    False
    """
    layers = min(max(layers, 1), MAX_LAYERS)
    sigma_w2 = _power_law_point(phi)
    if sigma_w2 is None:
        return _best(phi, layers, has_biases)
    growth = _growth(phi, sigma_w2, sigma_w2, 0.0, layers, reference=1.0)
    return DeepVariances(sigma_w2, sigma_w2, 0.0, is_critical=True, growth=growth)


@lru_cache(maxsize=512)
def keeps_size(phi: ActivationFunction, weights: float, layers: int) -> bool:
    """Return whether bias-free layers of this weight variance keep signal and gradient.

    Args:
      phi: a JAX function of one number.
      weights: variance of the weights times the fan-in.
      layers: number of layers in the chain.

    >>> import jax.numpy as jnp
    >>> [keeps_size(jnp.tanh, 2.5, layers) for layers in (5, 50)]
    [True, False]
    """
    try:
        growth = _growth(phi, weights, weights, 0.0, min(layers, MAX_LAYERS), reference=1.0)
    except ValueError:
        return False
    return growth < _healthy_growth(layers)


def forgets_first(
    phi: ActivationFunction, first: float, weights: float, biases: float, layers: int
) -> bool:
    """Return whether a chain ends with the same second moment for another first layer.

    Saturating activations and sines forget the scale of the first layer, which then only chooses
    the frequencies of the network's function.

    Args:
      phi: a JAX function of one number.
      first: variance of the weights of the first layer, times the fan-in.
      weights: that of all other layers.
      biases: variance of the biases.
      layers: number of layers in the chain.

    >>> import jax, jax.numpy as jnp
    >>> [forgets_first(phi, 4.0, 1.0, 0.0, 8) for phi in (jnp.tanh, jnp.abs)]
    [True, False]
    """
    ends = []
    for q in (first, weights):
        for _ in range(min(layers, MAX_LAYERS)):
            q = weights * layer_response(phi, q).second + biases
            if not 0 < q < math.inf:
                return False
        ends.append(q)
    return abs(math.log(ends[0] / ends[1])) < _FORGOTTEN


def _healthy_growth(layers: int) -> float:
    """Return the log growth that a power law of the depth may cause."""
    return math.log(max(_POWER_LAW * layers, _SHORT_CHAIN))


@lru_cache(maxsize=256)
def _power_law_point(phi: ActivationFunction) -> float | None:
    """Return σ_w² of the bias-free critical point if only power laws leave it, else None."""
    try:
        sigma_w2 = critical_sigma_w2(phi)
        growth = _growth(phi, sigma_w2, sigma_w2, 0.0, MAX_LAYERS, reference=1.0)
    except ValueError:
        return None
    if growth > _healthy_growth(MAX_LAYERS) or sigma_w2 > _MAX_WEIGHTS:
        return None
    return sigma_w2


def _best(phi: ActivationFunction, layers: int, has_biases: bool) -> DeepVariances | None:
    """Return the first candidate that is as good as possible, otherwise the best one."""
    best: DeepVariances | None = None
    for candidate in _candidates(phi, layers, has_biases):
        if best is None or candidate.growth < best.growth - _BETTER:
            best = candidate
        if best.growth <= _ENOUGH:
            break
    return best


def _candidates(phi: ActivationFunction, layers: int, has_biases: bool) -> Iterator[DeepVariances]:
    """Yield critical points first; without them, variances that keep the second moment."""
    found_critical = False
    for q in _CANDIDATE_Q if has_biases else ():
        try:
            point = critical_point(phi, q)
            if point.sigma_b2 < _NEGLIGIBLE * q:
                point = CriticalPoint(q / moments(phi, q).second, 0.0)
            growth = _disturbed_growth(phi, q, *point, layers)
        except ValueError:
            continue
        found_critical = True
        yield DeepVariances(q - point.sigma_b2, *point, is_critical=True, growth=growth)
    if found_critical:
        return
    for q in _CANDIDATE_Q:
        try:
            mean = moments(phi, q)
            weights = q / mean.second
            growth = _disturbed_growth(phi, q, weights, 0.0, layers)
        except (ValueError, ZeroDivisionError):
            continue
        if weights > _MAX_WEIGHTS:
            continue
        is_critical = abs(weights * mean.slope2 - 1) < _NEGLIGIBLE
        yield DeepVariances(q, weights, 0.0, is_critical=is_critical, growth=growth)
    for weights in _GAINS:
        try:
            growth = _growth(phi, weights, weights, 0.0, layers, reference=1.0)
        except ValueError:
            continue
        yield DeepVariances(weights, weights, 0.0, is_critical=False, growth=growth)


def _disturbed_growth(
    phi: ActivationFunction, q: float, weights: float, biases: float, layers: int
) -> float:
    """Return the growth of signal and gradient, if the signal begins a bit too large or small."""
    return max(
        _growth(phi, q * math.exp(sign * _DISTURBANCE), weights, biases, layers, reference=q)
        - _DISTURBANCE
        for sign in (-1, 1)
    )


def _growth(
    phi: ActivationFunction,
    first_q: float,
    weights: float,
    biases: float,
    layers: int,
    reference: float,
) -> float:
    """Return the largest |ln| of the signal over its reference, and of the gradient's growth."""
    q, gradient, growth = first_q, 0.0, 0.0
    for layer in range(1, layers + 1):
        growth = max(growth, abs(math.log(q / reference)))
        response = layer_response(phi, q)
        if not response.slope2:
            raise ValueError("the activation is constant")
        gradient += math.log(weights * response.slope2)
        growth = max(growth, abs(gradient))
        q = weights * response.second + biases
        if growth > _HOPELESS:
            return growth * layers / layer
    return growth
