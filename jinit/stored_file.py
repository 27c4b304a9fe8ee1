"""Read files that may be damaged, or may be something else than a file."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

# Files of jinit nest a few levels. This bound keeps the recursion of all that shows them short.
_MOST_LEVELS = 64
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
"""Range of integers, which every column of records and every array of seeds can hold."""


def check_regular_file(file: Path) -> None:
    """Raise if a file is something that a reader may wait for, such as a named pipe.

    Args:
      file: the file.

    Raises:
      OSError: if it is not a regular file, or does not exist; the message names it.

    >>> check_regular_file(Path(os.devnull))
    Traceback (most recent call last):
    OSError: [Errno 22] is not a regular file: '/dev/null'
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(file))


def read_stored_bytes(file: Path) -> bytes:
    """Return the content of a regular file.

    A named pipe or a device in its place does not make the reader wait.

    Args:
      file: the file.

    Raises:
      OSError: if it cannot be read, or is not a regular file; the message names it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(file, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(file))
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read()


def read_stored_json(file: Path) -> Any:
    """Return the data of a JSON file that jinit wrote.

    Args:
      file: the file.

    Raises:
      OSError: if it cannot be read, or is not a regular file; the message names it.
      ValueError: if it is not JSON in UTF-8, nests more than 64 levels, or has an integer of more
        than 64 bits or text that is not Unicode. The message does not name the file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text("[" * 100_000)
    >>> read_stored_json(file)
    Traceback (most recent call last):
    ValueError: it nests more than 64 levels
    """
    try:
        data = json.loads(read_stored_bytes(file).decode())
    except RecursionError:
        raise ValueError(f"it nests more than {_MOST_LEVELS} levels") from None
    _check_data(data)
    return data


def _check_data(data: Any) -> None:
    """Raise if data cannot be shown or computed with."""
    level = [data]
    for _ in range(_MOST_LEVELS + 1):
        for value in level:
            if isinstance(value, str):
                value.encode()  # half of a surrogate pair is a string of JSON, and not Unicode
            elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
                raise ValueError("it has an integer of more than 64 bits")
        level = [each for value in level for each in _members(value)]
        if not level:
            return
    raise ValueError(f"it nests more than {_MOST_LEVELS} levels")


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
