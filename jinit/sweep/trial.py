"""One lane: train a network from given parameters with given hyper-parameters; pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.diagnostics import Signal, signal
from jinit.model import Model
from jinit.sweep.tasks import Loss

Hyper = Mapping[str, Array]


class State(NamedTuple):
    """What a lane carries from step to step."""

    params: Any
    optimizer: Any
    step: Array
    diverged_at: Array
    """First step whose loss was not finite; -1 while there is none."""


class Data(NamedTuple):
    """Arrays that every lane reads."""

    inputs: Array
    targets: Array
    validation_inputs: Array
    validation_targets: Array


class Scores(NamedTuple):
    """What is recorded of a lane at one moment."""

    train_loss: Array
    validation_loss: Array
    validation_accuracy: Array
    diverged_at: Array


@dataclass(frozen=True, eq=False)
class Trial:
    """The pure functions of one lane, for one architecture."""

    model: Model
    loss: Loss
    classes: int | None
    optimizer: Callable[[Hyper], optax.GradientTransformation]
    probe: int
    """Number of training examples on which the starting point is measured."""

    def begin(self, params: Any, hyper: Hyper, data: Data) -> tuple[State, Scores, Signal]:
        """The state before the first step, its scores, and the signal at the start."""
        if "gain" in hyper:
            params = self._scaled(params, hyper["gain"])
        batch, targets = data.inputs[: self.probe], data.targets[: self.probe]
        train_loss, found = signal(
            self.model, params, [batch], lambda outputs: self.loss(outputs, targets).mean()
        )
        optimizer = self.optimizer(hyper).init(params)
        state = State(params, optimizer, jnp.zeros((), jnp.int32), jnp.full((), -1, jnp.int32))
        scores = self._scores(state, train_loss, data)
        return state._replace(diverged_at=scores.diverged_at), scores, found

    def advance(
        self, state: State, hyper: Hyper, batches: Array, data: Data
    ) -> tuple[State, Scores]:
        """Train on the examples `batches[step, :]` one step after the other, then score."""
        optimizer = self.optimizer(hyper)

        def step(state: State, examples: Array) -> tuple[State, Array]:
            inputs, targets = data.inputs[examples], data.targets[examples]
            objective, gradients = jax.value_and_grad(self._objective, has_aux=True)(
                state.params, hyper, inputs, targets
            )
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
            params = optax.apply_updates(state.params, updates)
            return self._next(state, params, optimizer_state, objective[1]), objective[1]

        state, losses = jax.lax.scan(step, state, batches)
        scores = self._scores(state, losses.mean(), data)
        return state._replace(diverged_at=scores.diverged_at), scores

    def _objective(
        self, params: Any, hyper: Hyper, inputs: Array, targets: Array
    ) -> tuple[Array, Array]:
        loss = self.loss(self.model.apply(params, inputs), targets).mean()
        return loss + self._penalty(params, hyper), loss

    def _penalty(self, params: Any, hyper: Hyper) -> Array | float:
        penalty = 0.0
        kernels = self._kernels(params)
        if "l1" in hyper:
            penalty += hyper["l1"] * sum(jnp.abs(kernel).sum() for kernel in kernels)
        if "l2" in hyper:
            penalty += hyper["l2"] * sum(jnp.square(kernel).sum() for kernel in kernels)
        return penalty

    def _kernels(self, params: Any) -> list[Array]:
        leaves = jax.tree.leaves(params)
        return [leaves[index] for index in self._kernel_indices]

    def _scaled(self, params: Any, gain: Array) -> Any:
        leaves, structure = jax.tree.flatten(params)
        for index in self._kernel_indices:
            leaves[index] = leaves[index] * gain.astype(leaves[index].dtype)
        return jax.tree.unflatten(structure, leaves)

    @property
    def _kernel_indices(self) -> list[int]:
        return sorted({layer.kernel for layer in self.model.contractions})

    def _next(self, state: State, params: Any, optimizer: Any, loss: Array) -> State:
        lost = (state.diverged_at < 0) & ~jnp.isfinite(loss)
        diverged_at = jnp.where(lost, state.step, state.diverged_at)
        return State(params, optimizer, state.step + 1, diverged_at)

    def _scores(self, state: State, train_loss: Array, data: Data) -> Scores:
        outputs = self.model.apply(state.params, data.validation_inputs)
        loss = self.loss(outputs, data.validation_targets).mean()
        accuracy = jnp.full((), jnp.nan)
        if self.classes:
            hits = outputs.argmax(-1) == data.validation_targets
            accuracy = jnp.where(jnp.isfinite(loss), hits.mean(), jnp.nan)
        lost = (state.diverged_at < 0) & ~jnp.isfinite(loss)
        return Scores(train_loss, loss, accuracy, jnp.where(lost, state.step, state.diverged_at))
