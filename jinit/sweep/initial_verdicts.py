"""The verdict on every lane at initialization."""

import jax
import numpy as np

from jinit.diagnostics import Measurements, RecordedJudge
from jinit.model.params import PyTree
from jinit.sweep.block import Lane
from jinit.sweep.groups import Group
from jinit.sweep.initial_parameters import InitialParameters
from jinit.sweep.tasks import ExampleLoss, Task, cross_entropy, squared_error

_LOSS_NAMES: dict[ExampleLoss, str] = {
    cross_entropy: "cross-entropy",
    squared_error: "mean squared error",
}


class InitialVerdicts:
    """Verdicts on the lanes of a group, by the rules of `jinit.diagnose`.

    The verdict of a lane is that of `jinit.diagnose` on its initial parameters and the first
    training examples. Lanes with equal initial parameters share one verdict.

    Args:
      group: the group.
      task: the data that it is trained on.
      seeds: the seeds of the sweep.
    """

    def __init__(self, group: Group, task: Task, seeds: np.ndarray) -> None:
        self._trial = group.trial
        inputs, targets = (array[: group.trial.probe_examples] for array in task.train)
        loss_name = _LOSS_NAMES.get(task.objective, "loss")
        self._judge = RecordedJudge(
            group.trial.model, inputs, targets, group.trial.mean_loss, loss_name
        )
        self._initial_parameters = InitialParameters(seeds)
        self._verdicts: dict[tuple[str, int, float | None], str] = {}

    def judge(self, lane: Lane, measurements: Measurements) -> str:
        """Return the verdict on a lane.

        Args:
          lane: the lane.
          measurements: its measurements before the first step, as NumPy arrays.
        """
        member = lane.member
        gain = member.hyperparameters.get("gain")
        label = member.init_fingerprint, lane.seed_index, gain
        if label not in self._verdicts:
            params = self._draw(lane)
            self._verdicts[label] = self._judge.diagnose(measurements, params).verdict
        return self._verdicts[label]

    def _draw(self, lane: Lane) -> PyTree:
        drawn = self._initial_parameters.draw(lane.member, [lane.seed_index])
        params = jax.tree.map(lambda leaf: leaf[0], drawn)
        return self._trial.scale_kernels(params, lane.member.hyperparameters)
