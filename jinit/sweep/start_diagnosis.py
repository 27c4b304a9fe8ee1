"""Diagnosis of a network before the first step, as by `jinit.diagnose`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from jinit.diagnostics import RecordedJudge, keep_compact, layer_signals, measure
from jinit.model import PyTree
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


class StartDiagnosis:
    """The diagnosis of initial parameters of one network, by the rules of `jinit.diagnose`.

    The verdict is that of `jinit.diagnose` on the first training examples.

    Args:
      network: the network.
      task: the data that it is trained on.
    """

    def __init__(self, network: Network, task: Task) -> None:
        self._model = model = network.model
        self._task = task
        inputs, targets, *weights = task.example_batch(PROBE_EXAMPLES)
        self._arguments = call_arguments(inputs)
        self._targets = targets
        self._weights = weights
        loss_name = _LOSS_NAMES.get(task.objective, "loss")
        self._judge = RecordedJudge(model, self._arguments, targets, self._mean_loss, loss_name)
        self._program: Any = jax.jit(self._measure)

    def begin(self, params: PyTree) -> Callable[[], Start]:
        """Begin to measure initial parameters on the device.

        Args:
          params: initial parameters.

        Returns:
          A function that waits for the device, and returns the verdict and the statistics by layer.
        """
        measured = self._program(params, self._arguments, self._targets)
        return partial(self._judge_measured, measured, params)

    def _judge_measured(self, results: Any, params: PyTree) -> Start:
        measured, signal = jax.device_get(results)
        verdict = self._judge.diagnose(measured, params).verdict
        statistics = {name: getattr(signal, name).tolist() for name in LAYER_COLUMNS}
        return Start(verdict, self._model.layer_names, statistics)

    def _measure(self, params: PyTree, arguments: tuple[PyTree, ...], targets: PyTree) -> Any:
        def loss(outputs: PyTree) -> jax.Array:
            return self._mean_loss(outputs, targets)

        measured = keep_compact(measure(self._model, params, list(arguments), loss))
        return measured, layer_signals(self._model, measured)

    def _mean_loss(self, outputs: PyTree, targets: PyTree) -> jax.Array:
        return Mean.of(self._task.objective(outputs, targets), *self._weights).value
