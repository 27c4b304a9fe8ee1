"""Heartbeats of workers: files whose change shows that the worker lives."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from jinit.sweep.shared_folder import READ_LIMIT, FileVersion, SharedFolder
from jinit.sweep.worker_status import WorkerStatus, is_worker_name, parse_heartbeat

_FOLDER, _SUFFIX = "workers", ".json"


class WorkerHeartbeats:
    """The heartbeats of a worker, and those of other workers as it sees them.

    A worker is lost if its file has not changed, or has been missing, for `lease_seconds` on the
    clock of the observer between two looks. Clocks of different machines are never compared.

    Args:
      folder: the shared folder.
      worker: the name of this worker.
      lease_seconds: silence after which a worker is lost.
      clock: returns seconds, as `time.monotonic` does.

    >>> import tempfile
    >>> from jinit.sweep.directory_folder import DirectoryFolder
    >>> heartbeats = WorkerHeartbeats(DirectoryFolder(tempfile.mkdtemp()), "a", 60.0, lambda: 0.0)
    >>> heartbeats.beat({"host": "node17"})
    >>> [(each.worker, each.beat, each.is_lost) for each in heartbeats.statuses()]
    [('a', 0, False)]
    """

    def __init__(
        self,
        folder: SharedFolder,
        worker: str,
        lease_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._folder, self._clock, self._lease_seconds = folder, clock, lease_seconds
        self._worker = worker
        self._beats = 0
        self._has_left = False
        self._writing = threading.Lock()
        # Version of the file of each worker that was seen, and when it was seen first.
        self._seen: dict[str, tuple[FileVersion | None, float]] = {}
        self._looked_from = self._looked_until = clock()

    @property
    def has_begun(self) -> bool:
        """Whether this worker has written a heartbeat."""
        return self._beats > 0

    def beat(self, status: Mapping[str, Any]) -> None:
        """Write a heartbeat; after `leave`, do nothing.

        Args:
          status: plain data about the worker, at most 64 KiB as JSON.

        Raises:
          ValueError: if another worker has the same name, or the status is too large.
        """
        with self._writing:
            if self._has_left:
                return
            data = {"worker": self._worker, "beat": self._beats, "status": dict(status)}
            content = json.dumps(data, default=str).encode()
            if len(content) > READ_LIMIT:
                raise ValueError(
                    f"the status of worker {self._worker} has {len(content)} bytes; expected at "
                    f"most {READ_LIMIT}: tell less"
                )
            self._write(content)

    def _write(self, content: bytes) -> None:
        name = f"{_FOLDER}/{self._worker}{_SUFFIX}"
        if self._beats:
            self._folder.replace(name, content)
        elif not self._folder.create(name, content):
            raise ValueError(
                f"there is a worker {self._worker!r} already, or there was one that was killed; "
                "expected a new name for each process, such as that of new_worker_name()"
            )
        self._beats += 1

    def leave(self) -> None:
        """Remove the heartbeat of this worker."""
        with self._writing:
            self._has_left = True
            if self._beats:
                self._folder.remove(f"{_FOLDER}/{self._worker}{_SUFFIX}")

    def look(self) -> dict[str, FileVersion]:
        """Look which heartbeats have changed, and return the version of each by its worker.

        The time that the listing takes does not count as silence.
        """
        lost = {worker for worker in self._seen if self.is_lost(worker)}
        self._looked_from = self._clock()
        versions: dict[str, FileVersion] = {}
        for name, version in self._folder.versions(_FOLDER).items():
            worker = name.removesuffix(_SUFFIX)
            if worker != name and (worker in self._seen or is_worker_name(worker)):
                versions[worker] = version
        self._looked_until = self._clock()
        for worker in self._seen.keys() | versions.keys():
            version = versions.get(worker)
            before, since = self._seen.get(worker, (None, self._looked_until))
            if version != before and not (version is None and worker in lost):
                since = self._looked_until
            self._seen[worker] = version, since
        return versions

    def is_lost(self, worker: str) -> bool:
        """Return whether a worker has been silent for `lease_seconds`, as of the last look.

        Args:
          worker: its name.
        """
        _, since = self._seen.setdefault(worker, (None, self._looked_until))
        return self._looked_from - since >= self._lease_seconds

    def remove_lost(self, worker: str | None) -> None:
        """Remove the heartbeat of a worker that is lost: all would list it to the end.

        If it goes on after a pause, its next heartbeat is written anew.

        Args:
          worker: its name; None does nothing.
        """
        if worker and worker != self._worker and self.is_lost(worker):
            with suppress(OSError):
                self._folder.remove(f"{_FOLDER}/{worker}{_SUFFIX}")

    def any_lost(self) -> bool:
        """Return whether a heartbeat was there at the last look, and its worker is lost."""
        return any(version and self.is_lost(each) for each, (version, _) in self._seen.items())

    def statuses(self) -> list[WorkerStatus]:
        """Look at all workers that have not left, and return what they told."""
        versions = self.look()
        return [self._status(worker, versions[worker]) for worker in sorted(versions)]

    def _status(self, worker: str, version: FileVersion) -> WorkerStatus:
        try:
            content = self._folder.read(f"{_FOLDER}/{worker}{_SUFFIX}")
        except OSError:
            content = None
        beat, status = parse_heartbeat(worker, content or b"")
        return WorkerStatus(
            worker=worker,
            beat=beat,
            status=status,
            silent_seconds=max(self._looked_from - self._seen[worker][1], 0.0),
            is_lost=self.is_lost(worker),
            modified_at=version.modified_ns / 1e9,
        )
