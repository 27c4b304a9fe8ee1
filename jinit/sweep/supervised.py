"""The trial of a supervised task: a network, a loss and an optimizer."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jinit.model import PyTree
from jinit.record import LAYER_COLUMNS
from jinit.sweep.data_methods import apply_methods, base_initializers
from jinit.sweep.mean import Mean
from jinit.sweep.network import Network, build_network, check_kernels
from jinit.sweep.optimizers import OptimizerLike, TrainingAxes, build_optimizer
from jinit.sweep.penalties import penalty, scale_kernels
from jinit.sweep.recent import Recent
from jinit.sweep.rules_axis import RULES_AXIS, draw_by_rules
from jinit.sweep.sigma_axes import draw_sigmas
from jinit.sweep.space import record_value
from jinit.sweep.start_diagnosis import StartDiagnosis, measure_layers
from jinit.sweep.task import Task
from jinit.sweep.trial import Hyper, Metrics, Start, Trial


class TrainState(NamedTuple):
    """State of a supervised trial."""

    params: PyTree
    """Variables of the network, with its state such as BatchNorm's statistics."""
    optimizer_state: PyTree


def supervised_trial(
    task: Task,
    build: Callable[..., Any],
    optimizer: OptimizerLike,
    axes: TrainingAxes,
    names: Sequence[str],
    *,
    measure_start: bool = True,
) -> Trial:
    """Return the trial that trains networks on a supervised task.

    The loss of a batch is the weighted mean of the task's loss, plus `l1` times the sum of the
    absolute values and `l2` times the sum of the squares of all kernels, where these are axes.

    Args:
      task: the data and the loss.
      build: function of a configuration that returns a network.
      optimizer: a built optimizer, or a function of the learning rate, for all configurations
        without one of their own.
      axes: the axes of training; `build` gets the others.
      names: names of all axes.
      measure_start: whether the trial can be diagnosed before its first step, and measured later.

    Returns:
      The trial.
    """
    supervised = _Supervised(task, build, optimizer, axes, {}, Recent())
    return Trial(
        init=supervised.init,
        step=supervised.step,
        evaluate=supervised.evaluate,
        measure=supervised.measure if measure_start else None,
        diagnose=supervised.diagnose if measure_start else None,
        program=supervised.program,
        params=lambda state: state.params,
        compiled=tuple(name for name in names if name not in axes.traced),
    )


