"""Heartbeats of workers: files whose change shows that the worker lives."""

import json
import os
import platform
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinit.sweep.shared_folder import READ_LIMIT, FileVersion, SharedFolder

_FOLDER, _SUFFIX = "workers", ".json"
_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker wrote with its last heartbeat, and for how long it has been silent."""

    worker: str
    """Name of the worker."""
    beat: int | None
    """Number of its last heartbeat; None if the file cannot be read."""
    status: Mapping[str, Any]
    """What it told; empty if the file cannot be read."""
    silent_seconds: float
    """Seconds in which this process has seen no new heartbeat; 0 at its first look."""
    is_lost: bool
    """Whether it has been silent for so long that others take its blocks."""
    modified_at: float
    """Time of the last heartbeat in seconds since 1970, by the clock of the file server. It is for
    information: the clock may be wrong."""


def new_worker_name() -> str:
    """Return a name for a worker that no other has: host, process and random digits.

    >>> new_worker_name() == new_worker_name()
    False
    """
    host = re.sub(r"[^A-Za-z0-9]+", "-", platform.node()).strip("-")[:60] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def is_worker_name(text: str) -> bool:
    """Return whether a text can be the name of a worker.

    Args:
      text: the text.

    >>> is_worker_name("node17-4242-1f0c9a3e"), is_worker_name("../node17")
    (True, False)
    """
    return _WORKER.fullmatch(text) is not None


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
        self._looked_from = self._clock()
        versions: dict[str, FileVersion] = {}
        for name, version in self._folder.versions(_FOLDER).items():
            worker = name.removesuffix(_SUFFIX)
            if worker in self._seen or (worker != name and is_worker_name(worker)):
                versions[worker] = version
        self._looked_until = self._clock()
        for worker in self._seen.keys() | versions.keys():
            version = versions.get(worker)
            if worker not in self._seen or self._seen[worker][0] != version:
                self._seen[worker] = version, self._looked_until
        return versions

    def is_lost(self, worker: str) -> bool:
        """Return whether a worker has been silent for `lease_seconds`, as of the last look.

        Args:
          worker: its name.
        """
        _, since = self._seen.setdefault(worker, (None, self._looked_until))
        return self._looked_from - since >= self._lease_seconds

    def statuses(self) -> list[WorkerStatus]:
        """Look at all workers that have not left, and return what they told."""
        versions = self.look()
        return [self._status(worker, versions[worker]) for worker in sorted(versions)]

    def _status(self, worker: str, version: FileVersion) -> WorkerStatus:
        try:
            content = self._folder.read(f"{_FOLDER}/{worker}{_SUFFIX}")
        except OSError:
            content = None
        beat, status = _parse(worker, content or b"")
        return WorkerStatus(
            worker=worker,
            beat=beat,
            status=status,
            silent_seconds=max(self._looked_from - self._seen[worker][1], 0.0),
            is_lost=self.is_lost(worker),
            modified_at=version.modified_ns / 1e9,
        )


def _parse(worker: str, content: bytes) -> tuple[int | None, dict[str, Any]]:
    """Return number and status of a heartbeat; None and nothing if it is not one of the worker."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None, {}
    if not isinstance(data, dict) or data.get("worker") != worker:
        return None, {}
    beat, status = data.get("beat"), data.get("status")
    if type(beat) is not int or beat < 0 or not isinstance(status, dict):
        return None, {}
    return beat, status
