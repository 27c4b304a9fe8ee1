"""Deep autoencoders: a stack of trained layers, unrolled and trained as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, get_args

import jax
from jax import Array

from jinit.calibrate import (
    CheckpointFile,
    LayerPlace,
    LoopRunner,
    ShowProgress,
    run_watched,
)
from jinit.calibrate.checks import check_whole
from jinit.choice import check_choice
from jinit.pretrain.boltzmann_machine import Rbm, add_bias
from jinit.pretrain.checks import read_examples
from jinit.pretrain.one_layer_autoencoder import (
    Autoencoder,
    HiddenActivation,
    ReconstructionLoss,
    read_activation,
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

    >>> import jax.numpy as jnp
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
    data: Any,
    widths: Sequence[int],
    key: Array,
    *,
    trainer: Trainer | None = None,
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
) -> tuple[tuple[Rbm | Autoencoder, ...], list[dict[str, Array]]]:
    """Train a stack of layers, each on the mean activations of the one below.

    Args:
      data: examples, of shape [examples, inputs].
      widths: number of hidden units of each layer.
      key: key of everything that is drawn.
      trainer: an RbmTrainer or an AutoencoderTrainer; None for `RbmTrainer(visible="bernoulli")`.
        With visible units or a loss that are `auto`, inputs must lie in [0, 1].
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.

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
    return run_watched(
        "train_stack",
        f"train_stack({trainer!r}, widths={tuple(widths)})",
        partial(_fit_layers, trainer, tuple(widths)),
        {"data": examples, "key": key},
        progress,
        checkpoint,
    )[0]


def _fit_layers(
    trainer: Trainer, widths: tuple[int, ...], runner: LoopRunner, examples: Array, key: Array
) -> tuple[tuple[Rbm | Autoencoder, ...], list[dict[str, Array]]]:
    layers, histories = [], []
    keys = jax.random.split(key, len(widths))
    for number, (width, layer_key) in enumerate(zip(widths, keys, strict=True), 1):
        place = LayerPlace(f"of {width} units", number, len(widths))
        state, history = runner.run(trainer.loop(width), (examples, layer_key), place)
        layer = state.network
        examples = (
            layer.hidden_means(examples) if isinstance(layer, Rbm) else layer.encode(examples)
        )
        layers.append(layer)
        histories.append(history)
    return tuple(layers), histories


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

    >>> import jax.numpy as jnp
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
