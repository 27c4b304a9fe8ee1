"""Deep autoencoders: a stack of trained layers, unrolled and trained as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.calibrate.checks import check_number, check_whole
from jinit.choice import check_choice
from jinit.pretrain.boltzmann_machine import Rbm, add_bias
from jinit.pretrain.checks import read_examples
from jinit.pretrain.epochs import run_epochs
from jinit.pretrain.one_layer_autoencoder import (
    Autoencoder,
    HiddenActivation,
    ReconstructionLoss,
    read_activation,
    reconstruction_loss,
)
from jinit.pretrain.rbm_training import RbmTrainer
from jinit.pretrain.reconstructor import Reconstructor
from jinit.pretrain.trainer import Trainer


class AffineLayer(NamedTuple):
    """A layer x W + c."""

    weights: Array
    """Matrix of shape [inputs, units]."""
    bias: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DeepAutoencoder(Reconstructor):
    """An encoder of several layers and a decoder that mirrors it.

    Args:
      encoder: layers from the inputs to the code.
      decoder: layers from the code to the reconstruction.
      activations: the function of each layer of the encoder, or its name.
      loss: loss of a reconstruction; with the cross-entropy the outputs are sigmoids.

    >>> layer = AffineLayer(jnp.ones((3, 2)), jnp.zeros(2))
    >>> mirror = AffineLayer(jnp.ones((2, 3)), jnp.zeros(3))
    >>> net = DeepAutoencoder((layer,), (mirror,), ("linear",), "squared_error")
    >>> net.encode(jnp.ones((5, 3))).shape, net.decode(jnp.ones((5, 2))).shape
    ((5, 2), (5, 3))
    """

    encoder: tuple[AffineLayer, ...]
    decoder: tuple[AffineLayer, ...]
    activations: tuple[HiddenActivation, ...] = field(metadata={"static": True})
    loss: ReconstructionLoss = field(default="cross_entropy", metadata={"static": True})

    @property
    def filters(self) -> Array:
        """The weights of the first layer, of shape [inputs, hidden]."""
        return self.encoder[0].weights

    def encode(self, inputs: Array) -> Array:
        """Return the code, of shape [..., code].

        Args:
          inputs: examples, of shape [..., inputs].
        """
        return _apply_layers(self.encoder, self.activations, inputs)

    def output_inputs(self, code: Array) -> Array:
        """Return the outputs before a sigmoid, of shape [..., inputs].

        Args:
          code: codes, of shape [..., code].
        """
        return _apply_layers(self.decoder, (*self.activations[-2::-1], "linear"), code)

    def decode(self, code: Array) -> Array:
        """Return the reconstruction, of shape [..., inputs].

        Args:
          code: codes, of shape [..., code].
        """
        outputs = self.output_inputs(code)
        return jax.nn.sigmoid(outputs) if self.loss == "cross_entropy" else outputs

    def reconstruct(self, inputs: Array) -> Array:
        """Return the reconstructions of inputs, of shape [..., inputs].

        Args:
          inputs: examples, of shape [..., inputs].
        """
        return self.decode(self.encode(inputs))


def _apply_layers(
    layers: Sequence[AffineLayer], activations: Sequence[HiddenActivation], inputs: Array
) -> Array:
    for layer, activation in zip(layers, activations, strict=True):
        inputs = read_activation(activation)(add_bias(inputs @ layer.weights, layer.bias))
    return inputs


def train_stack(
    data: Any, widths: Sequence[int], key: Array, *, trainer: Trainer | None = None
) -> tuple[tuple[Rbm | Autoencoder, ...], list[dict[str, Array]]]:
    """Train a stack of layers, each on the mean activations of the one below.

    Args:
      data: examples, of shape [examples, inputs].
      widths: number of hidden units of each layer.
      key: key of everything that is drawn.
      trainer: an RbmTrainer or an AutoencoderTrainer; None for `RbmTrainer(visible="bernoulli")`.
        With visible units or a loss that are `auto`, inputs must lie in [0, 1].

    Returns:
      The layers, and the history of each.

    Raises:
      ValueError: if a width is not a positive integer, or the data does not fit the trainer.

    >>> data = jax.random.uniform(jax.random.key(0), (50, 6))
    >>> layers, histories = train_stack(data, (4, 2), jax.random.key(1))
    >>> [layer.weights.shape for layer in layers]
    [(6, 4), (4, 2)]
    """
    trainer = trainer or RbmTrainer(visible="bernoulli")
    for width in widths:
        check_whole("train_stack", "widths", width)
    trainer = trainer.for_inputs(True) if trainer.is_unit is None else trainer
    examples = read_examples("train_stack", data, is_unit=bool(trainer.is_unit))
    layers, histories = [], []
    for width, layer_key in zip(widths, jax.random.split(key, len(widths)), strict=True):
        layer, history = _fit_layer(trainer, width, examples, layer_key)
        examples = (
            layer.hidden_means(examples) if isinstance(layer, Rbm) else layer.encode(examples)
        )
        layers.append(layer)
        histories.append(history)
    return tuple(layers), histories


@partial(jax.jit, static_argnums=(0, 1))
def _fit_layer(
    trainer: Trainer, width: int, examples: Array, key: Array
) -> tuple[Any, dict[str, Array]]:
    return trainer.fit(examples, width, key)


def unroll(
    layers: Sequence[Rbm | Autoencoder], *, loss: ReconstructionLoss | None = None
) -> DeepAutoencoder:
    """Return the deep autoencoder of a stack of trained layers.

    The decoder begins with the transposes of the weights of the encoder, or with the decoders of
    autoencoders that have their own, and with the visible biases.

    Args:
      layers: the layers from the inputs up.
      loss: loss of a reconstruction; None for the squared error if the first layer is an RBM with
        Gaussian visible units or an autoencoder with the squared error, and otherwise the
        cross-entropy.

    Raises:
      ValueError: if there is no layer, or the layers do not fit each other.

    >>> layers = [Rbm(jnp.ones((6, 4)), jnp.zeros(6), jnp.zeros(4))]
    >>> unroll(layers).decoder[0].weights.shape
    (4, 6)
    """
    _check_stack(layers)
    encoder = tuple(AffineLayer(each.weights, each.hidden_bias) for each in layers)
    decoder = tuple(_mirror(each) for each in reversed(layers))
    activations = tuple("sigmoid" if isinstance(each, Rbm) else each.activation for each in layers)
    if loss is None:
        first = layers[0]
        is_real = first.is_gaussian if isinstance(first, Rbm) else first.loss == "squared_error"
        loss = "squared_error" if is_real else "cross_entropy"
    check_choice("loss", loss, get_args(ReconstructionLoss))
    return DeepAutoencoder(encoder, decoder, activations, loss)


def _check_stack(layers: Sequence[Rbm | Autoencoder]) -> None:
    if not layers:
        raise ValueError("unroll: got no layers; train some by train_stack(data, widths, key)")
    for place, (below, above) in enumerate(pairwise(layers)):
        if below.weights.shape[1] != above.weights.shape[0]:
            raise ValueError(
                f"unroll: layer {place} has {below.weights.shape[1]} hidden units, and layer "
                f"{place + 1} takes {above.weights.shape[0]} inputs; give the layers from the "
                "inputs up, each trained on the hidden units of the one before"
            )


def _mirror(layer: Rbm | Autoencoder) -> AffineLayer:
    if isinstance(layer, Rbm):
        return AffineLayer(layer.weights.T, layer.visible_bias)
    decoder = layer.weights.T if layer.decoder is None else layer.decoder
    return AffineLayer(decoder, layer.output_bias)


def fine_tune(
    network: DeepAutoencoder,
    data: Any,
    key: Array,
    *,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    optimizer: optax.GradientTransformation | None = None,
) -> tuple[DeepAutoencoder, dict[str, Array]]:
    """Train all layers of a deep autoencoder together, by backpropagation.

    Args:
      network: the autoencoder, as `unroll` returns it.
      data: examples, of shape [examples, inputs].
      key: key of the order of the examples.
      epochs: number of epochs.
      batch_size: number of examples of a batch.
      learning_rate: step size of Adam.
      optimizer: optimizer in place of Adam.

    Returns:
      The trained autoencoder, and the mean "loss" and the mean squared "reconstruction error" per
      input at the end of each epoch, over at most 1000 examples.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the loss.

    References:
      Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006.

    >>> data = jax.random.uniform(jax.random.key(0), (50, 6))
    >>> layers, _ = train_stack(data, (4, 2), jax.random.key(1))
    >>> network, history = fine_tune(unroll(layers), data, jax.random.key(2), epochs=3)
    >>> network.encode(data).shape, history["loss"].shape
    ((50, 2), (3,))
    """
    check_whole("fine_tune", "epochs", epochs)
    check_whole("fine_tune", "batch_size", batch_size)
    check_number("fine_tune", "learning_rate", learning_rate)
    examples = read_examples("fine_tune", data, is_unit=network.loss == "cross_entropy")
    optimizer = optimizer or optax.adam(learning_rate)
    return _fine_tune(optimizer, epochs, batch_size, network, examples, key)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _fine_tune(
    optimizer: optax.GradientTransformation,
    epochs: int,
    batch_size: int,
    network: Any,
    data: Array,
    key: Array,
) -> tuple[Any, dict[str, Array]]:
    def loss(network: Any, batch: Array) -> Array:
        outputs = network.output_inputs(network.encode(batch))
        return reconstruction_loss(network.loss, outputs, batch).mean()

    def step(state: tuple[Any, Any], batch: Array, noise: Array) -> tuple[Any, Any]:
        del noise
        network, inner = state
        updates, inner = optimizer.update(jax.grad(loss)(network, batch), inner, network)
        return optax.apply_updates(network, updates), inner

    def measure(state: tuple[Any, Any], examples: Array, key: Array) -> dict[str, Array]:
        del key
        network = state[0]
        error = (network.reconstruct(examples) - examples) ** 2
        return {"loss": loss(network, examples), "reconstruction error": error.mean()}

    state = network, optimizer.init(network)
    (network, _), history = run_epochs(
        lambda key: jnp.zeros(0),
        step,
        measure,
        state,
        data,
        key,
        epochs=epochs,
        batch_size=batch_size,
    )
    return network, history
