"""Which configurations share one training program, and which share one draw of parameters."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import jax
import numpy as np
import optax

from jinit.hooks import as_model
from jinit.model import Graph, Model
from jinit.sweep.space import Config, label
from jinit.sweep.tasks import Task, squared_error
from jinit.sweep.trial import Hyper, Trial

# Traced by the training program itself; the optimizer's own options come on top.
_PENALTIES = ("gain", "l1", "l2")
_RATES = ("lr", "learning_rate")
_PROBE = 256

Optimizer = optax.GradientTransformation | Callable[..., optax.GradientTransformation]


@dataclass(frozen=True, eq=False)
class Member:
    """One configuration: how its parameters are drawn, and its traced numbers."""

    config: Config
    model: Model
    init: Callable[[jax.Array], Any]
    """Draws the model's initial parameters from a key."""
    draw: str
    """Fingerprint of `init`: members with equal ones start from equal parameters."""
    hyper: dict[str, float]


@dataclass(frozen=True, eq=False)
class Group:
    """Configurations that share one training program."""

    trial: Trial
    members: tuple[Member, ...]


def traced_axes(names: Sequence[str], optimizer: Optimizer) -> tuple[str, ...]:
    """Axes whose values the training program takes as numbers.

    Raises:
      ValueError: the optimizer needs a learning rate and the space gives none, or the reverse.
    """
    options = _options(optimizer)
    rates = [name for name in names if name in _RATES]
    if options is None:
        if rates:
            raise ValueError(
                f"the space has an axis {rates[0]!r}, but the optimizer is built already and has "
                "its own learning rate: give the function instead, such as optimizer=optax.adam"
            )
        options = ()
    elif len(rates) != 1:
        raise ValueError(
            "the optimizer is a function of the learning rate, so the space needs exactly one "
            f"axis lr=[...], got {rates or 'none'}; or build it: optimizer=optax.adam(1e-3)"
        )
    return tuple(name for name in names if name in (*_PENALTIES, *_RATES, *options))


def build_optimizer(optimizer: Optimizer, hyper: Hyper) -> optax.GradientTransformation:
    """The optimizer of one lane, its options traced."""
    if not callable(optimizer):
        return optimizer
    options = {name: value for name, value in hyper.items() if name not in _PENALTIES}
    rate = next(options.pop(name) for name in _RATES if name in options)
    return optimizer(rate, **options)


def plan(
    configs: Sequence[Config],
    build: Callable[..., Any],
    task: Task,
    optimizer: Optimizer,
    traced: tuple[str, ...],
) -> tuple[Group, ...]:
    """Group configurations by the program that their networks trace to.

    Raises:
      ValueError: two configurations would run the very same trials: `build` ignores an axis.
    """
    probe = min(_PROBE, len(task.train[0]))
    inputs, targets = task.train
    example = jax.ShapeDtypeStruct((probe, *inputs.shape[1:]), inputs.dtype)
    built: dict[tuple, tuple[Model, Callable[[jax.Array], Any], str]] = {}
    members: dict[str, list[Member]] = {}
    for config in configs:
        static = {name: value for name, value in config.items() if name not in traced}
        hyper = {name: _number(name, config[name]) for name in config if name in traced}
        identity = tuple(map(label, static.values()))
        if identity not in built:
            model = as_model(_built(build, static), example)
            _check_outputs(model, task, example, targets[:probe])
            _check_kernels(model, traced)
            init = _drawer(model)
            draw = Graph.of(init, jax.random.key(0)).pruned().fingerprint
            built[identity] = model, init, draw
        model, init, draw = built[identity]
        key = f"{model.graph.fingerprint} {jax.tree.structure(model.params)}"
        members.setdefault(key, []).append(Member(config, model, init, draw, hyper))
    for group in members.values():
        _check_distinct(group)
    return tuple(
        Group(
            Trial(
                group[0].model,
                task.objective,
                task.classes,
                lambda hyper: build_optimizer(optimizer, hyper),
                probe,
            ),
            tuple(group),
        )
        for group in members.values()
    )