@dataclass(frozen=True, eq=False)
class _Supervised:
    """The functions of a supervised trial, and the networks that were built for them."""

    task: Task
    build: Callable[..., Any]
    optimizer: OptimizerLike
    axes: TrainingAxes
    networks: dict[tuple, Network]
    diagnoses: Recent[StartDiagnosis]

    def init(self, key: Array, hyper: Hyper) -> TrainState:
        """Draw the variables, and set up the optimizer."""
        network = self.network(hyper)
        drawn = draw_by_rules(network, key, hyper.get(RULES_AXIS, "own"))
        drawn = draw_sigmas(network, drawn, key, hyper)
        drawn = apply_methods(network, self.task, drawn, key, hyper)
        params = scale_kernels(network, drawn, hyper)
        optimizer = self._build_optimizer(hyper)
        return TrainState(params, optimizer.init(network.trained(params)))

    def step(
        self, state: TrainState, hyper: Hyper, batch: PyTree, key: Array
    ) -> tuple[TrainState, Metrics]:
        """Take one step of the optimizer on a batch `(inputs, targets[, weights])`."""
        network, optimizer = self.network(hyper), self._build_optimizer(hyper)
        call_key, augment_key = key, jax.random.fold_in(key, 1)
        if self.task.augment is not None:
            batch = self.task.augment(augment_key, batch)

        def objective(trained: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
            params = network.merge(trained, state.params)
            outputs, updated = network.train(params, call_key, batch[0])
            loss = self._mean(self._training_loss(hyper), outputs, batch).value
            return loss + penalty(network, trained, hyper), (loss, updated)

        trained = network.trained(state.params)
        (value, (loss, updated)), gradients = jax.value_and_grad(objective, has_aux=True)(trained)
        updates, optimizer_state = optimizer.update(
            gradients,
            state.optimizer_state,
            trained,
            value=value,
            grad=gradients,
            value_fn=lambda trained: objective(trained)[0],
        )
        params = network.merge(optax.apply_updates(trained, updates), updated)
        return TrainState(params, optimizer_state), {"loss": loss}

    def evaluate(self, state: TrainState, hyper: Hyper, batch: PyTree) -> Metrics:
        """Return loss, accuracy of classes, and the metrics of the task."""
        outputs = self.network(hyper).evaluate(state.params, batch[0])
        losses = self.task.objective(outputs, batch[1])
        means = {"loss": self._mean(self.task.objective, outputs, batch)}
        if _has_classes(outputs, batch[1]):
            hits = outputs.argmax(-1) == batch[1]
            aligned = jnp.reshape(losses, losses.shape + (1,) * (hits.ndim - losses.ndim))
            values = jnp.where(jnp.isfinite(aligned), hits.astype(jnp.float32), jnp.nan)
            means["accuracy"] = Mean.of(values, *batch[2:])
        return means | {
            name: self._mean(metric, outputs, batch) for name, metric in self.task.metrics.items()
        }

    def measure(self, state: TrainState, hyper: Hyper, batch: PyTree) -> dict[str, Array]:
        """Return the statistics of layers that a diagnosis records."""
        network = self.network(hyper)
        _, signal = measure_layers(network.model, self.task.objective, state.params, batch)
        return {name: getattr(signal, name) for name in LAYER_COLUMNS}

    def diagnose(self, state: TrainState, hyper: Hyper) -> Callable[[], Start]:
        """Begin to judge the network before its first step, as `jinit.diagnose` does."""
        network = self.network(hyper)
        diagnosis = self.diagnoses.find(
            network.fingerprint, lambda: StartDiagnosis(network, self.task)
        )
        return diagnosis.begin(state.params)

    def program(self, hyper: Hyper) -> str:
        """Name the computation: that of the network, and the compiled axes of training."""
        network = self.network(hyper)
        names = [name for name in self.axes.compiled if name in hyper and name != RULES_AXIS]
        training = [record_value(hyper[name]) for name in names]
        return f"{network.fingerprint} {jax.tree.structure(network.model.params)} {training}"

    def network(self, hyper: Hyper) -> Network:
        """Return the network of a configuration; it does not depend on the axes of training."""
        training = (*self.axes.traced, *self.axes.compiled)
        passed = base_initializers({n: v for n, v in hyper.items() if n not in training})
        label = tuple((name, record_value(value)) for name, value in passed.items())
        if label not in self.networks:
            network = build_network(self.build, passed, self.task, self.axes)
            check_kernels(network.model, self.axes.traced)
            self.networks[label] = network
        return self.networks[label]

    def _build_optimizer(self, hyper: Hyper) -> optax.GradientTransformationExtraArgs:
        options = {name: value for name, value in hyper.items() if name in self.axes.options}
        built = build_optimizer(hyper.get("optimizer", self.optimizer), options)
        return optax.with_extra_args_support(built)

    def _training_loss(self, hyper: Hyper) -> Callable[..., Array]:
        options = {name: hyper[name] for name in self.axes.loss_options if name in hyper}
        return lambda outputs, targets: self.task.objective(outputs, targets, **options)

    def _mean(self, function: Callable[..., Array], outputs: PyTree, batch: PyTree) -> Mean:
        """Return the weighted mean of a function of outputs and targets."""
        return Mean.of(function(outputs, batch[1]), *batch[2:])


def loss_options(task: Task, names: Sequence[str]) -> tuple[str, ...]:
    """Return the axes that are parameters of the task's loss, besides outputs and targets.

    Args:
      task: the task.
      names: names of all axes.

    >>> from jinit.sweep.tasks import digits
    >>> loss_options(digits(), ("lr", "label_smoothing"))
    ('label_smoothing',)
    """
    try:
        parameters = tuple(inspect.signature(task.objective).parameters)[2:]
    except (TypeError, ValueError):  # a function of C has no signature
        return ()
    return tuple(name for name in names if name in parameters)


def _has_classes(outputs: Any, targets: Any) -> bool:
    """Return whether outputs are logits of integer targets."""
    if not hasattr(targets, "dtype") or not jnp.issubdtype(targets.dtype, jnp.integer):
        return False
    shape = getattr(outputs, "shape", ())
    return shape[:-1] == targets.shape and bool(shape) and shape[-1] > 1
