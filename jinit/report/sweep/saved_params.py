"""Trained parameters of a run, read from the directory of its sweep."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.record import PARAMS_FOLDER, run_label
from jinit.report.sweep.outline import Outline
from jinit.report.text import escape_unprintable
from jinit.stored_file import check_regular_file


def load_params(directory: Path, outline: Outline, row: Mapping[str, Any] | None, like: Any) -> Any:
    """Return the saved parameters of a run.

    Args:
      directory: the directory of the sweep.
      outline: its outline.
      row: the record of the run, or its axes and its seed; None for the only one that was saved.
      like: tree of arrays or shapes, whose structure the result gets; None for that of the file.

    Returns:
      The tree of parameters, as NumPy arrays; without `like`, tuples are lists.

    Raises:
      ValueError: if the parameters of this run were not saved, or their folder is damaged.
    """
    folder = directory.absolute() / PARAMS_FOLDER
    saved = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    only = saved[0] if len(saved) == 1 else ""
    label = only if row is None else run_name(outline, row)
    if label not in saved:
        raise ValueError(_missing_message(directory, saved, row))
    return _restore(folder / label, like)


def _restore(folder: Path, like: Any) -> Any:
    """Return the parameters in a folder that Orbax wrote."""
    import orbax.checkpoint

    try:
        for path in folder.rglob("*"):
            if not path.is_dir():
                check_regular_file(path)
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(folder, like)
    except Exception as error:  # Orbax and its storage raise errors of a dozen types
        remedy = "" if like is None else ", or give like= the structure that was saved"
        raise ValueError(
            f"the parameters in {folder} cannot be read "
            f"({escape_unprintable(_first_line(error))}): the folder is damaged or another version "
            f"of Orbax wrote it; restore it{remedy}"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def run_name(outline: Outline, row: Mapping[str, Any]) -> str:
    """Return the name of a run, which is also that of the folder of its parameters.

    Args:
      outline: the outline of the sweep.
      row: the record of the run, or its axes and its seed.
    """
    values = {axis: row[axis] for axis in outline.axes if is_given(row.get(axis))}
    return run_label(values, int(row["seed"]))


def is_given(value: object) -> bool:
    """Return whether a record has a value; a frame has NaN or None if it lacks it.

    Args:
      value: of an axis, or of a column about the whole run.

    >>> is_given(0), is_given(None), is_given(math.nan)
    (True, False, False)
    """
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _missing_message(directory: Path, saved: list[str], row: Mapping[str, Any] | None) -> str:
    if not saved:
        return (
            f"{directory} has no saved parameters: the sweep is not finished, no run of it learned "
            "anything finite, or it was run with save='none'"
        )
    if row is None:
        return (
            f"{directory} has the parameters of {len(saved)} runs: give the row of one of them, "
            "such as results.params(results.frame().iloc[0])"
        )
    remedy = "of the best run only" if len(saved) == 1 else f"of {len(saved)} other runs"
    return (
        f"{directory} has the parameters {remedy}: run the sweep with save='all' for those of "
        "every run"
    )
