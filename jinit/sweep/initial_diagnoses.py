"""Diagnoses of the networks of a group before the first step, as by `jinit.diagnose`."""

from typing import Any, NamedTuple

import jax

from jinit.diagnostics import RecordedJudge, Signal
from jinit.model.params import PyTree
from jinit.sweep.block import Lane
from jinit.sweep.groups import Group
from jinit.sweep.initial_parameters import InitialParameters
from jinit.sweep.tasks import ExampleLoss, Task, cross_entropy, squared_error

_LOSS_NAMES: dict[ExampleLoss, str] = {
    cross_entropy: "cross-entropy",
    squared_error: "mean squared error",
}


class InitialDiagnosis(NamedTuple):
    """The recorded part of the diagnosis of one initialization."""

    verdict: str
    signal: Signal
    """Statistics by layer, as NumPy arrays."""


class InitialDiagnoses:
    """The diagnoses of the initializations of a group, by the rules of `jinit.diagnose`.

    The verdict is that of `jinit.diagnose` on the initial parameters and the first training
    examples. Lanes with equal initial parameters share one diagnosis.

    Args:
      group: the group.
      task: the data that it is trained on.
      initial_parameters: the initial parameters of the sweep.
    """

    def __init__(self, group: Group, task: Task, initial_parameters: InitialParameters) -> None:
        self._trial = trial = group.trial
        inputs, targets = (array[: trial.probe_examples] for array in task.train)
        self._batch = inputs, targets
        loss_name = _LOSS_NAMES.get(task.objective, "loss")
        self._judge = RecordedJudge(trial.model, inputs, targets, trial.mean_loss, loss_name)
        self._initial_parameters = initial_parameters
        self._found: dict[tuple[str, int, float | None], InitialDiagnosis] = {}
        self.program: Any = jax.jit(trial.measure)
        """Measures one network: `measure(params, inputs, targets)`."""

    def lower(self) -> jax.stages.Lowered:
        """Return the program that measures, before it is compiled."""
        return self.program.lower(self._trial.model.params, *self._batch)

    def find(self, lane: Lane) -> InitialDiagnosis:
        """Return the diagnosis of a lane before its first step.

        Args:
          lane: the lane.
        """
        member = lane.member
        gain = member.hyperparameters.get("gain")
        label = member.init_fingerprint, lane.seed_index, gain
        if label not in self._found:
            self._found[label] = self._diagnose(self._draw(lane))
        return self._found[label]

    def _diagnose(self, params: PyTree) -> InitialDiagnosis:
        measured, signal = jax.device_get(self.program(params, *self._batch))
        return InitialDiagnosis(self._judge.diagnose(measured, params).verdict, signal)

    def _draw(self, lane: Lane) -> PyTree:
        drawn = self._initial_parameters.draw([lane])
        params = jax.tree.map(lambda leaf: leaf[0], drawn)
        return self._trial.scale_kernels(params, lane.member.hyperparameters)
