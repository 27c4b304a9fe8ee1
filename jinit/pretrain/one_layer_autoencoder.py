"""Autoencoders with one hidden layer, and the losses of their reconstructions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.choice import check_choice
from jinit.pretrain.boltzmann_machine import add_bias
from jinit.pretrain.reconstructor import Reconstructor

HiddenActivation = str | Callable[[Array], Array]
"""An elementwise function, or the name of one of `HIDDEN_ACTIVATIONS`."""
HIDDEN_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "linear": lambda inputs: inputs,
}
"""Elementwise functions by name."""
ReconstructionLoss = Literal["cross_entropy", "squared_error"]
"""Loss of a reconstruction; with the cross-entropy the outputs are sigmoids, otherwise linear."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Autoencoder(Reconstructor):
    """An autoencoder with one hidden layer h = φ(x W + c) and the outputs h V + b.

    With the cross-entropy as its loss, the outputs are σ(h V + b).

    Args:
      weights: the matrix W, of shape [inputs, hidden].
      hidden_bias: the vector c.
      output_bias: the vector b.
      decoder: the matrix V, of shape [hidden, inputs]; None for the transpose of W.
      activation: the function φ, or its name.
      loss: the loss of a reconstruction.

    Raises:
      ValueError: if a word is unknown.

    >>> net = Autoencoder(jnp.ones((3, 2)), jnp.zeros(2), jnp.zeros(3), activation="linear")
    >>> net.encode(jnp.ones(3)).tolist(), float(net.decode(jnp.zeros(2))[0])
    ([3.0, 3.0], 0.5)
    """

    weights: Array
    hidden_bias: Array
    output_bias: Array
    decoder: Array | None = None
    activation: HiddenActivation = field(default="sigmoid", metadata={"static": True})
    loss: ReconstructionLoss = field(default="cross_entropy", metadata={"static": True})

    def __post_init__(self) -> None:
        read_activation(self.activation)
        check_choice("loss", self.loss, get_args(ReconstructionLoss))

    @property
    def filters(self) -> Array:
        """The matrix W."""
        return self.weights

    def hidden_inputs(self, inputs: Array) -> Array:
        """Return x W + c, of shape [..., hidden].

        Args:
          inputs: examples x, of shape [..., inputs].
        """
        return add_bias(inputs @ self.weights, self.hidden_bias)

    def encode(self, inputs: Array) -> Array:
        """Return the hidden units, of shape [..., hidden].

        Args:
          inputs: examples x, of shape [..., inputs].
        """
        return read_activation(self.activation)(self.hidden_inputs(inputs))

    def output_inputs(self, hidden: Array) -> Array:
        """Return h V + b, of shape [..., inputs].

        Args:
          hidden: hidden units h, of shape [..., hidden].
        """
        decoder = self.weights.T if self.decoder is None else self.decoder
        return add_bias(hidden @ decoder, self.output_bias)

    def decode(self, hidden: Array) -> Array:
        """Return the reconstruction, of shape [..., inputs].

        Args:
          hidden: hidden units h, of shape [..., hidden].
        """
        outputs = self.output_inputs(hidden)
        return jax.nn.sigmoid(outputs) if self.loss == "cross_entropy" else outputs

    def reconstruct(self, inputs: Array) -> Array:
        """Return the reconstructions of inputs without corruption, of shape [..., inputs].

        Args:
          inputs: examples x, of shape [..., inputs].
        """
        return self.decode(self.encode(inputs))


def read_activation(activation: HiddenActivation) -> Callable[[Array], Array]:
    """Return an elementwise function by its name.

    Args:
      activation: the function itself, or its name.

    Raises:
      ValueError: if there is none of this name.

    >>> float(read_activation("relu")(-1.0))
    0.0
    """
    if callable(activation):
        return activation
    return HIDDEN_ACTIVATIONS[check_choice("activation", activation, HIDDEN_ACTIVATIONS)]


def reconstruction_loss(loss: ReconstructionLoss, outputs: Array, inputs: Array) -> Array:
    """Return the loss of each example, summed over its features, of shape [...].

    Args:
      loss: the cross-entropy of σ(outputs), or the squared error of the outputs.
      outputs: outputs of the decoder before the sigmoid, of shape [..., inputs].
      inputs: the clean inputs, of the same shape.

    >>> float(reconstruction_loss("squared_error", jnp.ones(3), jnp.zeros(3)))
    3.0
    """
    if loss == "squared_error":
        return ((outputs - inputs) ** 2).sum(-1)
    return optax.sigmoid_binary_cross_entropy(outputs, inputs).sum(-1)
