"""The directory of a sweep, to which the outline and finished blocks of lanes are written."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jinit.record import (
    COLUMNS,
    FORMAT,
    OUTLINE_FILE,
    RECORDED_PACKAGES,
    RECORDS_FOLDER,
    records_file,
)
from jinit.report import explain_missing_extra
from jinit.sweep.directory_lock import DirectoryLock


class Store:
    """The directory of a sweep. Each file is written completely or not at all.

    One process writes to it at a time; its lock ends with the process, however it ends.

    Args:
      directory: the output directory; created if it does not exist.
      resumes: whether it may hold a sweep, to whose records others are added.

    Raises:
      ValueError: if the directory cannot be written to, another process writes to it, or it
        already holds a sweep that is not resumed.
      MissingExtraError: if pyarrow is not installed.
    """

    def __init__(self, directory: str | os.PathLike[str], *, resumes: bool = False) -> None:
        self.directory = check_directory(directory, resumes=resumes)
        records = self.directory / RECORDS_FOLDER
        records.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory)
        numbers = [int(file.stem) for file in records.glob("*.parquet") if file.stem.isdecimal()]
        self._block_count = max(numbers, default=-1) + 1

    def close(self) -> None:
        """Let other processes write to the directory."""
        self._lock.release()

    def write_outline(self, outline: Mapping[str, Any]) -> None:
        """Write the outline file."""
        text = json.dumps({"format": FORMAT, **outline}, indent=2, default=str)
        self._write_file(self.directory / OUTLINE_FILE, text.encode())

    def write_block(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the records of one block of lanes."""
        pyarrow, parquet = _import_pyarrow()
        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pylist(list(records))
        parquet.write_table(table.cast(_fill_null_types(pyarrow, table.schema)), sink)
        path = self.directory / RECORDS_FOLDER / records_file(self._block_count)
        self._write_file(path, sink.getvalue().to_pybytes())
        self._block_count += 1

    def _write_file(self, path: Path, content: bytes) -> None:
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OSError(
                error.errno,
                f"cannot write {path}: {error.strerror}. All runs that were recorded before are "
                f"kept; mend this, and go on with `jinit resume {self.directory}` or "
                "Sweep(...).resume(directory)",
            ) from error


def check_directory(directory: str | os.PathLike[str], *, resumes: bool = False) -> Path:
    """Return the path of an output directory, checked before anything is traced.

    Folders that are created for the check are removed.

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
    missing = [folder for folder in (records, *records.parents) if not folder.exists()]
    try:
        records.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
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
    for folder in missing:
        folder.rmdir()
    return path


def provenance() -> dict[str, Any]:
    """Return what is needed to reproduce a record: versions, device, git revision, time."""
    device = jax.local_devices()[0]
    return {
        **{f"{package}_version": _package_version(package) for package in RECORDED_PACKAGES},
        "python_version": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.local_device_count(),
        "git_revision": _git_revision(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def command_line(arguments: Sequence[str]) -> str | None:
    """Return the command that runs this process, as one types it.

    Args:
      arguments: `sys.argv`.

    Returns:
      The command; None where there is no file to run, as in a notebook.

    >>> command_line(["/home/me/.venv/bin/jinit", "sweep", "my runs.toml"])
    "jinit sweep 'my runs.toml'"
    >>> command_line(["train.py"]), command_line(["-c"])
    ('python train.py', None)
    """
    program, *options = arguments or [""]
    path = Path(program)
    if path.name == "__main__.py":
        words = ["python", "-m", path.parent.name]
    elif path.suffix == ".py" and path.stem != "ipykernel_launcher":
        words = ["python", program]
    elif path.stem == "jinit":
        words = ["jinit"]
    else:
        return None
    return shlex.join([*words, *options])


def _fill_null_types(pyarrow: Any, schema: Any) -> Any:
    """Return the schema with a type for columns that are empty here, as in blocks with values."""
    types = {int: pyarrow.int64(), float: pyarrow.float64()}
    return pyarrow.schema(
        field.with_type(types.get(COLUMNS.get(field.name, str), pyarrow.string()))
        if pyarrow.types.is_null(field.type)
        else field
        for field in schema
    )


def _package_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Return the commit of the working directory, with `+` if files differ from it."""
    try:
        revision = _run_git("rev-parse", "HEAD")
        return revision + ("+" if _run_git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _run_git(*arguments: str) -> str:
    command = ["git", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return result.stdout.strip()


def _import_pyarrow() -> tuple[Any, Any]:
    with explain_missing_extra("Writing the records of a sweep"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
