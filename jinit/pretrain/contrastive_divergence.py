"""Contrastive divergence: the gradient of the likelihood of a machine from short chains."""

from dataclasses import replace
from typing import Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax import Array

from jinit.pretrain.boltzmann_machine import Rbm, draw_noise, sample_binary

Reconstructions = Literal["samples", "means"]
"""Visible units at the end of a chain: drawn, or replaced by their means."""


class GradientEstimate(NamedTuple):
    """An estimate of the gradient of the log-likelihood, and the ends of the chains."""

    gradient: Rbm
    hidden: Array
    """States of the hidden units at the ends of the chains."""
    positive: Array
    """Means of the hidden units given the data."""


def contrastive_divergence(
    rbm: Rbm,
    data: Array,
    key: Array,
    *,
    steps: int = 1,
    hidden: Array | None = None,
    reconstructions: Reconstructions = "samples",
) -> GradientEstimate:
    """Estimate the gradient of the mean log-likelihood by k steps of Gibbs sampling.

    It is E[v p(h|v)] over the data minus the same over the ends of the chains; for large k, or
    with chains that persist, this converges to the gradient.

    Args:
      rbm: the machine.
      data: examples, of shape [examples, visible].
      key: key of the chains.
      steps: the number k of steps.
      hidden: states of the hidden units from which the chains start, of shape [chains, hidden];
        None to draw them given the data.
      reconstructions: whether the visible units at the ends of the chains are `samples`, which
        leaves no bias for large k, or `means`, which has less noise.

    Returns:
      The estimate, and the ends of the chains.

    References:
      Hinton, "Training products of experts by minimizing contrastive divergence", 2002. Tieleman,
      "Training restricted Boltzmann machines using approximations to the likelihood gradient",
      2008.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> estimate = contrastive_divergence(rbm, jnp.ones((5, 3)), jax.random.key(0))
    >>> estimate.gradient.weights.shape, estimate.hidden.shape
    ((3, 2), (5, 2))
    """
    chains = data if hidden is None else hidden
    noise = ChainNoise.draw(rbm, len(chains), steps, key)
    return contrast(rbm, data, noise, hidden, reconstructions)


class ChainNoise(NamedTuple):
    """The noise of chains of k steps.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> ChainNoise.draw(rbm, 5, 4, jax.random.key(0)).visible.shape
    (4, 5, 3)
    """

    start: Array
    visible: Array
    """Noise of the visible units, of shape [k, chains, visible]."""
    hidden: Array
    """Noise of the hidden units, of shape [k, chains, hidden]."""

    @classmethod
    def draw(cls, rbm: Rbm, chains: int, steps: int, key: Array) -> Self:
        """Draw the noise.

        Args:
          rbm: the machine.
          chains: number of chains.
          steps: number of steps.
          key: key of the draw.
        """
        start_key, visible_key, hidden_key = jax.random.split(key, 3)
        visible, hidden = rbm.weights.shape
        return cls(
            draw_noise("bernoulli", start_key, chains, hidden),
            draw_noise(rbm.visible, visible_key, steps, chains, visible),
            draw_noise("bernoulli", hidden_key, steps, chains, hidden),
        )


def contrast(
    rbm: Rbm,
    data: Array,
    noise: ChainNoise,
    hidden: Array | None,
    reconstructions: Reconstructions,
) -> GradientEstimate:
    """Estimate the gradient by chains with given noise, as `contrastive_divergence`.

    Args:
      rbm: the machine.
      data: examples, of shape [examples, visible].
      noise: the noise of the chains.
      hidden: states of the hidden units from which the chains start; None to draw them.
      reconstructions: what the visible units at the ends of the chains are.
    """
    chain = hidden
    if chain is None:
        chain = sample_binary(rbm.hidden_means(data), noise.start)
    if len(noise.visible) > 1:
        pairs = noise.visible[:-1], noise.hidden[:-1]
        chain = jax.lax.scan(lambda at, each: (_gibbs_step(rbm, at, *each), None), chain, pairs)[0]
    means = rbm.visible_means(chain)
    is_mean = reconstructions == "means"
    visible = means if is_mean else rbm.sample_visible(means, noise.visible[-1])
    # One product for the data and the chains takes less time than one for each.
    count = len(data)
    both = rbm.hidden_means(jnp.concatenate([data, visible]))
    positive, negative = both[:count], both[count:]
    signed = jnp.concatenate([data / count, visible / -len(visible)])
    gradient = replace(
        rbm,
        weights=signed.T @ both,
        visible_bias=signed.sum(0),
        hidden_bias=positive.mean(0) - negative.mean(0),
    )
    return GradientEstimate(gradient, sample_binary(negative, noise.hidden[-1]), positive)


def _gibbs_step(rbm: Rbm, hidden: Array, visible_noise: Array, hidden_noise: Array) -> Array:
    visible = rbm.sample_visible(rbm.visible_means(hidden), visible_noise)
    return sample_binary(rbm.hidden_means(visible), hidden_noise)
