"""The directory of a sweep: a manifest, and one Parquet file per finished block of lanes."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jinit", "jax", "jaxlib", "flax", "optax", "numpy")


class Store:
    """Writes records so that whatever was finished is on disk, whole, at any moment."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._prepare()
        self._blocks = 0

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write `sweep.json`."""
        text = json.dumps(manifest, indent=2, default=str)
        self._replace(self.directory / "sweep.json", text.encode())

    def write_block(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append the records of one block of lanes."""
        pyarrow, parquet = _pyarrow()
        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pylist(list(rows))
        parquet.write_table(table.cast(_without_null_types(pyarrow, table.schema)), sink)
        name = f"{self._blocks:05d}.parquet"
        self._replace(self.directory / "records" / name, sink.getvalue().to_pybytes())
        self._blocks += 1

    def _prepare(self) -> None:
        _pyarrow()
        try:
            (self.directory / "records").mkdir(parents=True, exist_ok=True)
            probe = self.directory / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"cannot write results to {self.directory}: {error.strerror}; choose an output "
                "directory that you may write to"
            ) from error
        if any((self.directory / "records").glob("*.parquet")):
            raise ValueError(
                f"{self.directory} already holds a sweep, which would be overwritten: choose "
                "another output directory, or move this one away"
            )

    def _replace(self, path: Path, content: bytes) -> None:
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(content)
        partial.replace(path)


def provenance() -> dict[str, Any]:
    """What a record needs to be reproduced: versions, device, git revision, time."""
    device = jax.local_devices()[0]
    return {
        **{f"{package}_version": _version(package) for package in PACKAGES},
        "python_version": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.local_device_count(),
        "git_revision": _git_revision(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _without_null_types(pyarrow: Any, schema: Any) -> Any:
    """A column that is empty in this block may be filled in another: give it its type."""
    types = {"diverged_at": pyarrow.int64()}
    return pyarrow.schema(
        field.with_type(types.get(field.name, pyarrow.string()))
        if pyarrow.types.is_null(field.type)
        else field
        for field in schema
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The commit of the working directory, `+` appended when files differ from it."""
    try:
        revision = _git("rev-parse", "HEAD")
        return revision + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "a sweep writes its records as Parquet with pyarrow, which is not installed: "
            "pip install 'jinit[sweep]'"
        ) from error
    return pyarrow, parquet
