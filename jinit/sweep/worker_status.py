"""The status of a worker, which it tells with each heartbeat."""

import json
import os
import platform
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class WorkerStatus:
    """The last heartbeat of a worker, and for how long it has been silent."""

    worker: str
    """Name of the worker."""
    beat: int | None
    """Number of its last heartbeat; None if the file cannot be read."""
    status: Mapping[str, Any]
    """The plain data that it told; empty if the file cannot be read."""
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


def parse_heartbeat(worker: str, content: bytes) -> tuple[int | None, dict[str, Any]]:
    """Return number and status of a heartbeat; None and nothing if it is not one of the worker.

    Args:
      worker: the worker whose file was read.
      content: what was in it, which may be anything.

    >>> parse_heartbeat("a", b'{"worker": "a", "beat": 3, "status": {"host": "node17"}}')
    (3, {'host': 'node17'})
    >>> parse_heartbeat("a", b'{"worker": "a", "be')
    (None, {})
    """
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
