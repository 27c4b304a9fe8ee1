"""A sweep whose blocks are trained by the processes of a pool."""

import pickle
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from jinit.calibrate import explain_difference
from jinit.report import Results
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.engine import OpenStudy, SweepRun
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.layout import BlockLayout
from jinit.sweep.pool_tasks import (
    PoolProcess,
    TrainedBlocks,
    choose_pool_layout,
    describe_process,
    process_name,
    train_pool_blocks,
)
from jinit.sweep.progress import Progress

_SLEEP = 0.05
"""Seconds between two looks at the tasks."""

_THREADS = (
    "executor: its tasks run in this process, whose slots already use all its devices; threads "
    "would train the same blocks more slowly. Leave the executor out, or give one of processes, "
    "such as ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))"
)
_FORK = (
    "executor: its processes are forked, and a forked process hangs when it uses JAX: give "
    "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))"
)


class PoolFuture(Protocol):
    """The result of a task that may still run."""

    def done(self) -> bool:
        """Return whether the task has ended."""
        ...

    def result(self) -> Any:
        """Return what the task returned, or raise its error."""
        ...


class PoolExecutor(Protocol):
    """A pool of processes, such as `concurrent.futures.ProcessPoolExecutor`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> PoolFuture:
        """Begin to call a function in a process of the pool."""
        ...


class PoolRun:
    """One run of a sweep by a pool of processes.

    Args:
      sweep: the sweep.
      executor: the pool.
      report_progress: called with the progress.

    Raises:
      TypeError: if the executor has no method `submit`.
      ValueError: if the pool runs threads or forks, or the sweep cannot be divided.
    """

    def __init__(
        self,
        sweep: SweepDefinition,
        executor: PoolExecutor,
        report_progress: Callable[[Progress], None],
    ) -> None:
        _check_executor(executor)
        if sweep.halving is not None:
            raise ValueError(
                "a sweep by halving compares all configurations after each rung, which tasks of a "
                "pool cannot: run it without an executor"
            )
        self._sweep, self._executor, self._token = sweep, executor, secrets.token_hex(8)
        self._run = SweepRun(sweep, report_progress)

    def run(self, directory: Path, *, resumes: bool) -> Results:
        """Train all blocks without records, and record them.

        Args:
          directory: the output directory.
          resumes: whether it may hold a part of this sweep.
        """
        traced = self._run.trace()
        self._run.progress.show("waiting for the pool")
        process = self._find_process()
        if process.name == process_name():
            raise ValueError(_THREADS)
        traced = replace(traced, identity=process.identity, origin=process.origin)
        with self._run.open_study(directory, resumes=resumes, traced=traced) as study:
            self._train(study, process)
        return Results(directory)

    def _find_process(self) -> PoolProcess:
        try:
            return self._wait([self._submit(describe_process)])[0]
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            if "pickle" not in str(error).lower():
                raise
            raise ValueError(
                f"the sweep cannot be sent to the processes of the pool ({error}): write build and "
                "other functions at the top of a module that they can import, not inside a "
                "function or as a lambda; Ray, Dask and submitit send any function"
            ) from error

    def _train(self, study: OpenStudy, process: PoolProcess) -> None:
        progress, steps = self._run.progress, self._sweep.steps
        unfinished = [
            (training, missing)
            for training in study.trainings
            if (missing := set(training.unfinished(training.lanes)))
        ]
        lanes = sum(len(training.lanes) for training in study.trainings)
        progress.add_finished((lanes - sum(len(each) for _, each in unfinished)) * steps)
        progress.show("compiling")
        layouts = self._choose_layouts(study, [training for training, _ in unfinished])
        tasks = []
        for training, missing in unfinished:
            layout = layouts[training.number].to_dict()
            blocks = training.split_blocks(training.lanes)
            open_blocks = [each for each in blocks if not missing.isdisjoint(each.lanes)]
            for first in range(0, len(open_blocks), process.slots):
                numbers = [each.number for each in open_blocks[first : first + process.slots]]
                tasks.append(self._submit(train_pool_blocks, training.number, layout, numbers))
        progress.show("training")
        for trained in self._results(tasks):
            self._record(study, process, trained)

    def _choose_layouts(
        self, study: OpenStudy, trainings: Sequence[GroupTraining]
    ) -> dict[int, BlockLayout]:
        """Return the layout of every group, chosen by the process that compiles it first."""
        new = [training for training in trainings if training.find_layout() is None]
        tasks = [self._submit(choose_pool_layout, training.number) for training in new]
        for training, layout in zip(new, self._wait(tasks), strict=True):
            study.store.agree_on_layout(training.number, BlockLayout.from_dict(layout))
        found = {training.number: training.find_layout() for training in trainings}
        return {number: layout for number, layout in found.items() if layout is not None}

    def _record(self, study: OpenStudy, process: PoolProcess, trained: TrainedBlocks) -> None:
        there = trained.process
        if difference := explain_difference(there.identity, process.identity):
            raise ValueError(
                f"the processes of the pool differ: {there.name} from {process.name} in "
                f"{difference}; their records could not be compared: give a pool of equal machines"
            )
        for rank, params in trained.params:
            study.params.offer(rank, lambda params=params: params)
        for name, rows in trained.records.items():
            study.store.write_block(name, rows)
            self._run.progress.add_finished(len(rows) * self._sweep.steps)
        self._run.progress.show()

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> PoolFuture:
        return self._executor.submit(function, self._sweep, self._token, *arguments)

    def _wait(self, tasks: Sequence[PoolFuture]) -> list[Any]:
        """Return the results of tasks, in their order."""
        for _ in self._results(tasks):
            pass
        return [task.result() for task in tasks]

    def _results(self, tasks: Sequence[PoolFuture]) -> Iterator[Any]:
        """Yield the results of tasks as they end; cancel the others if this is interrupted."""
        waiting = list(tasks)
        try:
            while waiting:
                ended = [task for task in waiting if task.done()]
                waiting = [task for task in waiting if task not in ended]
                for task in ended:
                    yield task.result()
                if not ended:
                    self._run.waiting.sleep(_SLEEP)
        finally:
            for task in waiting:
                if cancel := getattr(task, "cancel", None):
                    cancel()


def _check_executor(executor: PoolExecutor) -> None:
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "executor: expected a pool with a method submit, such as "
            f"concurrent.futures.ProcessPoolExecutor, got {executor!r}"
        )
    if isinstance(executor, ThreadPoolExecutor):
        raise ValueError(_THREADS)
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(_FORK)
