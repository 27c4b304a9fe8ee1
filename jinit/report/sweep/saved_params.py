"""Trained parameters of a run of a sweep, read back."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinit.record import PARAMS_ENDING, PARAMS_FOLDER, axes_text, run_label
from jinit.report.sweep.outline import Outline


def load_params(directory: Path, outline: Outline, row: Mapping[str, Any] | None, like: Any) -> Any:
    """Return the saved parameters of a run.

    Args:
      directory: the directory of the sweep.
      outline: its outline.
      row: the record of the run, or its axes and its seed; None for the only one that was saved.
      like: tree of arrays or shapes, whose structure the result gets; None for lists and
        dictionaries.

    Returns:
      The tree of parameters, as NumPy arrays.

    Raises:
      ValueError: if the parameters of this run were not saved, their file is damaged, or `like` has
        another structure.
    """
    folder = directory.absolute() / PARAMS_FOLDER
    saved = sorted(path.stem for path in folder.glob(f"*{PARAMS_ENDING}"))
    only = saved[0] if len(saved) == 1 else ""
    label = only if row is None else run_name(outline, row)
    if label not in saved:
        raise ValueError(_missing_message(directory, saved, row))
    from jinit.params_file import read_params_file

    file = folder / f"{label}{PARAMS_ENDING}"
    try:
        return read_params_file(file, like)
    except (OSError, ValueError) as error:
        remedy = "restore it" if like is None else "restore it, or give like= what was saved"
        raise ValueError(f"the file of parameters {file} {error}: {remedy}") from error


def run_name(outline: Outline, row: Mapping[str, Any]) -> str:
    """Return the name of a run, which is also that of the file of its parameters.

    Args:
      outline: the outline of the sweep.
      row: the record of the run, or its axes and its seed.
    """
    values = {axis: row[axis] for axis in outline.axes if is_given(row.get(axis))}
    return run_label(axes_text(values), int(row["seed"]))


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
