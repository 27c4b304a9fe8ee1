"""Runs of one network on one batch: all statistics, gradients, and single operations."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax import Array

from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.every_operation import OperationSizes, record_operations
from jinit.diagnostics.measuring.losses import Loss, choose_loss
from jinit.diagnostics.measuring.observe import Observation, observe
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.trained import loss_function, split_params, trained_flags
from jinit.model import Graph, Model, Place, PyTree


class Setting(NamedTuple):
    """The static arguments of a compiled measurement."""

    model: Model
    loss: Loss | None
    optimizer: Any


def loss_graph(setting: Setting, batch: Batch) -> Graph:
    """Return the network and its loss as one computation of parameters, inputs and targets."""
    model = setting.model

    def function(params: PyTree, inputs: Sequence[PyTree], targets: Sequence[PyTree]) -> Any:
        outputs = model.apply(params, *inputs)
        loss = choose_loss(setting.loss, outputs, targets).function(outputs, targets)
        return loss, outputs

    return Graph.from_function(function, model.params, batch.inputs, batch.targets).prune()


def record_sizes(
    setting: Setting, params: PyTree, batch: Batch, places: Sequence[Place]
) -> Mapping[Place, OperationSizes]:
    """Run the network again and return the sizes at some of its operations."""
    return jax.device_get(_record_places(setting, tuple(places), params, batch)) if places else {}


@jit_recent(2)
def _record_places(
    setting: Setting, places: tuple[Place, ...], params: PyTree, batch: Batch
) -> dict[Place, OperationSizes]:
    inputs = jax.tree.leaves((params, batch.inputs, batch.targets))
    return record_operations(loss_graph(setting, batch), inputs, places)


def _observe(setting: Setting, params: PyTree, batch: Batch) -> Observation:
    def output_loss(outputs: PyTree) -> Array:
        chosen = choose_loss(setting.loss, outputs, batch.targets)
        return chosen.function(outputs, batch.targets)

    return observe(setting.model, params, batch.inputs, output_loss, setting.optimizer)


@jit_recent(1)
def observe_one(setting: Setting, params: PyTree, batch: Batch) -> Observation:
    """Run the network forward and backward once."""
    return _observe(setting, params, batch)


@jit_recent(1)
def observe_seeds(setting: Setting, params: PyTree, batch: Batch) -> Observation:
    """Run the network once for each initialization, along axis 0 of every parameter."""
    return jax.vmap(lambda each: _observe(setting, each, batch))(params)


def observed_gradients(setting: Setting, batch: Batch, params: PyTree) -> dict[str, Array]:
    """Return the gradients of the trained parameters by path, by the program of `observe_one`.

    It suits networks for which that program is compiled already.
    """
    changes = observe_one(setting, params, batch).changes
    return {path: change.gradient for path, change in changes.items()}


@jit_recent(1)
def trained_gradients(setting: Setting, batch: Batch, params: PyTree) -> dict[str, Array]:
    """Return the gradients of the trained parameters by path, by a program of nothing else."""
    model = setting.model
    split = split_params("diagnose", model, params)
    loss = loss_function(model, setting.loss, split.fixed, batch)
    flags = zip(model.paths, trained_flags(model), strict=True)
    paths = [path for path, is_trained in flags if is_trained]
    return dict(zip(paths, jax.grad(loss)(split.trained), strict=True))
