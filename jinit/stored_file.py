"""Read files that may be damaged, or may be something else than a file."""

import errno
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

# Files of jinit nest a few levels. This bound keeps the recursion of all that shows them short.
_MOST_LEVELS = 64
_DIGEST_BYTES = hashlib.sha256().digest_size
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


def write_to_disk(file: Path, content: bytes) -> None:
    """Write bytes, and wait until they are on the disk: what is written later may rely on them.

    Args:
      file: the file.
      content: the bytes.

    Raises:
      OSError: if the file cannot be written.
    """
    with file.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def write_with_digest(file: Path, content: bytes) -> None:
    """Write bytes and their SHA-256 digest to a file, which gets its name when it is complete.

    Args:
      file: the file; it is replaced if it exists.
      content: the bytes.

    Raises:
      OSError: if the file cannot be written.
    """
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_to_disk(partial, content + hashlib.sha256(content).digest())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def read_with_digest(file: Path) -> bytes:
    """Return the bytes of a file that `write_with_digest` wrote.

    Args:
      file: the file.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if the bytes do not have their digest; the message does not name the file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a"
    >>> write_with_digest(file, b"bytes")
    >>> read_with_digest(file)
    b'bytes'
    """
    stored = read_stored_bytes(file)
    content, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("is not a file that jinit wrote, or is damaged")
    return content


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
