"""The computation of one lane: some steps of a trial, and its scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import PyTree, fast_convolutions
from jinit.sweep.mean import Mean, as_mean, mean_values
from jinit.sweep.trial import Metrics, Trial

_STEP_KEYS = 0x73746570
"""Folded into the key of a seed, so that no step draws the random bits of the initialization."""


class LaneState(NamedTuple):
    """State of a lane between two steps."""

    state: PyTree
    """State of the trial."""
    step: Array
    diverged_at: Array
    """First step with a metric that is not finite; -1 if there is none."""
    is_active: Array
    """Whether the lane is trained; used only if lanes can stop early."""


class TrainingCall(NamedTuple):
    """The steps and recordings of one call of a training program."""

    steps: int
    """Steps before each recording."""
    recordings: int
    """How often lanes are scored and recorded, each time after `steps`; 0 for not at all."""

    @property
    def all_steps(self) -> int:
        """Steps of the call."""
        return self.steps * max(self.recordings, 1)


class Recorded(NamedTuple):
    """Metrics of lanes after some steps, as they are recorded."""

    train: Metrics
    """Means of the metrics of the steps."""
    validation: Metrics
    diverged_at: Array
    """A copy: the state is donated to the next call."""


def first_lane_states(state: PyTree, lanes: int) -> LaneState:
    """Return the states of lanes before their first step.

    Args:
      state: states of the trial, with a leading axis of lanes.
      lanes: number of lanes.
    """
    others: Any = np.zeros(lanes, np.int32), np.full(lanes, -1, np.int32), np.ones(lanes, bool)
    return LaneState(state, *others)


def step_key(seed: int | Array, step: int | Array) -> Array:
    """Return the key that a trial gets in one step, equal for all configurations.

    It is fold_in(fold_in(key(seed), 0x73746570), step).

    Args:
      seed: the seed of the lane, or `data_seed` of the sweep if it is given.
      step: the step, counted from 0.

    >>> bool(step_key(0, 1) == step_key(0, 2))
    False
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _STEP_KEYS), step)


