"""The provenance of records: versions, device, git revision, time and command."""

import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jinit.record import RECORDED_PACKAGES
from jinit.sweep.slots import local_slots


def provenance() -> dict[str, Any]:
    """Return what is needed to reproduce a record: versions, device, git revision, time."""
    device = jax.local_devices()[0]
    return {
        **{f"{package}_version": _package_version(package) for package in RECORDED_PACKAGES},
        "python_version": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": len(local_slots()),
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
