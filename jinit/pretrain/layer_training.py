"""One layer of a network: its inputs are observed, it is trained on them, and it is written."""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate import DataBatches, LayerPlace, LoopRunner
from jinit.calibrate.layers import read_sites
from jinit.model import Model, PyTree, activation_names
from jinit.pretrain.layer_inputs import PlainLayer, lies_in_unit_interval
from jinit.pretrain.one_layer_autoencoder import HIDDEN_ACTIVATIONS, HiddenActivation
from jinit.pretrain.trainer import TrainedLayer, Trainer

_SMALLEST_STD = 1e-6
"""Standard deviation below which an input counts as constant, and is not scaled."""


class ObservedLayer(NamedTuple):
    """The inputs of a layer, and the key of its training."""

    inputs: Array
    """Inputs of the layer, of shape [rows, inputs]."""
    mean: Array
    std: Array
    is_unit: Array
    """Whether all inputs lie in [0, 1]."""
    key: Array
    """Key of the training."""


@partial(jax.jit, static_argnums=(0, 1, 2))
def observe_layer(
    model: Model, number: int, most_rows: int, params: PyTree, batches: DataBatches, key: Array
) -> ObservedLayer:
    """Return the inputs of a layer over all batches, as the layers below make them.

    Args:
      model: the network.
      number: number of the layer among the sites of the network.
      most_rows: largest number of inputs.
      params: parameters of the network.
      batches: the data.
      key: key of the method.
    """
    row_key, train_key = jax.random.split(jax.random.fold_in(key, number))
    layer = _plain_layer(model, number)
    inputs = layer.inputs(params, batches, row_key, most_rows)
    std = inputs.std(0)
    std = jnp.where(std > _SMALLEST_STD, std, 1)
    is_unit = (inputs.min() >= 0) & (inputs.max() <= 1)
    return ObservedLayer(inputs, inputs.mean(0), std, is_unit, train_key)


def train_layer(
    runner: LoopRunner,
    place: LayerPlace,
    trainer: Trainer,
    model: Model,
    number: int,
    observed: ObservedLayer,
) -> TrainedLayer:
    """Train one layer on its inputs, which are standardized unless they lie in [0, 1].

    Args:
      runner: the way to run the epochs.
      place: the layer, for messages.
      trainer: the way to train it.
      model: the network.
      number: number of the layer among the sites of the network.
      observed: its inputs.
    """
    layer = _plain_layer(model, number)
    trainer = trainer.for_activation(_read_activation(model, layer))

    def train_on(inputs: Array, is_unit: bool) -> TrainedLayer:
        loop = trainer.for_inputs(is_unit).loop(layer.units)
        return TrainedLayer.read(runner.run(loop, (inputs, observed.key), place))

    def train_unit() -> TrainedLayer:
        return train_on(observed.inputs, True)

    def train_real() -> TrainedLayer:
        return _undo_scaling(train_on(_standardize(observed), False), observed)

    is_unit = trainer.is_unit
    if is_unit is None and lies_in_unit_interval(model, layer.site):
        is_unit = True
    if is_unit is None:
        return runner.choose(observed.is_unit, train_unit, train_real)
    return train_unit() if is_unit else train_real()


@partial(jax.jit, static_argnums=(0, 1))
def write_layer(model: Model, number: int, params: PyTree, trained: TrainedLayer) -> PyTree:
    """Return the parameters of the network with those of a trained layer.

    Args:
      model: the network.
      number: number of the layer among the sites of the network.
      params: parameters of the network.
      trained: the layer.
    """
    return _plain_layer(model, number).write(params, trained.weights, trained.bias)


def _plain_layer(model: Model, number: int) -> PlainLayer:
    return PlainLayer(model, read_sites(model)[number])


@jax.jit
def _standardize(observed: ObservedLayer) -> Array:
    return (observed.inputs - observed.mean[None]) / observed.std[None]


@jax.jit
def _undo_scaling(trained: TrainedLayer, observed: ObservedLayer) -> TrainedLayer:
    """Return the layer that computes of the inputs what another one does of standardized ones."""
    weights = trained.weights / observed.std[:, None]
    return TrainedLayer(weights, trained.bias - observed.mean @ weights, trained.history)


def _read_activation(model: Model, layer: PlainLayer) -> HiddenActivation | None:
    """Return the function after a layer, by its name if it has one; None if not elementwise."""
    activation = model.leaf(layer.site.path).activation
    if activation is None or activation.argument_count > 1 or activation.has_normalization:
        return None
    return _activation_names().get(activation.text, activation)


@lru_cache(maxsize=1)
def _activation_names() -> dict[str, str]:
    return activation_names(HIDDEN_ACTIVATIONS)