@dataclass(frozen=True, eq=False)
class LaneProgram:
    """The functions of one lane, for one value of every compiled axis.

    Args:
      trial: the trial.
      compiled: values of the axes that are not traced.
      can_stop: whether lanes can stop early, and then keep their state.
    """

    trial: Trial
    compiled: Mapping[str, Any]
    can_stop: bool = False

    def record(
        self,
        lane: LaneState,
        numbers: Mapping[str, Array],
        seed: Array,
        indices: Array | None,
        call: TrainingCall,
        train: PyTree,
        stream: PyTree,
        validation: PyTree,
        batch_size: int,
    ) -> tuple[LaneState, Recorded]:
        """Train and score by turns.

        Training and scoring are one program: XLA on CPU waits long between two that are queued.

        Args:
          lane: the state before the first step.
          numbers: the traced numbers.
          seed: seed of the keys of the steps.
          indices: indices of training examples `[all steps, batch_size]`; None for a stream.
          call: the steps, and how often the lane is scored.
          train: training data with examples along axis 0.
          stream: batches of a stream, stacked along axis 0; None for none.
          validation: data to score on; None for none.
          batch_size: most examples that are scored at once.

        Returns:
          The state after the last step, and what is recorded of it, with a leading axis if the lane
          is scored more than once.
        """

        def train_and_score(lane: LaneState, given: tuple[Any, Any]) -> tuple[LaneState, Recorded]:
            lane, metrics = self.advance(lane, numbers, seed, *given, call.steps, train)
            return self.score(lane, numbers, metrics, validation, batch_size)

        given = indices, stream
        if call.recordings <= 1:
            return train_and_score(lane, given)
        by_recording = jax.tree.map(
            lambda leaf: leaf.reshape(call.recordings, call.steps, *leaf.shape[1:]), given
        )
        return jax.lax.scan(train_and_score, lane, by_recording, length=call.recordings)

    def advance(
        self,
        lane: LaneState,
        numbers: Mapping[str, Array],
        seed: Array,
        indices: Array | None,
        stream: PyTree,
        steps: int,
        train: PyTree,
    ) -> tuple[LaneState, Metrics]:
        """Train for some steps.

        Args:
          lane: the state before the first of these steps.
          numbers: the traced numbers.
          seed: seed of the keys of the steps.
          indices: indices of training examples `[steps, batch_size]`; None for a stream.
          stream: batches of a stream, stacked along axis 0; None for none.
          steps: number of steps.
          train: training data with examples along axis 0.

        Returns:
          The state after the last step, and the mean over the steps of every metric.
        """

        def step(lane: LaneState, given: tuple[Any, Any]) -> tuple[LaneState, Metrics]:
            return self.step(lane, numbers, seed, *given, train)

        given = indices, stream
        after, metrics = jax.lax.scan(fast_convolutions(step), lane, given, length=steps)
        if self.can_stop:
            after = keep_stopped(lane, after)
        return after, {name: jnp.mean(values, axis=0) for name, values in metrics.items()}

    def score(
        self,
        lane: LaneState,
        numbers: Mapping[str, Array],
        metrics: Metrics,
        validation: PyTree,
        batch_size: int,
    ) -> tuple[LaneState, Recorded]:
        """Score a lane on validation data, if there is any.

        Args:
          lane: the lane.
          numbers: the traced numbers.
          metrics: metrics of the steps before.
          validation: data to score on; None for none.
          batch_size: most examples that are scored at once.

        Returns:
          The lane with the step of its first divergence, and what is recorded of it.
        """
        scores: Metrics = {}
        if validation is not None and self.trial.evaluate is not None:
            diverged_at, scores = self.evaluate(lane, numbers, validation, batch_size)
            lane = lane._replace(diverged_at=diverged_at)
        return lane, Recorded(dict(metrics), dict(scores), lane.diverged_at)

    def step(
        self,
        lane: LaneState,
        numbers: Mapping[str, Array],
        seed: Array,
        examples: Array | None,
        batch: PyTree,
        train: PyTree,
    ) -> tuple[LaneState, Metrics]:
        """Train for one step.

        Args:
          lane: the state before it.
          numbers: the traced numbers.
          seed: seed of the keys of the steps.
          examples: indices of training examples `[batch_size]`; None for a stream.
          batch: the batch of a stream; None for none.
          train: training data with examples along axis 0.

        Returns:
          The state after it, and its metrics.
        """
        if examples is not None:
            batch = jax.tree.map(lambda leaf: leaf[examples], train)
        key = step_key(seed, lane.step)
        state, metrics = self.trial.run_step(lane.state, self._hyper(numbers), batch, key)
        diverged_at = first_divergence(lane, metrics)
        return LaneState(state, lane.step + 1, diverged_at, lane.is_active), metrics

    def evaluate(
        self, lane: LaneState, numbers: Mapping[str, Array], data: PyTree, batch_size: int
    ) -> tuple[Array, Metrics]:
        """Score a lane on data, in batches.

        Args:
          lane: the lane.
          numbers: the traced numbers.
          data: tree of arrays with examples along axis 0.
          batch_size: most examples that are evaluated at once.

        Returns:
          The step of the first divergence, and the metrics over all examples.
        """
        examples = jax.tree.leaves(data)[0].shape[0]
        size = min(batch_size, examples)
        full = examples // size

        def score(batch: PyTree) -> dict[str, Mean]:
            count = jax.tree.leaves(batch)[0].shape[0]
            evaluate = self.trial.evaluate or (lambda *_: {})
            metrics = evaluate(lane.state, self._hyper(numbers), batch)
            return {name: as_mean(metric, count) for name, metric in metrics.items()}

        score = fast_convolutions(score)
        parts = []
        if full > 1:
            batches = jax.tree.map(
                lambda leaf: leaf[: full * size].reshape(full, size, *leaf.shape[1:]), data
            )
            means = jax.lax.map(score, batches)
            parts += [jax.tree.map(lambda leaf, i=i: leaf[i], means) for i in range(full)]
        elif full:
            parts.append(score(jax.tree.map(lambda leaf: leaf[:size], data)))
        if examples % size:
            parts.append(score(jax.tree.map(lambda leaf: leaf[full * size :], data)))
        total = parts[0]
        for part in parts[1:]:
            total = {name: mean.merge(part[name]) for name, mean in total.items()}
        values = {name: mean.value for name, mean in total.items()}
        return first_divergence(lane, values), mean_values(total)

    def measure(
        self, lane: LaneState, numbers: Mapping[str, Array], batch: PyTree
    ) -> dict[str, Array]:
        """Measure the layers of a lane.

        Args:
          lane: the lane.
          numbers: the traced numbers.
          batch: the examples to measure on; None without data.

        Returns:
          Numbers `[layers]` by statistic.
        """

        def measure(lane: LaneState, batch: PyTree) -> dict[str, Array]:
            trial_measure = self.trial.measure or (lambda *_: {})
            measured = trial_measure(lane.state, self._hyper(numbers), batch)
            return {name: jnp.ravel(values) for name, values in measured.items()}

        return fast_convolutions(measure)(lane, batch)

    def _hyper(self, numbers: Mapping[str, Array]) -> dict[str, Any]:
        return {**self.compiled, **numbers}


def keep_stopped(before: LaneState, after: LaneState) -> LaneState:
    """Return the state after some steps, or the one before them if the lane has stopped.

    Args:
      before: the state before them.
      after: the state after them.
    """
    return jax.tree.map(partial(jnp.where, before.is_active), after, before)


def first_divergence(lane: LaneState, metrics: Metrics) -> Array:
    """Return the step at which a lane diverged, given the metrics of its present step.

    Args:
      lane: the state before this step.
      metrics: the metrics; `loss` counts, or if there is none, all of them.
    """
    counted = [metrics["loss"]] if "loss" in metrics else list(metrics.values())
    finite = [jnp.isfinite(value).all() for value in counted]
    is_finite = jnp.stack(finite).all() if finite else jnp.array(True)
    return jnp.where((lane.diverged_at < 0) & ~is_finite, lane.step, lane.diverged_at)
