"""A lock of a directory, which ends with the process that holds it."""

import os
from pathlib import Path

_FILE = ".writer"


class DirectoryLock:
    """The right to write to a directory, which one process has alone, or several share.

    Where the system has no such locks, nothing is checked.

    Args:
      directory: the directory, which exists.
      is_shared: whether others that share it may write too.

    Raises:
      ValueError: if a process has the lock that does not share it; the message names one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> lock = DirectoryLock(folder)
    >>> DirectoryLock(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ... is being written to by process ...
    >>> lock.release()
    >>> DirectoryLock(folder).release()
    """

    def __init__(self, directory: Path, *, is_shared: bool = False) -> None:
        self._file = (directory / _FILE).open("a+")
        try:
            import fcntl

            kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except ImportError:
            return
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise ValueError(
                f"{directory} is being written to by process {owner}: wait until it ends or stop "
                "it, or give another output directory"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()} on {os.uname().nodename}")
        self._file.flush()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()
