"""The directory of a sweep, to which the outline and finished blocks of lanes are written."""

import hashlib
import itertools
import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinit.record import (
    COLUMNS,
    FORMAT,
    LAYOUTS_FOLDER,
    OUTLINE_FILE,
    RECORDS_FOLDER,
)
from jinit.report import explain_missing_extra
from jinit.stored_file import check_regular_file, read_stored_json, write_to_disk
from jinit.sweep.directory_folder import LINKS_ARE_IMPOSSIBLE
from jinit.sweep.directory_lock import DirectoryLock
from jinit.sweep.layout import BlockLayout


class BlockStore(Protocol):
    """Where the layouts of groups and the records of blocks are kept."""

    directory: Path

    def read_layout(self, group: int) -> BlockLayout | None:
        """Return the layout of the lanes of a group; None if it was not chosen yet."""
        ...

    def agree_on_layout(self, group: int, layout: BlockLayout) -> BlockLayout:
        """Return the layout of the lanes of a group, this one if none was chosen yet."""
        ...

    def free_name(self, group: int) -> str:
        """Return a name for records of a group that are not those of one block."""
        ...

    def write_block(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep the records of one block of lanes."""
        ...


class Store:
    """The directory of a sweep. Each file is written completely or not at all.

    One process writes to it at a time, or several that share it; its lock ends with the process,
    however it ends.

    Args:
      directory: the output directory; created if it does not exist.
      resumes: whether it may hold a sweep, to whose records others are added.
      is_shared: whether other processes that share it may write too.

    Raises:
      ValueError: if the directory cannot be written to, another process writes to it, or it
        already holds a sweep that is not resumed.
      MissingExtraError: if pyarrow is not installed.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        resumes: bool = False,
        is_shared: bool = False,
    ) -> None:
        self.directory = check_directory(directory, resumes=resumes)
        self._records = self.directory / RECORDS_FOLDER
        self._records.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory, is_shared=is_shared)

    def close(self) -> None:
        """Let other processes write to the directory."""
        self._lock.release()

    def begin(self, outline: Mapping[str, Any]) -> bool:
        """Write the outline file, unless there is one; return whether it was written."""
        text = json.dumps({"format": FORMAT, **outline}, indent=2, default=str)
        return self._create(self.directory / OUTLINE_FILE, text.encode())

    def read_layout(self, group: int) -> BlockLayout | None:
        """Return the layout of the lanes of a group; None if it was not chosen yet.

        Args:
          group: number of the group.

        Raises:
          ValueError: if the file is damaged, or missing though runs of the group are recorded.
        """
        file = self._layout_file(group)
        try:
            return _parse_layout(read_stored_json(file))
        except FileNotFoundError:
            if self.blocks(group):
                raise ValueError(
                    f"{file} does not exist, though runs are recorded: without the layout of their "
                    "lanes others would differ in their last bits; restore the file"
                ) from None
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} cannot be read ({error}); restore it") from error

    def agree_on_layout(self, group: int, layout: BlockLayout) -> BlockLayout:
        """Return the layout of the lanes of a group, that of the process that was first.

        Args:
          group: number of the group.
          layout: the layout if none was chosen yet.

        Raises:
          ValueError: if the file is damaged.
        """
        file = self._layout_file(group)
        file.parent.mkdir(exist_ok=True)
        text = json.dumps({**layout.to_dict(), "digest": _layout_digest(layout)})
        self._create(file, text.encode())
        return self.read_layout(group) or layout

    def _layout_file(self, group: int) -> Path:
        return self.directory / LAYOUTS_FOLDER / f"{group:03d}.json"

    def blocks(self, group: int) -> set[str]:
        """Return the names of the blocks of a group whose records are written.

        Args:
          group: number of the group.
        """
        return {file.stem for file in self._records.glob(f"{group:03d}-*.parquet")}

    def has_block(self, name: str) -> bool:
        """Return whether the records of a block are written.

        Args:
          name: name of the block.
        """
        return (self._records / f"{name}.parquet").exists()

    def free_name(self, group: int) -> str:
        """Return a name for records of a group that are not those of one block.

        Args:
          group: number of the group.
        """
        names = self.blocks(group)
        numbers = itertools.count(len(names))
        return next(name for each in numbers if (name := f"{group:03d}-{each:06d}") not in names)

    def write_block(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the records of one block of lanes, unless they are there.

        Args:
          name: name of the block.
          records: the records.
        """
        pyarrow, parquet = _import_pyarrow()
        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pylist(list(records))
        parquet.write_table(table.cast(_fill_null_types(pyarrow, table.schema)), sink)
        self._create(self._records / f"{name}.parquet", sink.getvalue().to_pybytes())

    def _create(self, path: Path, content: bytes) -> bool:
        """Write a file unless it exists; return whether it was written."""
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        try:
            write_to_disk(partial, content)
            return _move_if_new(partial, path)
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot write {path}: {error.strerror}. All runs that were recorded before are "
                f"kept; mend this, and go on with `jinit resume {self.directory}` or "
                "Sweep(...).resume(directory)",
            ) from error
        finally:
            partial.unlink(missing_ok=True)


def count_records(directory: Path) -> int:
    """Return the number of runs that are recorded in the directory of a sweep.

    Args:
      directory: the directory.

    Raises:
      ValueError: if a file of records is damaged.
      MissingExtraError: if pyarrow is not installed.
    """
    pyarrow, parquet = _import_pyarrow()
    count = 0
    for file in sorted((directory / RECORDS_FOLDER).glob("*.parquet")):
        try:
            check_regular_file(file)
            count += parquet.read_metadata(file).num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{file} cannot be read as Parquet ({error}); move it away") from error
    return count


def _parse_layout(data: Any) -> BlockLayout:
    digest = data.pop("digest", None) if isinstance(data, dict) else None
    layout = BlockLayout.from_dict(data)
    if digest != _layout_digest(layout):
        raise ValueError("it was changed after it was written, and blocks would have other runs")
    return layout


def _layout_digest(layout: BlockLayout) -> str:
    return hashlib.sha256(json.dumps(layout.to_dict()).encode()).hexdigest()


def _move_if_new(partial: Path, path: Path) -> bool:
    """Give a file another name, unless there is such a file; return whether it has it."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in LINKS_ARE_IMPOSSIBLE:
            raise
        if path.exists():
            return False
        partial.replace(path)  # processes that do so at the same time have equal content
    return True


def check_directory(directory: str | os.PathLike[str], *, resumes: bool = False) -> Path:
    """Return the path of an output directory, checked before anything is traced.

    It is not created.

    Args:
      directory: the output directory.
      resumes: whether it may hold a sweep.

    Returns:
      Its path.

    Raises:
      ValueError: if the directory cannot be written to, or already holds a sweep that is not
        resumed.
      MissingExtraError: if pyarrow is not installed.
    """
    _import_pyarrow()
    path = Path(directory)
    records = path / RECORDS_FOLDER
    try:
        # Nothing is made that other workers, which begin now too, could see or miss.
        existing = next(folder for folder in (records, *records.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"cannot write results to {path}: {error.strerror}; give another output directory "
            "(--out DIR on the command line)"
        ) from error
    if not resumes and any(records.glob("*.parquet")):
        raise ValueError(
            f"{path} already holds a sweep, which would be overwritten: go on with it by "
            f"Sweep(...).resume({str(path)!r}), give another output directory (--out DIR on the "
            f"command line), or delete this one; jinit.Results({str(path)!r}) reads the sweep in it"
        )
    return path


def _fill_null_types(pyarrow: Any, schema: Any) -> Any:
    """Return the schema with a type for columns that are empty here, as in blocks with values."""
    types = {int: pyarrow.int64(), float: pyarrow.float64()}
    return pyarrow.schema(
        field.with_type(types.get(COLUMNS.get(field.name, str), pyarrow.string()))
        if pyarrow.types.is_null(field.type)
        else field
        for field in schema
    )


def _import_pyarrow() -> tuple[Any, Any]:
    with explain_missing_extra("Writing the records of a sweep"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
