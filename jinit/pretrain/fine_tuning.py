"""Training of a deep autoencoder as a whole, after its layers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.calibrate import (
    CheckpointFile,
    Loop,
    LoopBody,
    LoopRunner,
    ShowProgress,
    run_watched,
)
from jinit.calibrate.checks import check_number, check_whole
from jinit.pretrain.checks import read_examples
from jinit.pretrain.epochs import epoch_step
from jinit.pretrain.one_layer_autoencoder import reconstruction_loss
from jinit.pretrain.unroll import DeepAutoencoder


def fine_tune(
    network: DeepAutoencoder,
    data: Any,
    key: Array,
    *,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    optimizer: optax.GradientTransformation | None = None,
    progress: ShowProgress | None = None,
    checkpoint: CheckpointFile | None = None,
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
      progress: called with a MethodProgress every second or so.
      checkpoint: file of unfinished work, from which an equal call goes on.

    Returns:
      The trained autoencoder, and the mean "loss" and the mean squared "reconstruction error" per
      input at the end of each epoch, over at most 1000 examples.

    Raises:
      ValueError: if an option cannot work, or the data does not fit the loss.

    References:
      Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006.

    >>> from jinit.pretrain.unroll import train_stack, unroll
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
    options = optimizer or optax.adam(learning_rate), epochs, batch_size
    loop = Loop(_tuning_body, options, epochs, ("loss", "reconstruction error"), "epoch")

    def tune(
        runner: LoopRunner, network: DeepAutoencoder, examples: Array, key: Array
    ) -> tuple[DeepAutoencoder, dict[str, Array]]:
        state, history = runner.run(loop, (network, examples, key))
        return state.network, history

    return run_watched(
        "fine_tune",
        f"fine_tune(epochs={epochs}, batch_size={batch_size}, learning_rate={learning_rate})",
        tune,
        {"network": network, "data": examples, "key": key},
        progress,
        checkpoint,
    )[0]


class _State(NamedTuple):
    """State of the training between two epochs."""

    network: Any
    optimizer: Any


def _tuning_body(
    optimizer: optax.GradientTransformation,
    epochs: int,
    batch_size: int,
    network: Any,
    data: Array,
    key: Array,
) -> LoopBody:
    def loss(network: Any, batch: Array) -> Array:
        outputs = network.output_inputs(network.encode(batch))
        return reconstruction_loss(network.loss, outputs, batch).mean()

    def step(state: _State, batch: Array, noise: Array) -> _State:
        del noise
        gradient = jax.grad(loss)(state.network, batch)
        updates, inner = optimizer.update(gradient, state.optimizer, state.network)
        return _State(optax.apply_updates(state.network, updates), inner)

    def measure(state: _State, examples: Array, key: Array) -> dict[str, Array]:
        del key
        network = state.network
        error = (network.reconstruct(examples) - examples) ** 2
        return {"loss": loss(network, examples), "reconstruction error": error.mean()}

    run_epoch = epoch_step(
        lambda key: jnp.zeros(0), step, measure, data, key, epochs=epochs, batch_size=batch_size
    )
    return LoopBody(_State(network, optimizer.init(network)), run_epoch)
