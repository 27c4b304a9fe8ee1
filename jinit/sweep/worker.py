"""A worker: a process that trains blocks of a sweep which others train too."""

import contextlib
import platform
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinit.report import Results
from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.engine import SweepRun
from jinit.sweep.group_training import GroupTraining
from jinit.sweep.leased_feed import LeasedBlocks, LeasedFeed
from jinit.sweep.progress import Progress
from jinit.sweep.worker_status import new_worker_name

_STUCK_SECONDS = 3600.0
"""A worker that makes no progress for so long beats no longer: others take its blocks."""


class WorkerRun:
    """One worker of a sweep.

    Args:
      sweep: the sweep.
      report_progress: called as by `SweepRun`.
      lease_seconds: silence after which others take the blocks of a worker.
    """

    def __init__(
        self,
        sweep: SweepDefinition,
        report_progress: Callable[[Progress], None],
        lease_seconds: float,
    ) -> None:
        if sweep.halving is not None:
            raise ValueError(
                "a sweep by halving compares all configurations after each rung, which workers "
                "that share blocks cannot: run it in one process, by Sweep.run or Sweep.resume"
            )
        self.run = SweepRun(sweep, self._note)
        self._report, self._lease_seconds = report_progress, lease_seconds
        self._last: tuple[float, Mapping[str, Any]] = time.monotonic(), {}
        self._constant = {
            "host": platform.node(),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def work(self, directory: Path) -> Results:
        """Train blocks until all blocks of the sweep have their records.

        Args:
          directory: the directory of the sweep, which is begun if it holds none.
        """
        run, name = self.run, new_worker_name()
        leases = BlockLeases(DirectoryFolder(directory), name, self._lease_seconds)
        with run.open_study(directory, resumes=True, is_shared=True) as study, self._beat(leases):
            leased = LeasedBlocks(leases, study.store, _rotated(study.trainings, name))
            compiled: GroupTraining | None = None
            while (group := leased.next_group) is not None or not leased.are_finished:
                if group is None and leased.unknown_groups:
                    group = leased.unknown_groups[0]
                elif group is None:
                    run.progress.show("waiting for other workers")
                    run.waiting.sleep(leases.idle_seconds())
                    continue
                if group is not compiled:
                    if compiled is not None:
                        compiled.release()
                    run.compile(group, len(study.trainings))
                    compiled = group
                run.train(group, LeasedFeed(group, leased))
            study.keep_best_params()
        return Results(directory)

    def _note(self, progress: Progress) -> None:
        status = {"stage": progress.stage, "lane_steps": progress.lane_steps}
        if status != self._last[1]:
            self._last = time.monotonic(), status
        self._report(progress)

    @contextmanager
    def _beat(self, leases: BlockLeases) -> Iterator[None]:
        """Beat while the worker makes progress, and give its blocks back at the end."""
        stop = threading.Event()

        def beat_on() -> None:
            while not stop.wait(leases.beat_seconds):
                since, status = self._last
                if time.monotonic() - since < _STUCK_SECONDS:
                    # A beat that fails is like none: others may take the blocks.
                    with contextlib.suppress(OSError):
                        leases.beat({**self._constant, **status})

        leases.beat({**self._constant, **self._last[1]})
        thread = threading.Thread(target=beat_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            leases.leave()


def _rotated(trainings: Sequence[GroupTraining], name: str) -> list[GroupTraining]:
    """Return groups in an order that begins at another one for each worker."""
    first = zlib.crc32(name.encode()) % len(trainings)
    return [*trainings[first:], *trainings[:first]]
