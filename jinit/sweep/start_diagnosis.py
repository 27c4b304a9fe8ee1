"""Measurement of the layers of a network, and its diagnosis before the first step."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from jinit.diagnostics import (
    Measurements,
    RecordedJudge,
    Signal,
    keep_compact,
    layer_signals,
    measure,
)
from jinit.model import Model, PyTree
from jinit.record import LAYER_COLUMNS
from jinit.sweep.losses import ExampleLoss, cross_entropy, squared_error
from jinit.sweep.mean import Mean
from jinit.sweep.network import PROBE_EXAMPLES, Network, call_arguments
from jinit.sweep.task import Task
from jinit.sweep.trial import Start

_LOSS_NAMES: dict[ExampleLoss, str] = {
    cross_entropy: "cross-entropy",
    squared_error: "mean squared error",
}


def measure_layers(
    model: Model, objective: ExampleLoss, params: PyTree, batch: PyTree
) -> tuple[Measurements, Signal]:
    """Measure the layers of a network on a batch, as `jinit.diagnose` does.

    Args:
      model: the network.
      objective: loss of examples, given outputs and targets.
      params: its parameters.
      batch: inputs, targets and, if examples have them, weights.

    Returns:
      The measurements without arrays of the size of the activations, and the statistics by layer.
    """
    inputs, targets, *weights = batch
    mean_loss = _batch_loss(objective, weights)

    def loss(outputs: PyTree) -> jax.Array:
        return mean_loss(outputs, targets)

    measured = keep_compact(measure(model, params, list(call_arguments(inputs)), loss))
    return measured, layer_signals(model, measured)


class StartDiagnosis:
    """The diagnosis of initial parameters of one network, by the rules of `jinit.diagnose`.

    The verdict is that of `jinit.diagnose` on the first training examples.

    Args:
      network: the network.
      task: the data that it is trained on.
    """

    def __init__(self, network: Network, task: Task) -> None:
        self._model = model = network.model
        self._batch = inputs, targets, *weights = task.example_batch(PROBE_EXAMPLES)
        loss = _batch_loss(task.objective, weights)
        loss_name = _LOSS_NAMES.get(task.objective, "loss")
        self._judge = RecordedJudge(model, call_arguments(inputs), [targets], loss, loss_name)
        self._program: Any = jax.jit(partial(measure_layers, model, task.objective))

    def begin(self, params: PyTree) -> Callable[[], Start]:
        """Begin to measure initial parameters on the device.

        Args:
          params: initial parameters.

        Returns:
          A function that waits for the device, and returns the verdict and the statistics by layer.
        """
        return partial(self._judge_measured, self._program(params, self._batch), params)

    def _judge_measured(self, results: Any, params: PyTree) -> Start:
        measured, signal = jax.device_get(results)
        verdict = self._judge.diagnose(measured, params).verdict
        statistics = {name: getattr(signal, name).tolist() for name in LAYER_COLUMNS}
        return Start(verdict, self._model.layer_names, statistics)


def _batch_loss(objective: ExampleLoss, weights: Sequence[PyTree]) -> Callable[..., jax.Array]:
    """Return the weighted mean of a loss of examples, a function of outputs and targets."""
    return lambda outputs, targets: Mean.of(objective(outputs, targets), *weights).value
