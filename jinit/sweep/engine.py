"""Run a sweep: one compiled training program per computation, in blocks of lanes."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jinit.report import Results, progress_line
from jinit.sweep.block import BlockRun, Lane
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.estimate import Estimate, estimate_cost
from jinit.sweep.finished_lanes import FinishedLanes
from jinit.sweep.group_programs import data_parts
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.groups import group_configs
from jinit.sweep.lanes import local_mesh, replicated_sharding
from jinit.sweep.layout import choose_layout
from jinit.sweep.memory import is_exhausted
from jinit.sweep.outline_data import outline_data
from jinit.sweep.params_store import ParamsStore
from jinit.sweep.patience import Patience
from jinit.sweep.run_context import RunContext
from jinit.sweep.rung_race import RungRace
from jinit.sweep.saved_lanes import SavedLane
from jinit.sweep.store import Store, check_directory, command_line, provenance
from jinit.sweep.study_identity import read_begun_study, study_identity
from jinit.sweep.sweep_metric import SweepMetric, choose_metric
from jinit.sweep.waiting import Waiting


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep."""

    stage: str
    """Stage of the sweep, such as `training`."""
    lane_steps: int
    """Lane-steps trained so far."""
    total_lane_steps: int
    """Lane-steps of the whole sweep."""
    training_seconds: float
    """Seconds spent on training so far."""
    elapsed_seconds: float
    """Seconds since the sweep began, with tracing and compilation."""
    diverged_lanes: int
    """Lanes that have diverged so far."""

    def __str__(self) -> str:
        return progress_line(self)


