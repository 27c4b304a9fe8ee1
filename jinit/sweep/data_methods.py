"""Values of an axis that initialize by data: methods of `calibrate` and `pretrain`."""

from collections.abc import Mapping
from typing import Any

import jax
from jax import Array

from jinit.calibrate import DataBatches, Method
from jinit.model import Model, PyTree, trace_for
from jinit.sweep.data import leading_length
from jinit.sweep.network import Network, call_arguments
from jinit.sweep.space import Config
from jinit.sweep.task import Task

_METHOD_KEY = 0x64617461
"""Folded into the key of a seed, so that no method draws the random bits of the initialization."""


def base_initializers(config: Config) -> dict[str, Any]:
    """Return a configuration as `build` gets it: with the initializer from which a method begins.

    Args:
      config: value by axis.

    >>> from jinit.calibrate import lsuv
    >>> base_initializers({"init": lsuv(init="zeros"), "depth": 2})
    {'init': zeros, 'depth': 2}
    """
    return {
        name: value.init if isinstance(value, Method) else value for name, value in config.items()
    }


def apply_methods(
    network: Network, task: Task, params: PyTree, key: Array, config: Mapping[str, Any]
) -> PyTree:
    """Return parameters after the methods of a configuration, on the training data of a task.

    Args:
      network: the network.
      task: its data.
      params: the parameters that its initializers drew.
      key: the key of the lane.
      config: value by axis.
    """
    for number, method in enumerate(_list_methods(config)):
        batches = _training_batches(task, method)
        model = _trace_for_size(network.model, jax.tree.leaves(batches.inputs)[0].shape[1])
        method_key = jax.random.fold_in(jax.random.fold_in(key, _METHOD_KEY), number)
        params = method.apply(model, params, batches, method_key)
    return params


def name_methods(config: Mapping[str, Any]) -> str:
    """Return the methods of a configuration as text; empty if there are none.

    Args:
      config: value by axis.

    >>> from jinit.calibrate import lsuv
    >>> name_methods({"init": lsuv(target=2.0), "depth": 2})
    'lsuv(target=2.0)'
    """
    return ", ".join(map(repr, _list_methods(config)))


def _list_methods(config: Mapping[str, Any]) -> list[Method]:
    return [value for value in config.values() if isinstance(value, Method)]


def _trace_for_size(model: Model, examples: int) -> Model:
    """Return a model traced for batches of a size."""
    structs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((examples, *leaf.shape[1:]), leaf.dtype), model.inputs
    )
    return trace_for(model, structs)


def _training_batches(task: Task, method: Method) -> DataBatches:
    """Return training examples in batches of the size that a method asks for."""
    train = task.train.first if task.is_stream else task.train
    examples = leading_length(train)
    size = min(method.batch_examples or examples, examples)
    count = min(method.most_batches or examples, examples // size)
    batches = jax.tree.map(
        lambda leaf: leaf[: count * size].reshape(count, size, *leaf.shape[1:]), train
    )
    return DataBatches(call_arguments(batches[0]), (batches[1],))
