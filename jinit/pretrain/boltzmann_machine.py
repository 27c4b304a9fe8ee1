"""Restricted Boltzmann machines: their conditional distributions, samples and free energy."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array

from jinit.choice import check_choice
from jinit.pretrain.reconstructor import Reconstructor

VisibleKind = Literal["bernoulli", "gaussian"]
"""Distribution of the visible units: binary, or normal with unit variance."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rbm(Reconstructor):
    r"""A restricted Boltzmann machine with binary hidden units h.

    The energy is E(v, h) = -b·v - c·h - v·W h for binary visible units v, and
    E(v, h) = \|v - b\|²/2 - c·h - v·W h for Gaussian ones, which have unit variance.
    A tree of three arrays.

    Args:
      weights: the matrix W, of shape [visible, hidden].
      visible_bias: the vector b.
      hidden_bias: the vector c.
      visible: distribution of the visible units.

    Raises:
      ValueError: if `visible` is another word.

    >>> rbm = Rbm(jnp.zeros((3, 2)), jnp.zeros(3), jnp.ones(2))
    >>> rbm.hidden_means(jnp.ones((5, 3))).shape, float(rbm.visible_means(jnp.ones(2))[0])
    ((5, 2), 0.5)
    """

    weights: Array
    visible_bias: Array
    hidden_bias: Array
    visible: VisibleKind = field(default="bernoulli", metadata={"static": True})

    def __post_init__(self) -> None:
        check_choice("visible", self.visible, get_args(VisibleKind))

    @property
    def filters(self) -> Array:
        """The matrix W."""
        return self.weights

    @property
    def is_gaussian(self) -> bool:
        """Whether the visible units are Gaussian."""
        return self.visible == "gaussian"

    def hidden_inputs(self, visible: Array) -> Array:
        """Return c + v W, the logits of the hidden units.

        Args:
          visible: states v of the visible units, of shape [..., visible].
        """
        return add_bias(visible @ self.weights, self.hidden_bias)

    def visible_inputs(self, hidden: Array) -> Array:
        """Return b + W h: logits of binary visible units, means of Gaussian ones.

        Args:
          hidden: states h of the hidden units, of shape [..., hidden].
        """
        return add_bias(hidden @ self.weights.T, self.visible_bias)

    def hidden_means(self, visible: Array) -> Array:
        """Return p(h = 1 | v), of shape [..., hidden].

        Args:
          visible: states v of the visible units, of shape [..., visible].
        """
        return jax.nn.sigmoid(self.hidden_inputs(visible))

    def visible_means(self, hidden: Array) -> Array:
        """Return the means of the visible units given the hidden ones, of shape [..., visible].

        Args:
          hidden: states h of the hidden units, of shape [..., hidden].
        """
        inputs = self.visible_inputs(hidden)
        return inputs if self.is_gaussian else jax.nn.sigmoid(inputs)

    def reconstruct(self, inputs: Array) -> Array:
        """Return the means of the visible units given those of the hidden units.

        Args:
          inputs: states v of the visible units, of shape [..., visible].
        """
        return self.visible_means(self.hidden_means(inputs))

    def sample_visible(self, means: Array, noise: Array) -> Array:
        """Return visible units with given means.

        Args:
          means: the means, as `visible_means` returns them.
          noise: noise from `draw_noise`, in the shape of the means.
        """
        return means + noise if self.is_gaussian else sample_binary(means, noise)

    def free_energy(self, visible: Array) -> Array:
        r"""Return F(v) = -log Σ_h exp(-E(v, h)), of shape [...].

        It is -b·v - Σ softplus(c + v W) for binary visible units, and
        \|v - b\|²/2 - Σ softplus(c + v W) for Gaussian ones.

        Args:
          visible: states v of the visible units, of shape [..., visible].
        """
        hidden = jax.nn.softplus(self.hidden_inputs(visible)).sum(-1)
        return bias_energy(self.visible, visible, self.visible_bias) - hidden


def bias_energy(kind: VisibleKind, visible: Array, bias: Array) -> Array:
    r"""Return the energy of visible units and their bias: -b·v, or \|v - b\|²/2.

    Args:
      kind: distribution of the visible units.
      visible: states v of the visible units, of shape [..., visible].
      bias: the vector b.
    """
    if kind == "gaussian":
        return 0.5 * (add_bias(visible, -bias) ** 2).sum(-1)
    return -(visible @ bias)


def sample_binary(means: Array, noise: Array) -> Array:
    """Return zeros and ones with given means, in the dtype of the means.

    Args:
      means: probabilities of ones.
      noise: uniform noise in (0, 1), in the shape of the means.

    >>> sample_binary(jnp.array([0.0, 1.0]), draw_noise("bernoulli", jax.random.key(0), 2)).tolist()
    [0.0, 1.0]
    """
    return (noise < means).astype(means.dtype)


def draw_noise(kind: VisibleKind, key: Array, *shape: int) -> Array:
    """Draw the noise that turns means into samples: normal, or uniform in (0, 1).

    Uniform numbers have 16 random bits, so that probabilities are rounded by at most 2^-17; this
    takes half the time of 32 bits.

    Args:
      kind: distribution of the units.
      key: key of the draw.
      *shape: shape of the noise.
    """
    if kind == "gaussian":
        return jax.random.normal(key, shape)
    size = math.prod(shape)
    bits = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    halves = jnp.concatenate([bits >> 16, bits & 0xFFFF])[:size]
    return (halves.astype(jnp.float32).reshape(shape) + 0.5) / 2**16


def add_bias(values: Array, bias: Array) -> Array:
    """Return a sum with a bias along the last axis.

    Args:
      values: an array.
      bias: a vector, of the length of the last axis.

    >>> add_bias(jnp.zeros((2, 3)), jnp.ones(3)).shape
    (2, 3)
    """
    return values + bias.reshape((1,) * (values.ndim - bias.ndim) + bias.shape)