class SweepRun:
    """One run of a sweep.

    Args:
      sweep: what to run.
      report_progress: called with the progress after every stage and recording, and once per
        second in between.
    """

    def __init__(self, sweep: SweepDefinition, report_progress: Callable[[Progress], None]) -> None:
        self.sweep, self.report_progress = sweep, report_progress
        self.begin_time = time.perf_counter()
        self.group_count = 0
        self.waiting = Waiting(self._update_progress)
        self.progress = Progress(
            stage="tracing",
            lane_steps=0,
            total_lane_steps=sweep.total_lane_steps,
            training_seconds=0.0,
            elapsed_seconds=0.0,
            diverged_lanes=0,
        )

    def run(self, directory: str | os.PathLike[str], *, resumes: bool = False) -> Results:
        """Train everything that has no record yet, and record it in a directory.

        Args:
          directory: the output directory.
          resumes: whether it may hold a part of this sweep.
        """
        sweep = self.sweep
        path = check_directory(directory, resumes=resumes)
        self._update_progress()
        groups = group_configs(
            sweep.space,
            sweep.trial,
            sweep.data,
            can_stop=sweep.patience is not None,
            note=self._note_traced,
        )
        metric = choose_metric(groups, sweep.metric, sweep.maximize)
        study, origin = study_identity(sweep, groups), provenance()
        before = read_begun_study(path, study) if resumes else None
        store = Store(path, resumes=resumes)
        try:
            finished = FinishedLanes()
            if before is None:
                command = {"command": command_line(sys.argv), "study": study}
                store.write_outline(outline_data(sweep, groups, metric) | command | origin)
            else:
                finished = FinishedLanes.read(path, metric)
            context = self._context(metric, before)
            params_store = ParamsStore(path, sweep.saved, metric, context.seeds, finished)
            trainings = [
                GroupTraining(number, group, context, store, params_store, origin, finished)
                for number, group in enumerate(groups)
            ]
            lanes = [lane for training in trainings for lane in training.lanes]
            finished.check(path, lanes, context.seeds)
            self._run_unfinished(trainings, RungRace(sweep.halving, metric), params_store)
        finally:
            store.close()
        return Results(path)

    def _run_unfinished(
        self, trainings: Sequence[GroupTraining], race: RungRace, params_store: ParamsStore
    ) -> None:
        """Train the lanes without records; halving trains all of them again if one is missing."""
        self.group_count = len(trainings)
        lanes = sum(len(training.lanes) for training in trainings)
        unfinished = sum(len(training.unfinished(training.lanes)) for training in trainings)
        if self.sweep.halving is None:
            done = (lanes - unfinished) * self.sweep.steps
            self.progress = replace(self.progress, lane_steps=done)
        if unfinished:
            try:
                self._run_rungs(trainings, race)
            finally:
                params_store.finish()

    def _note_traced(self, count: int) -> None:
        total = len(self.sweep.space.configs())
        self.progress = replace(self.progress, stage=f"tracing {count + 1} of {total}")
        self.waiting.give_sign()

    def estimate(self) -> Estimate:
        """Return the cost of the sweep, from a short calibration."""
        sweep = self.sweep
        groups = group_configs(sweep.space, sweep.trial, sweep.data)
        context = self._context(choose_metric(groups, sweep.metric, sweep.maximize))
        layout = choose_layout(
            groups[0],
            len(groups[0].members) * len(sweep.seeds),
            context.mesh.size,
            sweep.lanes,
            sweep.executor,
        )
        return estimate_cost(groups, context, sweep.total_lane_steps, layout)

    def _run_rungs(self, trainings: Sequence[GroupTraining], race: RungRace) -> None:
        lanes = {training.number: training.lanes for training in trainings}
        saved: dict[Lane, SavedLane] | None = None
        last = len(self.sweep.rungs) - 1
        for rung in range(last + 1):
            for training in trainings:
                ready = lanes[training.number]
                if remaining := training.unfinished(ready) if rung == last else ready:
                    self._run_group(training, remaining, rung, saved, race)
            if rung < last:
                saved = race.end_rung(rung)
                lanes = {
                    training.number: [lane for lane in training.lanes if lane in saved]
                    for training in trainings
                }

    def _run_group(
        self,
        training: GroupTraining,
        lanes: Sequence[Lane],
        rung: int,
        saved: Mapping[Lane, SavedLane] | None,
        race: RungRace,
    ) -> None:
        if not training.is_compiled:
            self._update_progress(stage=f"compiling {training.number + 1} of {self.group_count}")
            training.compile(self.sweep.lanes, self.sweep.executor, self.waiting)
        remaining = list(lanes)
        while remaining:
            try:
                self._run_lanes(training, remaining, rung, saved, race)
            except RuntimeError as error:
                if not is_exhausted(error) or not training.shrink():
                    raise
        if rung == len(self.sweep.rungs) - 1:
            training.release()

    def _run_lanes(
        self,
        training: GroupTraining,
        remaining: list[Lane],
        rung: int,
        saved: Mapping[Lane, SavedLane] | None,
        race: RungRace,
    ) -> None:
        """Train lanes, and take those that are finished out of the list."""
        blocks = training.split_blocks(tuple(remaining))
        for block_run in self._train_blocks(training.train(blocks, rung, saved)):
            if rung == len(self.sweep.rungs) - 1:
                training.write(block_run, range(len(block_run.block.lanes)))
            else:
                race.add(training, block_run)
            del remaining[: len(block_run.block.lanes)]

    def _context(self, metric: SweepMetric, before: Mapping[str, Any] | None = None) -> RunContext:
        """Return what all groups share; `before` is the outline of the run that is resumed."""
        sweep = self.sweep
        mesh = local_mesh()
        return RunContext(
            data=sweep.data,
            parts=jax.device_put(data_parts(sweep.data), replicated_sharding(mesh)),
            mesh=mesh,
            layout_devices=(before or {}).get("devices") or mesh.size,
            seeds=np.array(sweep.seeds),
            data_seed=sweep.data_seed,
            bootstrap=sweep.bootstrap,
            rungs=sweep.rungs,
            record_every=sweep.record_every,
            measure_at=sweep.measure_at,
            steps_per_call=sweep.steps_per_call,
            patience=Patience(sweep.patience, metric.column, metric.larger_is_better),
            wait=self.waiting.for_arrays,
            announce=lambda stage: self._update_progress(stage=stage),
        )

    def _train_blocks(self, recordings: Iterable[BlockRun]) -> Iterator[BlockRun]:
        """Follow blocks in training, and yield each one when it is finished."""
        finished = self.progress  # the progress at the end of the previous block
        begin_time = time.perf_counter() - finished.training_seconds
        for block_run in recordings:
            lanes, step = len(block_run.block.lanes), block_run.history[-1].step
            end = block_run.planned_steps if block_run.is_finished else step
            self._update_progress(
                stage="training",
                lane_steps=finished.lane_steps + (end - block_run.first_step) * lanes,
                training_seconds=time.perf_counter() - begin_time,
                diverged_lanes=finished.diverged_lanes + block_run.new_diverged_lanes,
            )
            if block_run.is_finished:
                block_run.run_seconds = self.progress.training_seconds - finished.training_seconds
                finished = self.progress
                yield block_run

    def _update_progress(self, **changes: Any) -> None:
        elapsed = time.perf_counter() - self.begin_time
        self.progress = replace(self.progress, elapsed_seconds=elapsed, **changes)
        self.report_progress(self.progress)