def _built(build: Callable[..., Any], config: Config) -> Any:
    given = _Given(config)
    if "rngs" in inspect.signature(build).parameters:
        return lambda rngs: build(given, rngs=rngs)
    return build(given)


class _Given(dict[str, Any]):
    """The config handed to build; says what it holds when it is asked for something else."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(
            f"build asked its config for {name!r}, which has {', '.join(map(repr, self))}; axes "
            "that are traced numbers (lr, gain, l1, l2, optimizer options) are not handed to build"
        )


def _drawer(model: Model) -> Callable[[jax.Array], Any]:
    if model.init is None:
        raise ValueError(
            "build returned a model that does not know how to draw its parameters: "
            "trace it with init=..., or return a pair (init, apply)"
        )
    return model.init


def _options(optimizer: Optimizer) -> tuple[str, ...] | None:
    """Names an optimizer function takes, or None for an optimizer that is built already."""
    if isinstance(optimizer, optax.GradientTransformation):
        return None
    if not callable(optimizer):
        raise TypeError(
            f"optimizer: expected an optax optimizer or a function of the learning rate that "
            f"returns one, got {type(optimizer).__name__}"
        )
    return tuple(inspect.signature(optimizer).parameters)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(
            f"axis {name!r}: expected finite numbers, which the training program takes in as "
            f"traced values, got {value!r}"
        )
    return float(value)


def _check_outputs(model: Model, task: Task, example: Any, targets: np.ndarray) -> None:
    outputs = jax.eval_shape(model.apply, model.params, example)
    expected = (example.shape[0], task.outputs)
    shape = getattr(outputs, "shape", None)
    if task.classes and shape != expected:
        raise ValueError(
            f"task {task.name!r} has {task.classes} classes, so the network must map inputs of "
            f"shape {example.shape} to logits of shape {expected}; it returns "
            f"{jax.tree.map(lambda leaf: leaf.shape, outputs)}"
        )
    if task.objective is squared_error and (shape is None or math.prod(shape) != targets.size):
        raise ValueError(
            f"task {task.name!r} has targets of shape {targets.shape}, so the network must return "
            f"as many numbers; it returns {jax.tree.map(lambda leaf: leaf.shape, outputs)}"
        )
    loss = jax.eval_shape(task.objective, outputs, targets)
    if loss.shape != example.shape[:1]:
        raise ValueError(
            f"task {task.name!r}: the loss must return one number per example, shape "
            f"{example.shape[:1]}, got shape {loss.shape}"
        )


def _check_kernels(model: Model, traced: tuple[str, ...]) -> None:
    """gain, l1 and l2 act on the kernels found in the graph, so these must be all there are."""
    axes = [name for name in _PENALTIES if name in traced]
    if axes and (model.graph.unread or not model.contractions):
        raise ValueError(
            f"axis {axes[0]!r} acts on the kernels of the network, but some of them are used "
            "inside a loop (such as nn.scan) or a custom derivative, where they cannot be told; "
            "leave the axis out, or write the layers one after the other"
        )


def _check_distinct(group: Sequence[Member]) -> None:
    seen: dict[tuple, Config] = {}
    for member in group:
        identity = (member.draw, tuple(member.hyper.items()))
        other = seen.setdefault(identity, member.config)
        if other is not member.config:
            axes = [name for name in other if label(other[name]) != label(member.config[name])]
            raise ValueError(
                f"axis {' and '.join(map(repr, axes))} changes nothing: build makes the same "
                f"network with the same initial parameters for "
                f"{', '.join(f'{name}={label(other[name])}' for name in axes)} and "
                f"{', '.join(f'{name}={label(member.config[name])}' for name in axes)}; "
                "use it in build, such as kernel_init=config['init']"
            )
