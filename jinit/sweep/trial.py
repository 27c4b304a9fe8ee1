"""The pure functions of one lane: train a network with given hyperparameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.diagnostics import Signal, signal
from jinit.model import Model
from jinit.model.params import PyTree
from jinit.sweep.tasks import ExampleLoss

Hyperparameters = Mapping[str, Array]
"""Traced numbers by the name of their axis."""


class TrialState(NamedTuple):
    """State of a lane between two steps."""

    params: PyTree
    optimizer_state: PyTree
    step: Array
    diverged_at: Array
    """First step whose loss was not finite; -1 if there is none."""


class TaskData(NamedTuple):
    """The arrays of a task, shared by all lanes."""

    inputs: Array
    targets: Array
    validation_inputs: Array
    validation_targets: Array


class Scores(NamedTuple):
    """Scores of a lane at one recording."""

    train_loss: Array
    validation_loss: Array
    validation_accuracy: Array
    diverged_at: Array


@dataclass(frozen=True, eq=False)
class Trial:
    """The pure functions of one lane, for one architecture."""

    model: Model
    loss: ExampleLoss
    classes: int | None
    optimizer: Callable[[Hyperparameters], optax.GradientTransformation]
    probe_examples: int
    """Number of training examples on which the network is measured at step 0."""

    def begin(
        self, params: PyTree, hyperparameters: Hyperparameters, data: TaskData
    ) -> tuple[TrialState, Scores, Signal]:
        """Return the state before the first step, its scores, and its signal.

        Args:
          params: initial parameters.
          hyperparameters: traced numbers.
          data: the arrays of the task.

        Returns:
          State, scores and signal.
        """
        if "gain" in hyperparameters:
            params = self._scale_kernels(params, hyperparameters["gain"])
        batch, targets = data.inputs[: self.probe_examples], data.targets[: self.probe_examples]
        train_loss, measured = signal(
            self.model, params, batch, loss=lambda outputs: self.loss(outputs, targets).mean()
        )
        optimizer_state = self.optimizer(hyperparameters).init(params)
        state = TrialState(
            params=params,
            optimizer_state=optimizer_state,
            step=jnp.zeros((), jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
        )
        scores = self._scores(state, train_loss, data)
        return state._replace(diverged_at=scores.diverged_at), scores, measured

    def advance(
        self, state: TrialState, hyperparameters: Hyperparameters, batches: Array, data: TaskData
    ) -> tuple[TrialState, Scores]:
        """Train for some steps, then score.

        Args:
          state: the state before the first of these steps.
          hyperparameters: traced numbers.
          batches: indices of training examples `[steps, batch_size]`.
          data: the arrays of the task.

        Returns:
          State and scores after the last step.
        """
        optimizer = self.optimizer(hyperparameters)

        def step(state: TrialState, examples: Array) -> tuple[TrialState, Array]:
            inputs, targets = data.inputs[examples], data.targets[examples]
            (_, loss), gradients = jax.value_and_grad(self._objective, has_aux=True)(
                state.params, hyperparameters, inputs, targets
            )
            updates, optimizer_state = optimizer.update(
                gradients, state.optimizer_state, state.params
            )
            params = optax.apply_updates(state.params, updates)
            return self._next_state(state, params, optimizer_state, loss), loss

        state, losses = jax.lax.scan(step, state, batches)
        scores = self._scores(state, losses.mean(), data)
        return state._replace(diverged_at=scores.diverged_at), scores

    def _objective(
        self, params: PyTree, hyperparameters: Hyperparameters, inputs: Array, targets: Array
    ) -> tuple[Array, Array]:
        loss = self.loss(self.model.apply(params, inputs), targets).mean()
        return loss + self._penalty(params, hyperparameters), loss

    def _penalty(self, params: PyTree, hyperparameters: Hyperparameters) -> Array | float:
        penalty = 0.0
        kernels = self._kernels(params)
        if "l1" in hyperparameters:
            penalty += hyperparameters["l1"] * sum(jnp.abs(kernel).sum() for kernel in kernels)
        if "l2" in hyperparameters:
            penalty += hyperparameters["l2"] * sum(jnp.square(kernel).sum() for kernel in kernels)
        return penalty

    def _kernels(self, params: PyTree) -> list[Array]:
        leaves = jax.tree.leaves(params)
        return [leaves[index] for index in self._kernel_indices]

    def _scale_kernels(self, params: PyTree, gain: Array) -> PyTree:
        leaves, structure = jax.tree.flatten(params)
        for index in self._kernel_indices:
            leaves[index] = leaves[index] * gain.astype(leaves[index].dtype)
        return jax.tree.unflatten(structure, leaves)

    @property
    def _kernel_indices(self) -> list[int]:
        return sorted({layer.kernel for layer in self.model.contractions})

    def _next_state(
        self, state: TrialState, params: PyTree, optimizer_state: PyTree, loss: Array
    ) -> TrialState:
        has_diverged = (state.diverged_at < 0) & ~jnp.isfinite(loss)
        diverged_at = jnp.where(has_diverged, state.step, state.diverged_at)
        return TrialState(params, optimizer_state, state.step + 1, diverged_at)

    def _scores(self, state: TrialState, train_loss: Array, data: TaskData) -> Scores:
        outputs = self.model.apply(state.params, data.validation_inputs)
        loss = self.loss(outputs, data.validation_targets).mean()
        accuracy = jnp.full((), jnp.nan)
        if self.classes:
            hits = outputs.argmax(-1) == data.validation_targets
            accuracy = jnp.where(jnp.isfinite(loss), hits.mean(), jnp.nan)
        has_diverged = (state.diverged_at < 0) & ~jnp.isfinite(loss)
        return Scores(
            train_loss, loss, accuracy, jnp.where(has_diverged, state.step, state.diverged_at)
        )
