"""Check that a Parquet file holds records of a sweep, before they are used."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jinit.record import (
    BY_STEP,
    COLUMNS,
    LAYER_COLUMNS,
    MEASURED_COLUMN,
    METRIC_PREFIXES,
    OUTCOME_COLUMN,
)
from jinit.report.sweep.outline import Outline

if TYPE_CHECKING:
    import pyarrow

_SPARE_ROWS = 100_000
"""Rows that a file may have besides: a message about runs that are there twice says more."""

_INTEGER_LISTS, _TEXT_LISTS = ("step", MEASURED_COLUMN), ("layers",)


def check_size(metadata: Any, outline: Outline) -> None:
    """Raise if a file says that it has far more rows than a sweep has runs.

    A file of some bytes can claim any number of equal rows. Sizes of columns are not looked at:
    pyarrow ends the process where the description of one is damaged.

    Args:
      metadata: what the file says about itself.
      outline: the outline of the sweep.

    Raises:
      ValueError: if there are far more rows than runs.
    """
    if metadata.num_rows > outline.total_lanes + _SPARE_ROWS:
        raise ValueError(f"it has {metadata.num_rows} rows for {outline.total_lanes} runs")


def check_columns(table: "pyarrow.Table", outline: Outline) -> None:
    """Raise if the columns of a file cannot be those of records of a sweep.

    Args:
      table: the rows of the file.
      outline: the outline of the sweep.

    Raises:
      ValueError: if a column is there twice, has another type, or lacks a value that every run has.

    >>> import pyarrow
    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("validation_loss"), {"lr": [0.1]}, (), (0,), 1)
    >>> check_columns(pyarrow.table({"lr": [0.1], "seed": ["a"]}), outline)
    Traceback (most recent call last):
    ValueError: its column seed is string, expected integers
    """
    names = table.column_names
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"it has the column {twice[0]} twice")
    if OUTCOME_COLUMN in names:
        raise ValueError(f"it has a column {OUTCOME_COLUMN}, which only readers add")
    for field in table.schema:
        expected = _expected_kind(field.name, outline)
        if not _KINDS[expected](field.type):
            raise ValueError(f"its column {field.name} is {field.type}, expected {expected}")
    if "seed" in names and table["seed"].null_count:
        raise ValueError("its column seed lacks values")
    _check_lists(table)


def _expected_kind(name: str, outline: Outline) -> str:
    """Return a key of `_KINDS` for a column."""
    if name in outline.axes:
        return "numbers or texts"
    if name in _INTEGER_LISTS:
        return "lists of integers"
    if name in _TEXT_LISTS:
        return "lists of texts"
    if name.endswith(BY_STEP):
        return "lists of lists of numbers"
    if name in LAYER_COLUMNS or (name.startswith(METRIC_PREFIXES) and name.endswith("_curve")):
        return "lists of numbers"
    if name in _metrics(outline):
        return "numbers"
    if name == f"{outline.metric.name}_curve":
        return "lists of numbers"
    return {int: "integers", float: "numbers", str: "texts"}.get(COLUMNS.get(name, object), "plain")


def _metrics(outline: Outline) -> list[str]:
    found = (outline.metric, outline.selection, outline.test_metric)
    names = [each.name for each in found if each is not None]
    return [*names, *(f"{name}_error" for name in names)]


def _check_lists(table: "pyarrow.Table") -> None:
    """Raise if a list lacks values, or has other lengths than the lists that it belongs to."""
    for field in table.schema:
        if not _is_list(field.type) or field.name.endswith("_curve"):
            continue  # a curve may have its own length, and lack values
        column = table[field.name].combine_chunks()
        while _is_list(column.type):
            column = column.flatten()
        if column.null_count:
            raise ValueError(f"a list in its column {field.name} lacks values")
    for name in table.column_names:
        if name.endswith(BY_STEP):
            _check_lengths(table, name, MEASURED_COLUMN)


def _check_lengths(table: "pyarrow.Table", name: str, steps: str) -> None:
    """Raise if lists have another number of values than the lists of their steps."""
    known = table.column_names
    lengths = _lengths(table[name])
    expected = _lengths(table[steps]) if steps in known else [None] * len(lengths)
    for found, wanted in zip(lengths, expected, strict=True):
        if found not in (None, 0, wanted):
            raise ValueError(f"its column {name} has {found} values for {wanted} of {steps}")


def _lengths(column: "pyarrow.ChunkedArray") -> list[int | None]:
    """Return the length of the list of each row; None where there is none."""
    from pyarrow import compute as any_compute

    compute: Any = any_compute

    if not _is_list(column.type):
        return [None] * len(column)
    return compute.list_value_length(column).to_pylist()


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)


def _is_integer(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_null(kind)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return _is_integer(kind) or types.is_float32(kind) or types.is_float64(kind)


def _is_value(kind: Any) -> bool:
    from pyarrow import types

    return _is_number(kind) or _is_text(kind) or types.is_boolean(kind)


def _lists_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    from pyarrow import types

    return lambda kind: types.is_null(kind) or (_is_list(kind) and check(kind.value_type))


def _is_plain(kind: Any) -> bool:
    while _is_list(kind):
        kind = kind.value_type
    return _is_value(kind)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "integers": _is_integer,
    "numbers": _is_number,
    "texts": _is_text,
    "numbers or texts": _is_value,
    "lists of integers": lambda kind: _lists_of(_is_integer)(kind),
    "lists of texts": lambda kind: _lists_of(_is_text)(kind),
    "lists of numbers": lambda kind: _lists_of(_is_number)(kind),
    "lists of lists of numbers": lambda kind: _lists_of(_lists_of(_is_number))(kind),
    "plain": _is_plain,
}
