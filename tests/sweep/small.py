"""A small classification task, small networks for it, and short sweeps."""

from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

import jinit
from jinit.sweep.groups import Group, group_configs
from jinit.sweep.optimizers import training_axes
from jinit.sweep.supervised import loss_options, supervised_trial

FEATURES, CLASSES, WIDTH = 6, 3, 8


def task(**options: Any) -> jinit.Task:
    """Three noisy clusters in six dimensions: 90 examples to train on, 30 to validate on."""
    rng = np.random.default_rng(5)
    targets = rng.integers(0, CLASSES, 120)
    inputs = rng.normal(size=(120, FEATURES)) + 1.5 * np.eye(FEATURES)[targets]
    train, validation = ((inputs[part], targets[part]) for part in (slice(90), slice(90, None)))
    return jinit.Task("clusters", train, validation, **{"batch_size": 16} | options)


def pair(config: dict) -> Any:
    """Return an MLP of depth 2 as a pair."""
    return jinit.sweep.mlp(FEATURES, CLASSES, **{"depth": 2, "width": WIDTH} | config)


def shallow(config: dict) -> Any:
    """Return the smallest MLP, which compiles fastest."""
    return jinit.sweep.mlp(FEATURES, CLASSES, **{"depth": 1, "width": 4} | config)


def linear(config: dict) -> Any:
    """Return a linear classifier as a pair."""

    def init(key):
        return {"w": config["init"](key, (FEATURES, CLASSES)), "b": jnp.zeros(CLASSES)}

    return init, lambda params, x: x @ params["w"] + params["b"][None]


class Linen(nn.Module):
    """The MLP of `pair` in Linen."""

    kernel_init: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.relu(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)


class Nnx(nnx.Module):
    """The MLP of `pair` in NNX."""

    def __init__(self, init: Any, rngs: nnx.Rngs) -> None:
        self.a = nnx.Linear(FEATURES, WIDTH, kernel_init=init, rngs=rngs)
        self.b = nnx.Linear(WIDTH, WIDTH, kernel_init=init, rngs=rngs)
        self.c = nnx.Linear(WIDTH, CLASSES, kernel_init=init, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.c(nnx.relu(self.b(nnx.relu(self.a(x)))))


def build_linen(config: dict) -> nn.Module:
    """`build` for Linen."""
    return Linen(config["init"])


def build_nnx(config: dict, rngs: nnx.Rngs) -> nnx.Module:
    """`build` for NNX."""
    return Nnx(config["init"], rngs)


def sweep(build: Any = pair, *, on: jinit.Task | None = None, **options: Any) -> jinit.Sweep:
    """Return a sweep of 20 steps, from options of Sweep and axes."""
    names = (
        "optimizer", "seeds", "steps", "record_every", "steps_per_call", "lanes", "executor",
        "data_seed", "bootstrap", "measure_at", "checkpoint_minutes",
        "metric", "maximize", "patience", "measure_start", "save",
    )  # fmt: skip
    given = {
        name: options.pop(name)
        for name in names
        if name in options and not (name == "optimizer" and isinstance(options[name], list))
    }
    settings = {"seeds": 2, "steps": 20} | given
    return jinit.Sweep(on or task(), build, jinit.grid(**options), **settings)


def groups(
    build: Any = shallow, on: jinit.Task | None = None, optimizer: Any = optax.adam, **axes: Any
) -> tuple[Group, ...]:
    """Return the groups of the configurations of a grid."""
    space, data = jinit.grid(**axes), on or task()
    training = training_axes(space, optimizer, loss_options(data, space.names))
    trial = supervised_trial(data, build, optimizer, training, space.names)
    return group_configs(space, trial, data)


@contextmanager
def record_programs():
    """Collect everything that is compiled ahead of time inside the block."""
    compiled = []
    original = jax.stages.Lowered.compile

    def recording(lowered, *arguments, **options):
        compiled.append(original(lowered, *arguments, **options))
        return compiled[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", recording)
        yield compiled
