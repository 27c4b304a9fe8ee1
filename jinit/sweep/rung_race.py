"""The configurations that go on after a rung, and the lanes of the others, which are written."""

from collections.abc import Sequence

from jinit.sweep.block import BlockRun, Lane
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.halving import Halving, mean_losses
from jinit.sweep.saved_lanes import SavedLane, save_lanes
from jinit.sweep.sweep_metric import SweepMetric

_SELECTION = "validation_loss"


class RungRace:
    """The race of the configurations of a sweep from rung to rung.

    Args:
      halving: the rule; None for a sweep whose configurations all have all steps.
      metric: metric of the sweep, which ranks where no loss of validation is recorded.
    """

    def __init__(self, halving: Halving | None, metric: SweepMetric) -> None:
        self._halving, self._metric = halving, metric
        self._finished: list[tuple[GroupTraining, BlockRun, list[SavedLane]]] = []

    def add(self, training: GroupTraining, block_run: BlockRun) -> None:
        """Add a block that has been trained up to the present rung."""
        saved = save_lanes(block_run)
        block_run.release()
        self._finished.append((training, block_run, saved))

    def end_rung(self, rung: int) -> dict[Lane, SavedLane]:
        """Write the lanes that do not go on, and return the others.

        Args:
          rung: number of the rung, counted from 0.
        """
        chosen = self._choose(rung)
        survivors: dict[Lane, SavedLane] = {}
        for training, block_run, saved in self._finished:
            stopped = training.context.patience.stopped_lanes(block_run)
            lanes = block_run.block.lanes
            goes_on = [
                lane.member.number in chosen and not stopped[place]
                for place, lane in enumerate(lanes)
            ]
            training.write_lanes(block_run, [i for i, is_kept in enumerate(goes_on) if not is_kept])
            kept = zip(lanes, saved, goes_on, strict=True)
            survivors |= {lane: each for lane, each, is_kept in kept if is_kept}
        self._finished = []
        return survivors

    def _choose(self, rung: int) -> Sequence[int]:
        if self._halving is None:
            return ()
        values: dict[int, list[float]] = {}
        column, larger_is_better = self._metric.column, self._metric.larger_is_better
        for _, block_run, _ in self._finished:
            if _SELECTION in block_run.columns:
                column, larger_is_better = _SELECTION, False
            for place, lane in enumerate(block_run.block.lanes):
                value = block_run.curve(column, place)[-1]
                has_diverged = block_run.history[-1].diverged_at[place] >= 0
                values.setdefault(lane.member.number, []).append(
                    float("nan") if has_diverged else value
                )
        return self._halving.survivors(mean_losses(values, larger_is_better), rung)
