"""The settings of a sweep from the command line, kept in its directory to go on with it."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.stored_file import read_stored_json
from jinit.sweep.settings import DEFAULT_SPACE, build_from_settings, read_file
from jinit.sweep.sweep import Sweep

_FILE = "settings.json"
_KEYS = {"settings", "options"}


def save_settings(directory: Path, file: Path | None, options: Mapping[str, Any]) -> None:
    """Write the settings of a sweep into its directory.

    Args:
      directory: the directory of the sweep, which is created if it does not exist.
      file: its TOML file; None for the default sweep.
      options: options of the command line.
    """
    data = {"settings": read_file(file) if file else {}, "options": dict(options)}
    directory.mkdir(parents=True, exist_ok=True)
    # Workers that begin a sweep together each write a file of another name.
    partial = directory / f".{_FILE}.{os.getpid()}-{secrets.token_hex(4)}"
    partial.write_text(json.dumps(data, indent=1, default=str) + "\n", "utf-8")
    partial.replace(directory / _FILE)


def has_saved_settings(directory: Path) -> bool:
    """Return whether a directory has the settings of a sweep.

    Args:
      directory: the directory.
    """
    return (directory / _FILE).exists()


def read_saved_sweep(directory: Path, file: Path | None) -> Sweep:
    """Build the sweep whose settings a directory holds. No code is read from there.

    Args:
      directory: the directory of the sweep.
      file: the TOML file of the sweep, which must be given if it names a network of the user.

    Raises:
      ValueError: if there are no settings, they are damaged, or the file is needed.
    """
    path = directory / _FILE
    saved = _read(path)
    if file is not None:
        return build_from_settings(file, read_file(file), saved["options"], DEFAULT_SPACE)
    if "model" in saved["settings"]:
        raise ValueError(
            f"the sweep in {directory} has a network of your own, {saved['settings']['model']!r}, "
            "which is code: give the file that names it after the directory, as in "
            f"jinit resume {directory} FILE.toml"
        )
    return build_from_settings(path, saved["settings"], saved["options"], DEFAULT_SPACE)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = read_stored_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{path} does not exist; expected the directory that `jinit sweep` printed. A sweep "
            "from Python goes on by Sweep(...).resume(directory)"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); restore it") from None
    is_known = isinstance(data, dict) and set(data) == _KEYS
    if not is_known or not all(isinstance(each, dict) for each in data.values()):
        raise ValueError(f"{path} does not hold the settings of a sweep; restore it")
    return data
