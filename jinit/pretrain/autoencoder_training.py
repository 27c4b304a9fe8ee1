"""Training of autoencoders with one hidden layer: denoising, contractive or plain."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.calibrate import CheckpointFile, LoopBody, ShowProgress
from jinit.calibrate.checks import check_number, check_whole
from jinit.choice import check_choice
from jinit.pretrain.checks import check_fraction, check_option_names, read_examples
from jinit.pretrain.epochs import epoch_step
from jinit.pretrain.fit_layer import fit_layer
from jinit.pretrain.one_layer_autoencoder import (
    Autoencoder,
    HiddenActivation,
    ReconstructionLoss,
    read_activation,
    reconstruction_loss,
)
from jinit.pretrain.trainer import Trainer

Corruption = Literal["masking", "salt_and_pepper", "gaussian", "none"]
"""Noise on the inputs: zeros, the smallest and the largest value, or normal."""


def train_autoencoder(
    data: Any,
    hidden: int,
    key: Array,
    *,
    loss: ReconstructionLoss = "cross_entropy",
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
    **options: Any,
) -> tuple[Autoencoder, dict[str, Array]]:
    """Train an autoencoder with one hidden layer on inputs that are corrupted.

    The loss compares the reconstruction of corrupted inputs with the clean ones; a contractive
    penalty may be added to it. The function can be vmapped over keys.

    Args:
      data: examples, of shape [examples, inputs], in [0, 1] for the cross-entropy.
      hidden: number of hidden units.
      key: key of everything that is drawn.
      loss: loss of a reconstruction.
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.
      **options: options of `AutoencoderTrainer`, such as `epochs`, `tied`, `corruption`, `level`,
        `contraction`, `activation` and `optimizer`.

    Returns:
      The autoencoder, and numbers by name with one per epoch, over at most 1000 examples: the
      "loss", and the mean squared "reconstruction error" per input without corruption.

    Raises:
      TypeError: if there is no such option.
      ValueError: if an option cannot work, or the data is not a finite matrix with values in the
        interval.

    References:
      Vincent et al., "Stacked denoising autoencoders", 2010. Rifai et al., "Contractive
      auto-encoders", 2011.

    >>> data = jax.random.uniform(jax.random.key(0), (100, 6))
    >>> net, history = train_autoencoder(data, 4, jax.random.key(1), epochs=3)
    >>> net.encode(data).shape, history["loss"].shape
    ((100, 4), (3,))
    """
    check_choice("loss", loss, get_args(ReconstructionLoss))
    check_whole("train_autoencoder", "hidden", hidden)
    check_option_names("train_autoencoder", options, AutoencoderTrainer.__dataclass_fields__)
    trainer = AutoencoderTrainer(loss=loss, **options)
    examples = read_examples("train_autoencoder", data, is_unit=loss == "cross_entropy")
    return fit_layer("train_autoencoder", trainer, hidden, examples, key, progress, checkpoint)


class _State(NamedTuple):
    """State of the training between two batches."""

    network: Any
    optimizer: Any


@dataclass(frozen=True, kw_only=True, repr=False)
class AutoencoderTrainer(Trainer):
    """An autoencoder as a way to train one layer.

    >>> AutoencoderTrainer(level=0.1), AutoencoderTrainer() == AutoencoderTrainer(tied=True)
    (AutoencoderTrainer(level=0.1), True)
    """

    loss: Literal["auto", "cross_entropy", "squared_error"] = "auto"
    """Loss of a reconstruction; `auto` is the cross-entropy if all inputs lie in [0, 1], and the
    squared error if not."""
    tied: bool = True
    """Whether the decoder has the transpose of the weights of the encoder."""
    corruption: Corruption = "masking"
    """Noise on the inputs: zeros (`masking`), the smallest and the largest value
    (`salt_and_pepper`), normal noise (`gaussian`), or none."""
    level: float = 0.25
    """Fraction of the inputs that are changed, or standard deviation of normal noise."""
    contraction: float = 0.0
    """Factor of the squared norm of the Jacobian of the hidden units in the loss."""
    activation: HiddenActivation = "auto"
    """The function of the hidden units, or its name; `auto` is that of the network, or a sigmoid.
    """
    learning_rate: float = 1e-3
    """Step size of Adam."""
    optimizer: optax.GradientTransformation | None = None
    """Optimizer in place of Adam."""

    name: ClassVar[str] = "autoencoder"

    def __post_init__(self) -> None:
        name = self.name
        check_choice("loss", self.loss, ("auto", *get_args(ReconstructionLoss)))
        check_choice("corruption", self.corruption, get_args(Corruption))
        if self.activation != "auto":
            read_activation(self.activation)
        for option in ("epochs", "batch_size"):
            check_whole(name, option, getattr(self, option))
        check_number(name, "contraction", self.contraction, is_low_allowed=True)
        check_number(name, "learning_rate", self.learning_rate)
        if self.corruption == "gaussian":
            check_number(name, "level", self.level, is_low_allowed=True)
        else:
            check_fraction(name, "level", self.level)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers of an epoch; progress shows the first one."""
        return "reconstruction error", "loss"

    @property
    def is_unit(self) -> bool | None:
        """Whether inputs must lie in [0, 1]; None if this depends on the inputs."""
        return None if self.loss == "auto" else self.loss == "cross_entropy"

    def for_inputs(self, is_unit: bool) -> Self:
        """Return the trainer with the loss for inputs in [0, 1], or for any others.

        Args:
          is_unit: whether they lie in [0, 1].
        """
        return replace(self, loss="cross_entropy" if is_unit else "squared_error")

    def for_activation(self, activation: Callable[[Array], Array] | None) -> Self:
        """Return the trainer for a layer with a given activation, if its own is `auto`.

        Args:
          activation: the function, or None if it is not elementwise.
        """
        is_own = self.activation == "auto" and activation is not None
        return replace(self, activation=activation) if is_own else self

    @property
    def products_per_epoch(self) -> float:
        """Number of products with the weights in an epoch: 2 forward, 4 backward."""
        return 6.0

    def body(self, hidden: int, data: Array, key: Array) -> LoopBody:
        """Return the first autoencoder and the state of its optimizer, and the step of an epoch.

        Args:
          hidden: number of hidden units.
          data: examples, of shape [examples, inputs].
          key: key of everything that is drawn.
        """
        init_key, key = jax.random.split(key)
        network: Any = self._first(data, hidden, init_key)
        optimizer = self.optimizer or optax.adam(self.learning_rate)
        size = min(self.batch_size, len(data))
        bounds = data.min(), data.max()

        def loss(network: Autoencoder, batch: Array, noise: Array) -> Array:
            corrupted = self._corrupt(batch, noise, *bounds)
            outputs = network.output_inputs(network.encode(corrupted))
            total = reconstruction_loss(network.loss, outputs, batch)
            if self.contraction:
                total += self.contraction * _squared_jacobian(network, batch)
            return total.mean()

        def step(state: _State, batch: Array, noise: Array) -> _State:
            gradient = jax.grad(loss)(state.network, batch, noise)
            updates, inner = optimizer.update(gradient, state.optimizer, state.network)
            return _State(optax.apply_updates(state.network, updates), inner)

        def measure(state: _State, examples: Array, key: Array) -> dict[str, Array]:
            network, noise = state.network, self._draw(key, examples.shape)
            error = (network.reconstruct(examples) - examples) ** 2
            return {"loss": loss(network, examples, noise), "reconstruction error": error.mean()}

        run_epoch = epoch_step(
            lambda each: self._draw(each, (size, *data.shape[1:])),
            step,
            measure,
            data,
            key,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )
        return LoopBody(_State(network, optimizer.init(network)), run_epoch)

    def _first(self, data: Array, hidden: int, key: Array) -> Autoencoder:
        keys, features = jax.random.split(key), data.shape[1]
        # Glorot and Bengio 2010, with four times the range for a sigmoid (Theano's tutorials).
        factor = 4 if self.activation in ("auto", "sigmoid") else 1
        bound = factor * (6 / (features + hidden)) ** 0.5
        shape, dtype = (features, hidden), data.dtype
        draw = partial(jax.random.uniform, dtype=dtype, minval=-bound, maxval=bound)
        return Autoencoder(
            weights=draw(keys[0], shape),
            hidden_bias=jnp.zeros(hidden, dtype),
            output_bias=jnp.zeros(features, dtype),
            decoder=None if self.tied else draw(keys[1], shape[::-1]),
            activation="sigmoid" if self.activation == "auto" else self.activation,
            loss="squared_error" if self.loss == "squared_error" else "cross_entropy",
        )

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        if self.corruption == "none":
            return jnp.zeros(0)
        draw = jax.random.normal if self.corruption == "gaussian" else jax.random.uniform
        return draw(key, shape)

    def _corrupt(self, batch: Array, noise: Array, low: Array, high: Array) -> Array:
        if self.corruption == "none":
            return batch
        if self.corruption == "gaussian":
            return batch + self.level * noise
        if self.corruption == "masking":
            return jnp.where(noise < self.level, 0, batch)
        extremes = jnp.where(noise < self.level / 2, low, high)
        return jnp.where(noise < self.level, extremes, batch)


def _squared_jacobian(network: Autoencoder, inputs: Array) -> Array:
    """Return the squared norm of the derivative of the hidden units by the inputs."""
    hidden_inputs = network.hidden_inputs(inputs)
    slopes = jax.jvp(
        read_activation(network.activation), (hidden_inputs,), (jnp.ones_like(hidden_inputs),)
    )[1]
    return slopes**2 @ (network.weights**2).sum(0)
