"""Configurations grouped by the training program and by the initial parameters that they share."""

import inspect
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jinit.hooks import as_model
from jinit.model import Graph, Model
from jinit.model.params import PyTree
from jinit.sweep.optimizers import (
    KERNEL_AXES,
    OptimizerLike,
    TrainingAxes,
    build_optimizer,
    check_traced_number,
)
from jinit.sweep.space import Config, record_value
from jinit.sweep.tasks import Task, squared_error
from jinit.sweep.trial import Trial

_PROBE_EXAMPLES = 256

_Init = Callable[[jax.Array], PyTree]


@dataclass(frozen=True, eq=False)
class Member:
    """One configuration of a group."""

    config: Config
    model: Model
    init: _Init
    """Draws the initial parameters of the model from a key."""
    init_fingerprint: str
    """Fingerprint of `init`: members with equal ones have equal initial parameters."""
    hyperparameters: dict[str, float]
    """The traced numbers."""


@dataclass(frozen=True, eq=False)
class Group:
    """Configurations that share one training program."""

    trial: Trial
    members: tuple[Member, ...]
    batch_size: int


@dataclass(frozen=True, eq=False)
class _Network:
    """The network that the axes which are not traced determine."""

    model: Model
    init: _Init
    init_fingerprint: str


def group_configs(
    configs: Sequence[Config],
    build: Callable[..., Any],
    task: Task,
    optimizer: OptimizerLike,
    axes: TrainingAxes,
) -> tuple[Group, ...]:
    """Group configurations by the computation of their networks and by how they are trained.

    Args:
      configs: the configurations.
      build: function of a configuration that returns a network.
      task: the data to train on.
      optimizer: a built optimizer, or a function of the learning rate, for all configurations
        without one of their own.
      axes: the axes of training; `build` does not get them.

    Returns:
      The groups, in the order of their first configurations.

    Raises:
      ValueError: if a network does not fit the task, or two configurations are equal trials
        because `build` ignores an axis.
      TypeError: if `build` does not return a network.
    """
    probe = min(_PROBE_EXAMPLES, len(task.train[0]))
    networks: dict[tuple, _Network] = {}
    members: dict[str, list[Member]] = {}
    for config in configs:
        others = (*axes.traced, *axes.compiled)
        passed = {name: value for name, value in config.items() if name not in others}
        numbers = {name: check_traced_number(name, config[name]) for name in axes.traced}
        values = tuple(map(record_value, passed.values()))
        if values not in networks:
            networks[values] = _build_network(build, passed, task, probe, axes)
        network = networks[values]
        model = network.model
        training = [record_value(config[name]) for name in axes.compiled]
        program = f"{model.graph.fingerprint} {jax.tree.structure(model.params)} {training}"
        member = Member(
            config=config,
            model=model,
            init=network.init,
            init_fingerprint=network.init_fingerprint,
            hyperparameters=numbers,
        )
        members.setdefault(program, []).append(member)
    for group in members.values():
        _check_distinct(group)
    return tuple(_build_group(group, task, optimizer, axes, probe) for group in members.values())


def _build_group(
    members: Sequence[Member],
    task: Task,
    optimizer: OptimizerLike,
    axes: TrainingAxes,
    probe: int,
) -> Group:
    compiled = {name: members[0].config[name] for name in axes.compiled}
    own_optimizer = compiled.get("optimizer", optimizer)
    trial = Trial(
        model=members[0].model,
        loss=task.objective,
        classes=task.classes,
        optimizer=lambda numbers: build_optimizer(own_optimizer, {**compiled, **numbers}),
        probe_examples=probe,
    )
    sized = replace(task, batch_size=compiled.get("batch_size", task.batch_size))
    return Group(trial, tuple(members), sized.batch_size)


def _build_network(
    build: Callable[..., Any],
    config: Config,
    task: Task,
    probe: int,
    axes: TrainingAxes,
) -> _Network:
    inputs, targets = task.train
    example = jax.ShapeDtypeStruct((probe, *inputs.shape[1:]), inputs.dtype)
    model = as_model(_call_build(build, config, axes), example)
    _check_outputs(model, task, example, targets[:probe])
    _check_kernels(model, axes.traced)
    init = _init_function(model)
    graph = Graph.from_function(init, jax.random.key(0)).prune()
    return _Network(model, init, graph.fingerprint)


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


def _init_function(model: Model) -> _Init:
    if model.init is None:
        raise ValueError(
            "build returned a model that does not know how to draw its parameters: "
            "trace it with init=..., or return a pair (init, apply)"
        )
    return model.init


def _check_outputs(
    model: Model, task: Task, example: jax.ShapeDtypeStruct, targets: np.ndarray
) -> None:
    outputs = jax.eval_shape(model.apply, model.params, example)
    shapes = jax.tree.map(lambda leaf: leaf.shape, outputs)
    expected = (example.shape[0], task.outputs)
    shape = getattr(outputs, "shape", None)
    if task.classes and shape != expected:
        raise ValueError(
            f"task {task.name!r} has {task.classes} classes, so the network must map inputs of "
            f"shape {example.shape} to logits of shape {expected}; it returns {shapes}"
        )
    if task.objective is squared_error and (shape is None or math.prod(shape) != targets.size):
        raise ValueError(
            f"task {task.name!r} has targets of shape {targets.shape}, so the network must return "
            f"{targets.size} numbers for them; it returns {shapes}"
        )
    loss = jax.eval_shape(task.objective, outputs, targets)
    if loss.shape != example.shape[:1]:
        raise ValueError(
            f"task {task.name!r}: the loss must return one number per example, shape "
            f"{example.shape[:1]}, got shape {loss.shape}"
        )


def _check_kernels(model: Model, traced_axes: Collection[str]) -> None:
    """Raise if an axis acts on the kernels and not all kernels are known."""
    axes = [name for name in KERNEL_AXES if name in traced_axes]
    if axes and (model.graph.unread_contractions or not model.contractions):
        raise ValueError(
            f"axis {axes[0]!r} acts on the kernels of the network, but some of them are used in a "
            "computation that is not read, such as a custom derivative or a while loop: leave the "
            "axis out, or write the layers without it"
        )


def _check_distinct(members: Sequence[Member]) -> None:
    """Raise if two configurations have equal networks, initial parameters and numbers."""
    seen: dict[tuple, Config] = {}
    for member in members:
        trial = (member.init_fingerprint, tuple(member.hyperparameters.items()))
        other = seen.setdefault(trial, member.config)
        if other is not member.config:
            first = {name: record_value(value) for name, value in other.items()}
            second = {name: record_value(value) for name, value in member.config.items()}
            axes = [name for name in first if first[name] != second[name]]
            raise ValueError(
                f"axis {' and '.join(map(repr, axes))} changes nothing: build returns the same "
                "network with the same initial parameters for "
                f"{_pairs_text(first, axes)} and {_pairs_text(second, axes)}; "
                "use it in build, such as kernel_init=config['init']"
            )


def _pairs_text(config: Config, axes: Sequence[str]) -> str:
    return ", ".join(f"{name}={config[name]}" for name in axes)
