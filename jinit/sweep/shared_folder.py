"""The operations of workers on the files of a folder that they share."""

from typing import NamedTuple, Protocol

READ_LIMIT = 1 << 16
"""Bytes that are read of a file at most. Files of workers are far smaller."""


class FileVersion(NamedTuple):
    """Attributes of a file that change when it is replaced. They are only compared for equality."""

    modified_ns: int
    """Time of modification in nanoseconds since 1970, by the clock of the file server."""
    size: int
    """Bytes of the file."""
    inode: int
    """Number of the file in its file system."""


class SharedFolder(Protocol):
    """A folder of small files that processes on several machines read and write.

    A file name consists of the name of a folder, a slash and the name in this folder. Every
    operation raises OSError if the folder cannot be reached.
    """

    def create(self, name: str, content: bytes) -> bool:
        """Create a file with its content, and return whether it did not exist."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, so that readers see its former content or the new one."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the first `READ_LIMIT` bytes of a file; None if it does not exist."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without that of the folder."""
        ...

    def versions(self, folder: str) -> dict[str, FileVersion]:
        """Return the version of each file in a folder, by its name without the folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        ...
