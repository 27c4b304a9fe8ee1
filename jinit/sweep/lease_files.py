"""Files that say which worker trains a block: `leases/<block>.<generation>`."""

import re
from collections.abc import Iterable
from contextlib import suppress

from jinit.sweep.shared_folder import SharedFolder
from jinit.sweep.worker_status import is_worker_name

LAST_GENERATION = 999_999
"""Generation above which a file is not a lease. None is reached by taking over."""

_FOLDER = "leases"
_BLOCK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_LEASE = re.compile(rf"({_BLOCK.pattern})\.([1-9][0-9]{{0,5}})", re.ASCII)


class LeaseFiles:
    """The lease files of a shared folder.

    A lease is created with the name of its holder as content, and is never rewritten.

    Args:
      folder: the shared folder.

    >>> import tempfile
    >>> from jinit.sweep.directory_folder import DirectoryFolder
    >>> files = LeaseFiles(DirectoryFolder(tempfile.mkdtemp()))
    >>> files.create("000-000012", 1, "a"), files.create("000-000012", 1, "b")
    (True, False)
    >>> files.read_holder("000-000012", 1), files.generations()
    ('a', {'000-000012': [1]})
    """

    def __init__(self, folder: SharedFolder) -> None:
        self._folder = folder

    def generations(self) -> dict[str, list[int]]:
        """Return the generations of the leases of each block, in ascending order."""
        found: dict[str, list[int]] = {}
        for name in self._folder.names(_FOLDER):
            if match := _LEASE.fullmatch(name):
                found.setdefault(match[1], []).append(int(match[2]))
        return {block: sorted(generations) for block, generations in found.items()}

    def create(self, block: str, generation: int, worker: str) -> bool:
        """Create a lease, and return whether there was none of this generation.

        Args:
          block: the block.
          generation: one more than the number of leases that the block has had.
          worker: the holder.

        Raises:
          ValueError: if the name of the block cannot be a part of a file name.
        """
        if not _BLOCK.fullmatch(block):
            raise ValueError(
                f"{block!r} cannot be the name of a block; expected letters, digits, '-' and '_', "
                "such as 000-000012"
            )
        return self._folder.create(f"{_FOLDER}/{block}.{generation}", worker.encode())

    def exists(self, block: str, generation: int) -> bool:
        """Return whether a block has a lease of this generation, whatever is in it.

        Args:
          block: the block.
          generation: the generation.
        """
        try:
            return self._folder.read(f"{_FOLDER}/{block}.{generation}") is not None
        except OSError:
            return True

    def read_holder(self, block: str, generation: int) -> str | None:
        """Return the worker that a lease names; None if it names none or cannot be read.

        Args:
          block: the block.
          generation: the generation.
        """
        try:
            content = self._folder.read(f"{_FOLDER}/{block}.{generation}")
        except OSError:
            return None
        text = (content or b"").decode("ascii", "replace")
        return text if is_worker_name(text) else None

    def remove(self, block: str, generations: Iterable[int]) -> None:
        """Remove leases of a block. One that cannot be removed does no harm.

        Args:
          block: the block.
          generations: the generations of the leases, the present one last.
        """
        for generation in generations:
            with suppress(OSError):
                self._folder.remove(f"{_FOLDER}/{block}.{generation}")
