"""Run a sweep: one compiled training program per computation, in blocks of lanes."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jinit.report import Results
from jinit.sweep.block import BlockRun, Lane
from jinit.sweep.block_feed import BlockFeed
from jinit.sweep.data_parts import data_parts
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.estimate import Estimate, estimate_cost
from jinit.sweep.finished_lanes import FinishedLanes
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.groups import Group, group_configs
from jinit.sweep.layout import choose_layout
from jinit.sweep.outline_data import outline_data
from jinit.sweep.params_store import ParamsStore
from jinit.sweep.patience import Patience
from jinit.sweep.progress import Progress, ProgressReporter
from jinit.sweep.provenance import command_line, provenance
from jinit.sweep.run_context import RunContext
from jinit.sweep.rung_race import RungRace
from jinit.sweep.saved_lanes import SavedLane
from jinit.sweep.slot_training import SlotTraining
from jinit.sweep.slots import local_slots
from jinit.sweep.store import BlockStore, Store, check_directory
from jinit.sweep.study_identity import check_begun_study, digest_text, study_identity
from jinit.sweep.sweep_metric import SweepMetric, choose_metric
from jinit.sweep.waiting import Waiting


@dataclass(frozen=True)
class TracedSweep:
    """A sweep whose trials are traced."""

    groups: Sequence[Group]
    metric: SweepMetric
    identity: Mapping[str, str]
    """All on which the records depend."""
    origin: Mapping[str, Any]
    """Columns of provenance."""


@dataclass(frozen=True)
class OpenStudy:
    """A sweep in a directory to which this process may write."""

    directory: Path
    metric: SweepMetric
    store: Store
    params: ParamsStore
    trainings: Sequence[GroupTraining]

    def keep_best_params(self) -> None:
        """Remove parameters of other runs than the best one, after all blocks are written."""
        self.params.keep_best(FinishedLanes.read(self.directory, self.metric).best)


class SweepRun:
    """One run of a sweep.

    Args:
      sweep: what to run.
      report_progress: called with the progress after every stage and recording, and once per
        second in between.
    """

    def __init__(self, sweep: SweepDefinition, report_progress: Callable[[Progress], None]) -> None:
        self.sweep = sweep
        self.progress = ProgressReporter(sweep.total_lane_steps, report_progress)
        self.waiting = Waiting(self.progress.show)

    def run(self, directory: str | os.PathLike[str], *, resumes: bool = False) -> Results:
        """Train everything that has no record yet, and record it in a directory.

        Args:
          directory: the output directory.
          resumes: whether it may hold a part of this sweep.
        """
        path = check_directory(directory, resumes=resumes)
        with self.open_study(path, resumes=resumes) as study:
            trainings = study.trainings
            lanes = sum(len(training.lanes) for training in trainings)
            unfinished = sum(len(training.unfinished(training.lanes)) for training in trainings)
            if self.sweep.halving is None:
                self.progress.add_finished((lanes - unfinished) * self.sweep.steps)
                self._run_blocks(trainings)
            elif unfinished:  # all lanes are trained again
                self._run_race(trainings, RungRace(self.sweep.halving, study.metric))
        return Results(path)

    def estimate(self) -> Estimate:
        """Return the cost of the sweep, from a short calibration."""
        sweep = self.sweep
        groups = group_configs(sweep.space, sweep.trial, sweep.data)
        context = self._context(choose_metric(groups, sweep.metric, sweep.maximize))
        layout = choose_layout(
            groups[0],
            len(groups[0].members) * len(sweep.seeds),
            len(context.slots),
            sweep.lanes,
            sweep.executor,
            platform=context.platform,
        )
        return estimate_cost(groups, context, sweep.total_lane_steps, layout)

    @contextmanager
    def open_study(
        self,
        directory: Path,
        *,
        resumes: bool,
        is_shared: bool = False,
        traced: TracedSweep | None = None,
    ) -> Iterator[OpenStudy]:
        """Yield the sweep in a directory, while this process may write to it.

        Args:
          directory: the directory.
          resumes: whether it may hold a part of this sweep.
          is_shared: whether other processes that share it may write too.
          traced: the sweep, as the processes compute it that train; None to trace it here.
        """
        traced = traced or self.trace()
        if resumes:
            check_begun_study(directory, traced.identity)
        store = Store(directory, resumes=resumes, is_shared=is_shared)
        try:
            command = {"command": command_line(sys.argv), "study": traced.identity}
            outline = outline_data(self.sweep, traced.groups, traced.metric)
            store.begin({**outline, **command, **traced.origin})
            check_begun_study(directory, traced.identity)  # another worker may have begun one
            finished = FinishedLanes.read(directory, traced.metric)
            seeds = np.array(self.sweep.seeds)
            params = ParamsStore(directory, self.sweep.saved, traced.metric, seeds)
            trainings = self.make_trainings(traced, store, params, finished)
            lanes = [lane for training in trainings for lane in training.lanes]
            finished.check(directory, lanes, seeds)
            params.note_finished(finished, lanes)
            yield OpenStudy(directory, traced.metric, store, params, trainings)
        finally:
            store.close()

    def trace(self) -> TracedSweep:
        """Trace the trials of the sweep, and return its groups, its metric and its identity."""
        sweep = self.sweep
        self.progress.show()
        groups = group_configs(
            sweep.space,
            sweep.trial,
            sweep.data,
            can_stop=sweep.patience is not None,
            note=self._note_traced,
        )
        metric = choose_metric(groups, sweep.metric, sweep.maximize)
        return TracedSweep(groups, metric, study_identity(sweep, groups), provenance())

    def make_trainings(
        self, traced: TracedSweep, store: BlockStore, params: ParamsStore, finished: FinishedLanes
    ) -> list[GroupTraining]:
        """Return the trainings of all groups.

        Args:
          traced: the sweep.
          store: where records are written.
          params: where parameters are saved.
          finished: runs that were recorded before.
        """
        context, name = self._context(traced.metric), digest_text(json.dumps(traced.identity))
        return [
            GroupTraining(number, group, context, store, params, traced.origin, finished, name)
            for number, group in enumerate(traced.groups)
        ]

    def _run_blocks(self, trainings: Sequence[GroupTraining]) -> None:
        """Train the blocks that have a lane without a record."""
        for training in trainings:
            missing = set(training.unfinished(training.lanes))
            if not missing:
                continue
            self.compile(training, len(trainings))
            blocks = training.split_blocks(training.lanes)
            unfinished = [block for block in blocks if not missing.isdisjoint(block.lanes)]
            self.train(training, BlockFeed(unfinished, training.layout))
            training.release()

    def train(self, training: GroupTraining, feed: BlockFeed) -> None:
        """Train blocks of a group with checkpoints, and write their records.

        Args:
          training: the group, compiled.
          feed: the blocks.
        """
        SlotTraining(
            training,
            feed,
            self.progress,
            training.write_block,
            checkpoint_seconds=60 * self.sweep.checkpoint_minutes,
        ).run(self.waiting.give_sign)

    def _run_race(self, trainings: Sequence[GroupTraining], race: RungRace) -> None:
        """Train from rung to rung, from each of which fewer configurations go on."""
        lanes = {training.number: training.lanes for training in trainings}
        saved: dict[Lane, SavedLane] | None = None
        last = len(self.sweep.rungs) - 1
        for rung in range(last + 1):
            for training in trainings:
                ready = lanes[training.number]
                if remaining := training.unfinished(ready) if rung == last else ready:
                    if not training.is_compiled:
                        self.compile(training, len(trainings))
                    self._run_rung(training, remaining, rung, saved, race)
                if rung == last and training.is_compiled:
                    training.release()
            if rung < last:
                saved = race.end_rung(rung)
                lanes = {
                    training.number: [lane for lane in training.lanes if lane in saved]
                    for training in trainings
                }

    def _run_rung(
        self,
        training: GroupTraining,
        lanes: Sequence[Lane],
        rung: int,
        saved: Mapping[Lane, SavedLane] | None,
        race: RungRace,
    ) -> None:
        def finish(block_run: BlockRun) -> bool:
            if rung == len(self.sweep.rungs) - 1:
                training.write_lanes(block_run, range(len(block_run.block.lanes)))
            else:
                race.add(training, block_run)
            return True

        feed = BlockFeed(training.split_blocks(lanes), training.layout)
        SlotTraining(training, feed, self.progress, finish, rung=rung, saved=saved).run(
            self.waiting.give_sign
        )

    def compile(self, training: GroupTraining, groups: int) -> None:
        """Compile the programs of a group.

        Args:
          training: the group.
          groups: number of groups of the sweep.
        """
        self.progress.show(f"compiling {training.number + 1} of {groups}")
        training.compile(self.sweep, self.waiting)

    def _note_traced(self, count: int) -> None:
        self.progress.rename(f"tracing {count + 1} of {len(self.sweep.space)}")
        self.waiting.give_sign()

    def _context(self, metric: SweepMetric) -> RunContext:
        """Return what all groups share."""
        sweep, slots = self.sweep, local_slots()
        parts = data_parts(sweep.data)
        return RunContext(
            data=sweep.data,
            slots=slots,
            parts={device: jax.device_put(parts, device) for device in dict.fromkeys(slots)},
            seeds=np.array(sweep.seeds),
            data_seed=sweep.data_seed,
            bootstrap=sweep.bootstrap,
            rungs=sweep.rungs,
            record_every=sweep.record_every,
            measure_at=sweep.measure_at,
            steps_per_call=sweep.steps_per_call,
            patience=Patience(sweep.patience, metric.column, metric.larger_is_better),
            wait=self.waiting.for_arrays,
            announce=self.progress.show,
        )
