"""The pure functions of one lane: train a network with given hyperparameters."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.diagnostics import Measurements, Signal, keep_compact, layer_signals, measure
from jinit.model import Model
from jinit.model.params import PyTree
from jinit.sweep.convolutions import canonical_convolutions
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
    validation_loss_error: Array
    """Standard error of the validation loss over the validation examples."""
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
    ) -> tuple[TrialState, Scores]:
        """Return the state before the first step, and its scores.

        Args:
          params: initial parameters.
          hyperparameters: traced numbers.
          data: the arrays of the task.

        Returns:
          State and scores.
        """
        params = self.scale_kernels(params, hyperparameters)
        optimizer_state = self.optimizer(hyperparameters).init(params)
        state = TrialState(
            params=params,
            optimizer_state=optimizer_state,
            step=jnp.zeros((), jnp.int32),
            diverged_at=jnp.full((), -1, jnp.int32),
        )
        probe = data.inputs[: self.probe_examples], data.targets[: self.probe_examples]
        loss = self.mean_loss(self.model.apply(params, probe[0]), probe[1])
        scores = self._scores(state, loss, data)
        return state._replace(diverged_at=scores.diverged_at), scores

    def measure(self, params: PyTree, inputs: Array, targets: Array) -> tuple[Measurements, Signal]:
        """Return all that the verdict on initial parameters depends on, and what is recorded.

        Args:
          params: initial parameters, scaled.
          inputs: the first training examples.
          targets: their targets.
        """
        measured = keep_compact(
            measure(self.model, params, [inputs], lambda outputs: self.mean_loss(outputs, targets))
        )
        return measured, layer_signals(self.model, measured)

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

        fast_step = canonical_convolutions(step) if jax.default_backend() == "cpu" else step
        state, losses = jax.lax.scan(fast_step, state, batches)
        scores = self._scores(state, losses.mean(), data)
        return state._replace(diverged_at=scores.diverged_at), scores

    def mean_loss(self, outputs: PyTree, targets: Array) -> Array:
        """Return the mean loss over examples."""
        return self.loss(outputs, targets).mean()

    def _objective(
        self, params: PyTree, hyperparameters: Hyperparameters, inputs: Array, targets: Array
    ) -> tuple[Array, Array]:
        loss = self.mean_loss(self.model.apply(params, inputs), targets)
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

    def scale_kernels(self, params: PyTree, hyperparameters: Mapping[str, Any]) -> PyTree:
        """Return parameters whose kernels are multiplied by the gain, if it is an axis."""
        if "gain" not in hyperparameters:
            return params
        leaves, structure = jax.tree.flatten(params)
        for index in self._kernel_indices:
            gain = jnp.asarray(hyperparameters["gain"], leaves[index].dtype)
            leaves[index] = leaves[index] * gain
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
        losses = self.loss(outputs, data.validation_targets)
        loss = losses.mean()
        accuracy = jnp.full((), jnp.nan)
        if self.classes:
            hits = outputs.argmax(-1) == data.validation_targets
            accuracy = jnp.where(jnp.isfinite(loss), hits.mean(), jnp.nan)
        has_diverged = (state.diverged_at < 0) & ~jnp.isfinite(loss)
        return Scores(
            train_loss=train_loss,
            validation_loss=loss,
            validation_accuracy=accuracy,
            validation_loss_error=losses.std() / math.sqrt(losses.shape[0]),
            diverged_at=jnp.where(has_diverged, state.step, state.diverged_at),
        )
