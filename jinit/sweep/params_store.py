"""Trained parameters of runs, saved beside the records of a sweep."""

import math
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np

from jinit.model import PyTree
from jinit.record import PARAMS_FOLDER
from jinit.sweep.block import BlockRun
from jinit.sweep.finished_lanes import FinishedLanes, lane_name
from jinit.sweep.lanes import take_lane
from jinit.sweep.sweep_metric import SweepMetric
from jinit.sweep.trial import Trial

SAVED = ("best", "all", "none")
"""Runs whose parameters can be saved."""


class ParamsStore:
    """Saves the parameters of the best run, or of all runs, with Orbax.

    Args:
      directory: the directory of the sweep.
      saved: one of `SAVED`.
      metric: the metric that says which run is best.
      seeds: the seeds of the sweep.
      finished: runs that were recorded before.
    """

    def __init__(
        self,
        directory: Path,
        saved: str,
        metric: SweepMetric,
        seeds: np.ndarray,
        finished: FinishedLanes,
    ) -> None:
        self._folder = directory.absolute() / PARAMS_FOLDER
        self._saved, self._metric, self._seeds = saved, metric, seeds
        best = () if finished.best is None else (finished.best,)
        wanted = {"none": (), "best": best, "all": tuple(finished.merits)}[saved]
        self.missing = frozenset(name for name in wanted if not (self._folder / name).is_dir())
        """Names of recorded runs whose parameters were not saved before an interrupt."""
        self._best: tuple[float, str, PyTree] | None = None
        if saved == "best" and best and not self.missing:
            self._best = finished.merits[best[0]], best[0], None

    def add(self, block_run: BlockRun, places: Iterable[int], trial: Trial) -> None:
        """Save, or keep for later, the parameters of lanes that are finished.

        Args:
          block_run: the block, whose state is on the devices.
          places: places of the lanes in the block.
          trial: the trial.
        """
        if self._saved == "none" or block_run.state is None:
            return
        lanes = block_run.block.lanes
        if self._saved == "all":
            for place in places:
                label = lane_name(lanes[place], self._seeds)
                self._write(label, _lane_params(block_run, place, trial))
            return
        merits = {place: self._merit(block_run, place) for place in places}
        finite = {place: merit for place, merit in merits.items() if math.isfinite(merit)}
        best = max(finite, key=finite.__getitem__, default=None)
        if best is not None and (self._best is None or finite[best] > self._best[0]):
            params = _lane_params(block_run, best, trial)
            self._best = finite[best], lane_name(lanes[best], self._seeds), params

    def finish(self) -> None:
        """Save the parameters of the best run, if only these are asked for."""
        if self._best is not None and self._best[2] is not None:
            self._write(*self._best[1:])

    def _merit(self, block_run: BlockRun, place: int) -> float:
        if block_run.history[-1].diverged_at[place] >= 0:
            return math.nan
        value = block_run.curve(self._metric.column, place)[-1]
        return value if self._metric.larger_is_better else -value

    def _write(self, label: str, params: PyTree) -> None:
        if (self._folder / label).exists():
            return
        import orbax.checkpoint

        try:
            with orbax.checkpoint.StandardCheckpointer() as checkpointer:
                checkpointer.save(self._folder / label, params)
        except (OSError, ValueError) as error:
            raise OSError(
                f"cannot save the parameters of a run in {self._folder}: {error}. All records are "
                f"kept; mend this, and go on with `jinit resume {self._folder.parent}` or "
                "Sweep(...).resume(directory)"
            ) from error


def _lane_params(block_run: BlockRun, place: int, trial: Trial) -> PyTree:
    state = jax.tree.map(lambda leaf: take_lane(leaf, place), block_run.state.state)
    return jax.tree.map(_to_host, state if trial.params is None else trial.params(state))


def _to_host(leaf: jax.Array) -> np.ndarray:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)
