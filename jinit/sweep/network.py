"""The network of a configuration, as it is trained and evaluated."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.hooks import as_model
from jinit.model import Graph, Model, PyTree
from jinit.sweep.losses import cross_entropy, squared_error
from jinit.sweep.optimizers import KERNEL_AXES, TrainingAxes
from jinit.sweep.space import Config
from jinit.sweep.task import Task

PROBE_EXAMPLES = 256
"""Most training examples on which a network is traced and measured before the first step."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is trained.

    Args:
      model: its model, traced with a batch of training inputs.
    """

    model: Model

    def init(self, key: Array) -> PyTree:
        """Draw its variables."""
        if self.model.init is None:
            raise ValueError(
                "build returned a model that does not know how to draw its parameters: "
                "trace it with init=..., or return a pair (init, apply)"
            )
        return self.model.init(key)

    def train(self, params: PyTree, key: Array, inputs: PyTree) -> tuple[PyTree, PyTree]:
        """Return outputs and updated variables as in training."""
        arguments = call_arguments(inputs)
        if self.model.train is None:
            return self.model.apply(params, *arguments), params
        return self.model.train(params, key, *arguments)

    def evaluate(self, params: PyTree, inputs: PyTree) -> PyTree:
        """Return outputs as in evaluation."""
        return (self.model.evaluate or self.model.apply)(params, *call_arguments(inputs))

    def trained(self, params: PyTree) -> PyTree:
        """Return the trained parameters, with None in place of the others."""
        leaves, structure = jax.tree.flatten(params)
        kept = [leaf if flag else None for leaf, flag in zip(leaves, self._flags, strict=True)]
        return jax.tree.unflatten(structure, kept)

    def merge(self, trained: PyTree, others: PyTree) -> PyTree:
        """Return variables with the trained parameters of one tree and the others of another."""
        return jax.tree.map(
            lambda first, second: second if first is None else first,
            trained,
            others,
            is_leaf=lambda leaf: leaf is None,
        )

    @cached_property
    def kernels(self) -> tuple[int, ...]:
        """Places of the kernels among the leaves of the variables."""
        return tuple(sorted({layer.kernel for layer in self.model.contractions}))

    @cached_property
    def fingerprint(self) -> str:
        """A hash that is equal for networks with equal computations."""
        if self.model.train is None:
            return self.model.graph.fingerprint

        def both(params: PyTree, key: Array, inputs: PyTree) -> tuple[PyTree, PyTree]:
            return self.train(params, key, inputs), self.evaluate(params, inputs)

        key = jax.eval_shape(lambda: jax.random.key(0))
        return Graph.from_function(both, self.model.params, key, self.model.inputs).fingerprint

    @cached_property
    def _flags(self) -> tuple[bool, ...]:
        untrained = self.model.untrained_paths
        return tuple(path not in untrained for path in self.model.paths)


def call_arguments(inputs: PyTree) -> tuple[PyTree, ...]:
    """Return the inputs of a batch as arguments of the network's call.

    >>> call_arguments((1, 2)), call_arguments(3)
    ((1, 2), (3,))
    """
    return inputs if type(inputs) is tuple else (inputs,)


def build_network(
    build: Callable[..., Any], config: Config, task: Task, axes: TrainingAxes
) -> Network:
    """Build the network of a configuration, and check that it fits the task.

    Args:
      build: function of a configuration that returns a network.
      config: the configuration, without the axes of training.
      task: the task.
      axes: the axes of training, for messages.

    Raises:
      ValueError: if outputs or losses do not fit the targets.
      TypeError: if `build` does not return a network.
    """
    batch = jax.tree.map(_as_struct, task.example_batch(PROBE_EXAMPLES))
    model = as_model(_call_build(build, config, axes), *call_arguments(batch[0]))
    network = Network(model)
    _check_outputs(network, task, batch)
    return network


def _as_struct(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _call_build(build: Callable[..., Any], config: Config, axes: TrainingAxes) -> Any:
    passed = _BuildConfig(config, axes)
    if "rngs" in inspect.signature(build).parameters:
        return lambda rngs: build(passed, rngs=rngs)
    return build(passed)


class _BuildConfig(dict[str, Any]):
    """The configuration passed to `build`; its errors name the axes that it has."""

    def __init__(self, config: Config, training: TrainingAxes) -> None:
        super().__init__(config)
        self._training = training

    def __missing__(self, name: str) -> Any:
        axes = f"axes: {', '.join(map(repr, self))}" if self else "no axis"
        if name in (*self._training.traced, *self._training.compiled):
            kind = "a traced number" if name in self._training.traced else "an axis"
            raise ValueError(
                f"build asked its config for {name!r}, which is {kind} of the training "
                f"program and not passed to build (the config has {axes}): leave it to the sweep"
            )
        raise ValueError(
            f"build asked its config for {name!r}, but the space has {axes} for build: add "
            f"{name}=[...] to jinit.grid(...), or do not ask for it in build"
        )


def _check_outputs(network: Network, task: Task, batch: PyTree) -> None:
    inputs, targets = batch[:2]
    outputs = jax.eval_shape(network.evaluate, network.model.params, inputs)
    shapes = jax.tree.map(lambda leaf: leaf.shape, outputs)
    shape = getattr(outputs, "shape", None)
    if task.objective is cross_entropy:
        expected = (*targets.shape, task.outputs)
        # Data of tokens need not have every token of the vocabulary.
        seen = shape or ()
        is_wide = seen == expected if targets.ndim == 1 else seen[-1:] >= expected[-1:]
        if not is_wide or seen[:-1] != expected[:-1]:
            raise ValueError(
                f"task {task.name!r} has {task.classes} classes, so the network must map inputs of "
                f"shape {_shapes_text(inputs)} to logits of shape {expected}; it returns {shapes} "
                f"(classes are counted from 0 to the largest label, {(task.classes or 0) - 1})"
            )
    elif task.objective is squared_error and (
        shape is None or jnp.zeros(shape).size != targets.size
    ):
        raise ValueError(
            f"task {task.name!r} has targets of shape {targets.shape}, so the network must return "
            f"{targets.size} numbers for them; it returns {shapes} (floating targets mean a "
            "regression; classes are integers)"
        )
    examples = jax.tree.leaves(inputs)[0].shape[0]
    for name, function in {"loss": task.objective, **task.metrics}.items():
        values = jax.eval_shape(function, outputs, targets)
        if not hasattr(values, "shape") or values.shape[:1] != (examples,):
            raise ValueError(
                f"task {task.name!r}: the {name} must return one number per example, shape "
                f"({examples},) or ({examples}, ...), got shape {getattr(values, 'shape', values)}"
            )


def _shapes_text(tree: PyTree) -> str:
    return str(jax.tree.map(lambda leaf: leaf.shape, tree))


def check_kernels(model: Model, traced_axes: Collection[str]) -> None:
    """Raise if an axis acts on the kernels and not all kernels are known.

    Args:
      model: the model.
      traced_axes: axes whose values are traced numbers.

    Raises:
      ValueError: if some kernels are used in a computation that is not read.
    """
    axes = [name for name in KERNEL_AXES if name in traced_axes]
    if axes and (model.graph.unread_contractions or not model.contractions):
        raise ValueError(
            f"axis {axes[0]!r} acts on the kernels of the network, but some of them are used in a "
            "computation that is not read, such as a custom derivative or a while loop: leave the "
            "axis out, or write the layers without it"
        )
