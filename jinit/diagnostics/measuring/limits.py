"""Limits of bounded activations, and zero and saturated fractions under normal inputs."""

from functools import lru_cache, partial
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.statistics import Scalar, saturated_fraction, zero_fraction
from jinit.model import Activation, Model, Place

# Pre-activations at which a bounded activation has reached its limits and an unbounded one has not.
_FAR_INPUT, _FARTHEST_INPUT = 1e3, 1e4
QUANTILE_COUNT = 4096
"""Number of quantiles that stand for a normal number: fractions are multiples of its inverse."""


class ActivationLimits(NamedTuple):
    """The values between which a bounded activation stays."""

    low: float
    high: float


def input_limits(model: Model) -> dict[Place, ActivationLimits]:
    """Return the limits of the bounded activation before each contraction that follows one."""
    limits_by_place = {}
    for layer in model.contractions:
        activation = model.leaf(model.paths[layer.kernel]).activation
        if not activation or not layer.is_linked_by(activation):
            continue
        limits = _activation_limits(activation)
        if limits is not None:
            followers = [place for place in (layer.follower, layer.loop_follower) if place]
            limits_by_place |= dict.fromkeys(followers, limits)
    return limits_by_place


@lru_cache(maxsize=256)
def _activation_limits(activation: Activation) -> ActivationLimits | None:
    """Return the limits of an activation; None if it is unbounded or constant.

    >>> import jax
    >>> tuple(_activation_limits(jax.nn.sigmoid)), _activation_limits(jax.nn.relu)
    ((0.0, 1.0), None)
    """
    inputs = [-_FARTHEST_INPUT, -_FAR_INPUT, _FAR_INPUT, _FARTHEST_INPUT]
    with jax.ensure_compile_time_eval():
        values = np.asarray(activation(jnp.array(inputs, jnp.float32)))
    lowest, low, high, highest = map(float, values)
    span = abs(highest - lowest)
    is_bounded = abs(highest - high) <= 0.01 * span and abs(low - lowest) <= 0.01 * span
    return ActivationLimits(min(low, high), max(low, high)) if is_bounded and span > 0 else None


class ActivationFractions(NamedTuple):
    """Fractions of an activation's values under normal inputs, one for each variance."""

    zero_fraction: Scalar
    """Fraction that is 0."""
    saturated_fraction: Scalar
    """Fraction at a limit of the activation."""


def activation_fractions(activation: Activation, q: ArrayLike) -> ActivationFractions:
    """Return the zero and saturated fractions for normal pre-activations of each variance `q`.

    >>> import jax
    >>> activation_fractions(jax.nn.relu, [1.0, 4.0]).zero_fraction.tolist()
    [0.5, 0.5]
    """
    stds = np.sqrt(np.asarray(q, np.float32))
    return jax.device_get(_compute_fractions(activation, _activation_limits(activation), stds))


@jit_recent(2)
def _compute_fractions(
    activation: Activation, limits: ActivationLimits | None, stds: Array
) -> ActivationFractions:
    values = activation(stds[:, None] * _normal_quantiles()[None])
    return ActivationFractions(
        zero_fraction=jax.vmap(zero_fraction)(values),
        saturated_fraction=jax.vmap(partial(saturated_fraction, limits=limits))(values),
    )


@lru_cache(maxsize=1)
def _normal_quantiles() -> np.ndarray:
    """Return equiprobable quantiles of the standard normal distribution."""
    normal = NormalDist()
    return np.array(
        [normal.inv_cdf((i + 0.5) / QUANTILE_COUNT) for i in range(QUANTILE_COUNT)], np.float32
    )
