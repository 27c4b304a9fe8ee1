"""The record of a sweep: the columns of its Parquet files and the keys of its outline file.

`jinit.sweep` writes by this schema and `jinit.report` reads by it. A sweep's directory holds the
outline, `sweep.json`, and a folder of Parquet files, one per finished block of lanes, with one row
per lane. A row has a column per axis besides those listed here.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinit.stored_file import read_stored_json

FORMAT = 3
"""Number of this format, written to the outline. Format 2 had `program_axes` in place of `compare`
and `tune`. Format 1 had one column for both the verdict at initialization and divergence in
training; an outline without the number is format 0."""

OUTLINE_FILE = "sweep.json"
RECORDS_FOLDER = "records"
PARAMS_FOLDER, PARAMS_ENDING = "params", ".msgpack"
LAYOUTS_FOLDER = "layouts"
SEARCH_FOLDER, CONFIRM_FOLDER = "search", "confirm"
"""Folders of the two sweeps of `jinit.tune`."""

RECORDED_PACKAGES = ("jinit", "jax", "jaxlib", "flax", "optax", "numpy")
"""Packages whose versions are recorded, each in a column `<package>_version`."""

LAYER_COLUMNS = (
    "activation_std",
    "activation_second_moment",
    "gradient_std",
    "dead_fraction",
    "saturated_fraction",
)
"""Statistics at step 0, lists of one number per layer."""

MEASURED_COLUMN, BY_STEP = "measured_at", "_by_step"
"""Column of the later steps at which layers were measured, and the ending of the columns of their
statistics, which have a list of one number per layer for each of these steps."""

PROVENANCE_COLUMNS: Mapping[str, type] = MappingProxyType(
    {f"{package}_version": str for package in RECORDED_PACKAGES}
    | {
        "python_version": str,
        "device": str,
        "devices": int,
        "git_revision": str,
        "started_at": str,
    }
)
"""Columns needed to reproduce a record, with Python types; the outline has these keys too."""

COLUMNS: Mapping[str, type] = MappingProxyType(
    {
        "seed": int,
        "block": int,
        "at_initialization": str,
        "diverged_at": int,
        "stopped_at": int,
        "train_loss": float,
        "validation_loss": float,
        "validation_accuracy": float,
        "validation_loss_error": float,
        "validation_accuracy_error": float,
        "step": list,
        "train_loss_curve": list,
        "validation_loss_curve": list,
        "validation_accuracy_curve": list,
        "layers": list,
        **dict.fromkeys(LAYER_COLUMNS, list),
        MEASURED_COLUMN: list,
        "group": int,
        "executor": str,
        "lane_width": int,
        "init_seconds": float,
        "compile_seconds": float,
        "run_seconds": float,
        **PROVENANCE_COLUMNS,
    }
)
"""Every column that is not an axis, with the Python type of its values."""

START_AXES = ("init", "rules", "gain", "sigma_w", "sigma_b")
"""Axes that decide from which weights a network starts."""

OUTCOME_COLUMN = "outcome"
"""A column that readers add: it depends on all records of a sweep."""

METRIC_PREFIXES = ("train_", "validation_", "test_")
"""Beginnings of the columns of metrics, of which a trial may have any number."""

RESERVED_COLUMNS = (*COLUMNS, OUTCOME_COLUMN, "steps", "task")
"""Names that no axis may have."""


def axes_text(values: Mapping[str, Any]) -> str:
    """Return the axes of a run as text, which is equal for equal configurations.

    Args:
      values: recorded value by axis, for the axes that the run has.

    >>> axes_text({"lr": 1, "init": "zeros"}), axes_text({"init": "zeros", "lr": 1.0})
    ('[["init", "zeros"], ["lr", 1.0]]', '[["init", "zeros"], ["lr", 1.0]]')
    """
    numbers = {
        name: float(value) if _is_number(value) else str(value) for name, value in values.items()
    }
    return json.dumps(sorted(numbers.items()))


def run_label(axes: str, seed: int) -> str:
    """Return the name of one run, which is also that of the file of its parameters.

    Args:
      axes: the axes of the run as text, from `axes_text`.
      seed: its seed.

    >>> run_label(axes_text({"lr": 1}), 0)
    '0e3d22cb3878aacd'
    """
    return hashlib.sha256(f"[{axes}, {seed}]".encode()).hexdigest()[:16]


def required_columns(axes: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    """Return the columns without which records cannot be compared: axes, seed and metric.

    >>> required_columns({"init": ["zeros"]}, "validation_loss")
    ('init', 'seed', 'validation_loss')
    """
    return (*axes, "seed", metric)


def default_roles(
    axes: Mapping[str, Sequence[Any]], training: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return the axes that compete, and those whose values are tuned for each competitor.

    The axes of the initialization compete if one of them varies, and those of training are tuned.
    Otherwise the first other axis that varies competes with them, or all that vary if only those
    of training do. All axes that are left are facets: they are compared apart from each other.

    Args:
      axes: values by axis.
      training: the axes that training takes, such as `lr`.

    >>> default_roles({"init": ["zeros", "ones"], "depth": [2, 4], "lr": [0.1, 1.0]}, ["lr"])
    (['init'], ['lr'])
    >>> default_roles({"depth": [2, 4], "lr": [0.1, 1.0]}, ["lr"])
    (['depth'], ['lr'])
    """
    varying = [axis for axis, values in axes.items() if len(values) > 1]
    compare = [axis for axis in axes if axis in START_AXES]
    if not set(compare) & set(varying):
        facets = [axis for axis in varying if axis not in training]
        compare += facets[:1] or varying
    tune = [axis for axis in axes if axis in training and axis not in compare]
    return [axis for axis in axes if axis in compare], tune


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list_of(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_axes(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(values, list) and values for values in value.values()
    )


def _is_configs(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


_Check = tuple[str, Callable[[object], bool]]
_TEXT: _Check = ("a string", _is_text)
_COUNT: _Check = ("an integer of at least 0", _is_count)
_NAMES: _Check = ("a list of strings", _is_list_of(_is_text))

_REQUIRED_KEYS: dict[str, _Check] = {
    "task": _TEXT,
    "metric": _TEXT,
    "axes": ("a dictionary of non-empty lists", _is_axes),
    "compare": _NAMES,
    "tune": _NAMES,
    "seeds": ("a list of integers of at least 0", _is_list_of(_is_count)),
    "lanes": _COUNT,
    "validation_examples": _COUNT,
}
# A key with the value null counts as absent.
_OPTIONAL_KEYS: dict[str, _Check] = {
    "format": _COUNT,
    # All configurations in their order, without the axes that one lacks; absent: the full grid.
    "configs": ("a non-empty list of dictionaries", _is_configs),
    "larger_is_better": ("true or false", lambda value: isinstance(value, bool)),
    # The column by which values are tuned; absent: validation_loss if recorded, else the metric.
    "selection": _TEXT,
    "test_metric": _TEXT,
    "test_examples": _COUNT,
    "classes": _COUNT,
    "chance": ("a number", _is_number),
    "steps": _COUNT,
    "record_every": _COUNT,
    "measure_at": ("a list of integers of at least 0", _is_list_of(_is_count)),
    "batch_size": _COUNT,
    "optimizer": _TEXT,
    "build": _TEXT,
    "training_programs": _COUNT,
    "data_seed": _COUNT,
    "bootstrap": ("true or false", lambda value: isinstance(value, bool)),
    "patience": _COUNT,
    # All on which the records depend, for a sweep that is resumed.
    "study": ("a dictionary of strings", _is_texts),
    # The command line that ran the sweep; absent in a notebook.
    "command": _TEXT,
}
OUTLINE_KEYS = (*_REQUIRED_KEYS, *_OPTIONAL_KEYS, *PROVENANCE_COLUMNS)
"""Every key of the outline."""


def read_outline_data(directory: Path) -> dict[str, Any]:
    """Read and check the outline of the sweep in a directory.

    Args:
      directory: where the sweep wrote `sweep.json`.

    Returns:
      The outline as plain data, with every required key.

    Raises:
      ValueError: if the directory or the file is missing, or the file does not hold an outline.

    >>> read_outline_data(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    file = directory / OUTLINE_FILE
    try:
        data = read_stored_json(file)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(_missing_message(directory)) from None
    except ValueError as error:
        raise ValueError(
            f"{file} is not JSON of jinit ({error}); expected what a sweep wrote there. "
            "Restore it, or run the sweep again into an empty directory"
        ) from None
    _check_outline(file, data)
    return data


def _missing_message(directory: Path) -> str:
    expected = "expected the output directory of a sweep: run `jinit sweep`, or give the directory"
    if not directory.exists():
        return f"{directory} does not exist; {expected} that it printed"
    if not directory.is_dir():
        return f"{directory} is a file; {expected} that contains it"
    return f"{directory} does not contain {OUTLINE_FILE}; {expected} that does"


def _check_outline(file: Path, data: object) -> None:
    outline = data if isinstance(data, dict) else {}
    if _is_text(outline.get("task")):
        _check_format(file, outline.get("format") or 0)
    for name, (expected, is_valid) in (_REQUIRED_KEYS | _OPTIONAL_KEYS).items():
        value = outline.get(name)
        if value is None and name in _OPTIONAL_KEYS:
            continue
        if not is_valid(value):
            raise ValueError(
                f"{file} has {name} = {value!r}; expected {expected}. The file may come from "
                "another version of jinit: run the sweep again into an empty directory"
            )
    _check_roles(file, outline)


def _check_roles(file: Path, outline: Mapping[str, Any]) -> None:
    """Raise if a role names no axis, an axis has two roles, or a configuration another axis."""
    axes = outline["axes"]
    for key in ("compare", "tune"):
        _check_axes(file, key, outline[key], axes)
    if both := [axis for axis in outline["compare"] if axis in outline["tune"]]:
        raise ValueError(
            f"{file} has {both[0]!r} in compare and in tune; expected it in one of them. "
            "Run the sweep again into an empty directory"
        )
    for config in outline.get("configs") or ():
        _check_axes(file, "configs", config, axes)


def _check_axes(file: Path, key: str, names: Collection[str], axes: Collection[str]) -> None:
    if unknown := [name for name in names if name not in axes]:
        raise ValueError(
            f"{file} has {unknown[0]!r} in {key}; expected names of axes: {', '.join(axes)}. "
            "Run the sweep again into an empty directory"
        )


def _check_format(file: Path, number: object) -> None:
    """Raise if an outline has another format than this version of jinit writes."""
    if number == FORMAT or not _is_count(number):
        return
    remedy = (
        "pip install --upgrade jinit"
        if int(str(number)) > FORMAT
        else "run the sweep again into an empty directory, or read it with the version of jinit "
        "that wrote it (jinit_version in this file)"
    )
    raise ValueError(
        f"{file} has format {number}, and this version of jinit reads format {FORMAT}: {remedy}"
    )
