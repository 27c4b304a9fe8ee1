"""A folder of files in a directory, which workers on several machines share."""

import errno
import itertools
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinit.sweep.shared_folder import READ_LIMIT, FileVersion

_NAME = re.compile(r"[a-z]+/[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
LINKS_ARE_IMPOSSIBLE = {
    errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK,
}  # fmt: skip
"""Errors of `os.link` on file systems without links to files."""


class DirectoryFolder:
    """A shared folder in a directory of a local or a network file system.

    A process that is killed while it writes leaves a file whose name begins with a dot. Such files
    are not listed.

    Args:
      directory: the directory; it and its folders are created when a file is written.

    >>> import tempfile
    >>> folder = DirectoryFolder(tempfile.mkdtemp())
    >>> folder.create("leases/a.1", b"me"), folder.create("leases/a.1", b"you")
    (True, False)
    >>> folder.read("leases/a.1"), folder.read("leases/b.1"), folder.names("leases")
    (b'me', None, ['a.1'])
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        # Threads and processes of all machines write partial files of different names.
        self._writer = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._numbers = itertools.count()

    def create(self, name: str, content: bytes) -> bool:
        """Create a file with its content, and return whether it did not exist."""
        path = self._path(name)
        with _explain_failure("write", path):
            partial = self._write_partial(path, content)
            try:
                os.link(partial, path)
                return True
            except FileExistsError:
                # An answer of the server that was lost is asked for again: then the file that is
                # in the way is this one, with two names.
                return partial.stat().st_nlink == 2
            except OSError as error:
                if error.errno not in LINKS_ARE_IMPOSSIBLE:
                    raise
                return _create_in_place(path, content)
            finally:
                partial.unlink(missing_ok=True)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, so that readers see its former content or the new one."""
        path = self._path(name)
        with _explain_failure("write", path):
            partial = self._write_partial(path, content)
            try:
                partial.replace(path)
            except OSError:
                partial.unlink(missing_ok=True)
                raise

    def read(self, name: str) -> bytes | None:
        """Return the first `READ_LIMIT` bytes of a file; None if it does not exist."""
        path = self._path(name)
        with _explain_failure("read", path):
            try:
                return _read_regular_file(path)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without that of the folder."""
        path = self._directory / folder
        with _explain_failure("list", path):
            try:
                with os.scandir(path) as entries:
                    return [entry.name for entry in entries if not entry.name.startswith(".")]
            except FileNotFoundError:
                return []

    def versions(self, folder: str) -> dict[str, FileVersion]:
        """Return the version of each file in a folder, by its name without the folder."""
        path = self._directory / folder
        with _explain_failure("list", path):
            try:
                with os.scandir(path) as entries:
                    return {
                        entry.name: version
                        for entry in entries
                        if not entry.name.startswith(".") and (version := _version(entry))
                    }
            except FileNotFoundError:
                return {}

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        path = self._path(name)
        with _explain_failure("remove", path):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a file of workers; expected folder/name of "
                "letters, digits, '-', '_' and '.'"
            )
        return self._directory / name

    def _write_partial(self, path: Path, content: bytes) -> Path:
        """Write a file of another name. It is not synchronized: a lost file costs a lease only."""
        partial = path.with_name(f".{path.name}.{self._writer}-{next(self._numbers)}")
        try:
            try:
                partial.write_bytes(content)
            except FileNotFoundError:
                partial.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return partial


def _create_in_place(path: Path, content: bytes) -> bool:
    """Create a file where links are impossible; for a moment it is seen without its content."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _read_regular_file(path: Path) -> bytes:
    """Read the beginning of a file; a named pipe in its place does not make the reader wait."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return os.read(file, READ_LIMIT)
    finally:
        os.close(file)


def _version(entry: os.DirEntry[str]) -> FileVersion | None:
    """Return the version of a file; None if it was removed since the folder was listed."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError:
        return FileVersion(0, 0, 0)
    return FileVersion(status.st_mtime_ns, status.st_size, status.st_ino)


@contextmanager
def _explain_failure(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot {action} {path}: {error.strerror}. Workers need a directory that all of them "
            "can read and write, with free space; mend this, and start the worker again. Runs that "
            "were recorded before are kept",
        ) from error
