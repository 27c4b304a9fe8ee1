"""Trained parameters of runs, saved beside the records of a sweep."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jinit.model import PyTree
from jinit.params_file import write_params_file
from jinit.record import PARAMS_ENDING, PARAMS_FOLDER
from jinit.sweep.block import BlockRun, Lane
from jinit.sweep.finished_lanes import FinishedLanes, lane_name
from jinit.sweep.lanes import take_lane
from jinit.sweep.sweep_metric import SweepMetric
from jinit.sweep.trial import Trial

FindParams = Callable[[], PyTree]
"""Returns the parameters of a run."""

SAVED = ("best", "all", "none")
"""Runs whose parameters can be saved."""


class RunRank(NamedTuple):
    """Larger for a better run; of equal runs, for the first one."""

    merit: float
    configuration: int
    seed: int
    name: str


class ParamsStore:
    """Saves the parameters of the best run, or of all runs.

    They are saved before the records of their block are written, so that no recorded run is better
    than the best one that was saved.

    Args:
      directory: the directory of the sweep.
      saved: one of `SAVED`.
      metric: the metric that says which run is best.
      seeds: the seeds of the sweep.
    """

    def __init__(self, directory: Path, saved: str, metric: SweepMetric, seeds: np.ndarray) -> None:
        self._folder = directory.absolute() / PARAMS_FOLDER
        self._saved, self._metric, self._seeds = saved, metric, seeds
        self._best: RunRank | None = None
        self.missing: frozenset[str] = frozenset()
        """Names of recorded runs whose parameters should have been saved, and are not there."""

    def note_finished(self, finished: FinishedLanes, lanes: Iterable[Lane]) -> None:
        """Take account of runs that were recorded before.

        Args:
          finished: these runs.
          lanes: all runs of the sweep.
        """
        if self._saved == "none" or not finished.merits:
            return
        ranks = [
            self._rank(finished.merits[lane_name(lane, self._seeds)], lane)
            for lane in lanes
            if finished.has(lane, self._seeds)
        ]
        best = max((rank for rank in ranks if math.isfinite(rank.merit)), default=None)
        wanted = ranks if self._saved == "all" else [best] if best else []
        missing = [rank.name for rank in wanted if not self._file(rank.name).exists()]
        self.missing = frozenset(missing)
        self._best = None if missing else best

    def add(self, block_run: BlockRun, places: Sequence[int], trial: Trial) -> None:
        """Save the parameters of lanes that are finished, as far as they are asked for.

        Args:
          block_run: the block, whose state is on the device.
          places: places of the lanes in the block.
          trial: the trial.
        """
        if self._saved == "none" or block_run.state is None:
            return
        lanes = block_run.block.lanes
        ranks = {place: self._rank(self._merit(block_run, place), lanes[place]) for place in places}
        if self._saved == "best":
            finite = {place: rank for place, rank in ranks.items() if math.isfinite(rank.merit)}
            best = max(finite, key=finite.__getitem__, default=None)
            ranks = {} if best is None else {best: ranks[best]}
        for place, rank in ranks.items():
            self.offer(rank, lambda place=place: _lane_params(block_run, place, trial))

    def offer(self, rank: RunRank, find_params: FindParams) -> None:
        """Save the parameters of a run, if they are asked for.

        Args:
          rank: the rank of the run.
          find_params: returns its parameters.
        """
        if self._saved == "all":
            self._write(rank.name, find_params())
        elif self._best is None or rank > self._best:
            self._write(rank.name, find_params())
            if self._best is not None:
                self._file(self._best.name).unlink(missing_ok=True)
            self._best = rank

    def keep_best(self, name: str | None) -> None:
        """Remove all other parameters, if only those of the best run are asked for.

        Args:
          name: name of the best of all runs; None if no run has a finite metric.
        """
        if self._saved == "best" and name is not None and self._file(name).exists():
            for file in self._folder.glob(f"*{PARAMS_ENDING}"):
                if file.stem != name:
                    file.unlink(missing_ok=True)

    def _rank(self, merit: float, lane: Lane) -> RunRank:
        name = lane_name(lane, self._seeds)
        return RunRank(merit, -lane.member.number, -lane.seed_index, name)

    def _merit(self, block_run: BlockRun, place: int) -> float:
        if block_run.history[-1].diverged_at[place] >= 0:
            return math.nan
        value = block_run.curve(self._metric.column, place)[-1]
        return value if self._metric.larger_is_better else -value

    def _write(self, name: str, params: PyTree) -> None:
        if self._file(name).exists():
            return
        try:
            self._folder.mkdir(exist_ok=True)
            write_params_file(self._file(name), params)
        except OSError as error:
            raise OSError(
                f"cannot save the parameters of a run in {self._folder}: {error}. All runs that "
                "were recorded before are kept; mend this, and go on with `jinit resume "
                f"{self._folder.parent}` or Sweep(...).resume(directory)"
            ) from error

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}{PARAMS_ENDING}"


def _lane_params(block_run: BlockRun, place: int, trial: Trial) -> PyTree:
    state = jax.tree.map(lambda leaf: take_lane(leaf, place), block_run.state.state)
    return jax.tree.map(_to_host, state if trial.params is None else trial.params(state))


def _to_host(leaf: jax.Array) -> np.ndarray:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)
