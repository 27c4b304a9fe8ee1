"""A simulated disk that machines share, and what one machine sees of it."""

import collections
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jinit.sweep.shared_folder import FileVersion

# Requests that a network file system sends for each operation: a file is created by opening,
# writing and closing another one, a link to it, and its removal.
REQUESTS = {"create": 5, "replace": 4, "read": 3, "names": 1, "versions": 1, "remove": 1}


@dataclass
class Server:
    """What a file server costs."""

    delay: float = 0.002
    """Mean seconds between sending a request and its answer, without load."""
    seconds_per_request: float = 50e-6
    """Seconds in which the server does nothing else, per request."""
    seconds_per_name: float = 2e-6
    """The same per name of a folder that is listed."""
    seconds_per_version: float = 5e-6
    """The same per name that is listed with its attributes."""
    stale_seconds: float = 0.0
    """Time for which a machine sees a folder or file as it was when it looked last."""


@dataclass
class SharedDisk:
    """The files, in memory, and how often they were used."""

    server: Server = field(default_factory=Server)
    files: dict[str, dict[str, tuple[bytes, int]]] = field(
        default_factory=lambda: collections.defaultdict(dict)
    )
    writes: int = 0
    operations: collections.Counter[str] = field(default_factory=collections.Counter)
    busy_until: float = 0.0
    busy_seconds: float = 0.0

    def serve(self, now: float, operation: str, names: int) -> float:
        """Return when the server has done an operation that reaches it now."""
        self.operations[operation] += 1
        cost = self.server
        seconds = REQUESTS[operation] * cost.seconds_per_request
        if operation in ("names", "versions"):
            each = cost.seconds_per_name if operation == "names" else cost.seconds_per_version
            seconds += names * each
        self.busy_until = max(now, self.busy_until) + seconds
        self.busy_seconds += seconds
        return self.busy_until


class Machine:
    """A shared folder as one machine sees it.

    Args:
      disk: the disk.
      wait_until: waits until a time; it raises if the worker is killed in between.
      now: returns the time.
      rng: draws delays.
    """

    def __init__(
        self,
        disk: SharedDisk,
        wait_until: Callable[[float], None],
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._disk, self.wait_until, self._now, self._rng = disk, wait_until, now, rng
        self._seen: dict[tuple[str, str], tuple[float, Any]] = {}

    def create(self, name: str, content: bytes) -> bool:
        """See SharedFolder; as for all that write, the server decides."""

        def create() -> bool:
            if name_in(self._disk, name):
                return False
            self._write(name, content)
            return True

        return self._ask("create", create)

    def replace(self, name: str, content: bytes) -> None:
        """See SharedFolder."""
        self._ask("replace", lambda: self._write(name, content))

    def remove(self, name: str) -> None:
        """See SharedFolder."""
        folder, _, file = name.partition("/")
        self._ask("remove", lambda: self._disk.files[folder].pop(file, None))

    def read(self, name: str) -> bytes | None:
        """See SharedFolder."""
        folder, _, file = name.partition("/")
        return self._look("read", name, lambda: self._disk.files[folder].get(file, (None,))[0])

    def names(self, folder: str) -> list[str]:
        """See SharedFolder."""
        return self._look("names", folder, lambda: list(self._disk.files[folder]))

    def list_records(self, unfinished: Callable[[], list[str]]) -> list[str]:
        """List the folder `records`, and return the blocks without records."""
        return self._look("names", "records", unfinished)

    def versions(self, folder: str) -> dict[str, FileVersion]:
        """See SharedFolder."""
        return self._look(
            "versions",
            folder,
            lambda: {
                name: FileVersion(number, len(content), 0)
                for name, (content, number) in self._disk.files[folder].items()
            },
        )

    def _write(self, name: str, content: bytes) -> None:
        folder, _, file = name.partition("/")
        self._disk.writes += 1
        self._disk.files[folder][file] = content, self._disk.writes

    def _look(self, operation: str, name: str, look: Callable[[], Any]) -> Any:
        """Look at the disk, or see what was there a while ago."""
        seen_at, seen = self._seen.get((operation, name), (-float("inf"), None))
        if self._now() - seen_at < self._disk.server.stale_seconds:
            return seen
        names = len(self._disk.files[name]) if operation != "read" else 0
        found = self._ask(operation, look, names)
        if self._disk.server.stale_seconds:
            self._seen[operation, name] = self._now(), found
        return found

    def _ask(self, operation: str, act: Callable[[], Any], names: int = 0) -> Any:
        """Act on the server after a delay, and learn of it after another one."""
        delay = 2 / self._disk.server.delay
        self.wait_until(self._now() + self._rng.expovariate(delay))
        done_at = self._disk.serve(self._now(), operation, names)
        answer = act()
        self.wait_until(done_at + self._rng.expovariate(delay))
        return answer


def name_in(disk: SharedDisk, name: str) -> bool:
    """Return whether a file exists."""
    folder, _, file = name.partition("/")
    return file in disk.files[folder]
