"""Limits of bounded activations, and how much of a normal signal is made zero or gets there."""

from functools import lru_cache, partial
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from jinit.diagnostics.statistics import saturated, zeros
from jinit.model import Activation, Model, Place

# Pre-activations at which a bounded activation has reached its limits and an unbounded one has not.
_FAR, _FARTHER = 1e3, 1e4
COUNT = 4096
"""Quantiles that stand for a normal number: shares are whole multiples of one over it."""


def limits_of(model: Model) -> dict[Place, tuple[float, float]]:
    """By place, the limits of the bounded activation that what is taken in there comes from."""
    leaves = {leaf.path: leaf for leaf in model.leaves}
    found = {}
    for layer in model.contractions:
        activation = leaves[model.paths[layer.kernel]].activation
        ends = limits(activation) if activation and layer.leads_on(activation) else None
        if ends is not None:
            found |= {place: ends for place in (layer.follower, layer.next_round) if place}
    return found


@lru_cache(maxsize=256)
def limits(activation: Activation) -> tuple[float, float] | None:
    """The lower and the upper one; None if it is unbounded, or constant.

    >>> import jax
    >>> limits(jax.nn.sigmoid), limits(jax.nn.relu)
    ((0.0, 1.0), None)
    """
    with jax.ensure_compile_time_eval():
        far = np.asarray(activation(jnp.array([-_FARTHER, -_FAR, _FAR, _FARTHER], jnp.float32)))
    lowest, low, high, highest = map(float, far)
    span = abs(highest - lowest)
    bounded = abs(highest - high) <= 0.01 * span and abs(low - lowest) <= 0.01 * span
    return (min(low, high), max(low, high)) if bounded and span > 0 else None


class Shares(NamedTuple):
    """Of what an activation makes of normal numbers, by their variance."""

    zero: Any
    """Share that is 0."""
    saturated: Any
    """Share at a limit."""


def shares(activation: Activation, q: ArrayLike) -> Shares:
    """Of normal pre-activations with each of these variances.

    >>> import jax
    >>> shares(jax.nn.relu, [1.0, 4.0]).zero.tolist()
    [0.5, 0.5]
    """
    stds = np.sqrt(np.asarray(q, np.float32))
    return jax.device_get(_shares(activation, limits(activation), stds))


@partial(jax.jit, static_argnums=(0, 1))
def _shares(activation: Activation, ends: tuple[float, float] | None, stds: Array) -> Shares:
    made = activation(stds[:, None] * _quantiles()[None])
    return Shares(jax.vmap(zeros)(made), jax.vmap(partial(saturated, ends=ends))(made))


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """Of a normal number, each as likely as any other."""
    law = NormalDist()
    return np.array([law.inv_cdf((i + 0.5) / COUNT) for i in range(COUNT)], np.float32)
