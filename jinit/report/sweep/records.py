"""The records of a sweep, read from its Parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinit.record import OUTCOME_COLUMN, RECORDS_FOLDER, required_columns
from jinit.report.extras import explain_missing_extra
from jinit.report.sweep.outcome import outcomes
from jinit.report.sweep.outline import Outline, canonical_value
from jinit.report.sweep.record_check import check_columns, check_size
from jinit.report.text import escape_unprintable, value_text
from jinit.stored_file import check_regular_file

if TYPE_CHECKING:
    import pyarrow


def read_records(directory: Path, outline: Outline) -> "pyarrow.Table":
    """Read every record of a sweep as one Arrow table.

    Args:
      directory: the directory of the sweep.
      outline: the outline of the sweep.

    Returns:
      The records, in the order of the axes and the seeds, with the outcome of every run.

    Raises:
      ValueError: if there are no records, a file cannot be read, a column is missing, or a lane
        is recorded twice.
      MissingExtraError: if pyarrow is not installed.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros"]}
    >>> outline = Outline("digits", Metric("validation_loss"), axes, ("init",), (0,), total_lanes=1)
    >>> read_records(Path("no/such/sweep"), outline)
    Traceback (most recent call last):
    ValueError: no/such/sweep/records contains no finished block of runs...
    """
    with explain_missing_extra("Reading records"):
        import pyarrow
        import pyarrow.parquet
    folder = directory / RECORDS_FOLDER
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise ValueError(
            f"{folder} contains no finished block of runs: the sweep stopped before its first "
            "block was finished. Run it again with the same output directory"
        )
    blocks = []
    for file in files:
        try:
            check_regular_file(file)
            # `read_table` would add a column for a folder named `lr=0.1`.
            with pyarrow.parquet.ParquetFile(file) as opened:
                check_size(opened.metadata, outline)
                block = opened.read()
            block.validate(full=True)  # strings that are not UTF-8 would raise later
            check_columns(block, outline)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(
                f"{file} cannot be read as Parquet ({escape_unprintable(str(error))}); move this "
                "file away to read the others, and run the sweep again into an empty directory "
                "to get its runs"
            ) from error
        blocks.append(block)
    try:
        table = pyarrow.concat_tables(blocks, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise ValueError(
            f"the files in {folder} have columns of different types ({error}): files of two sweeps "
            "are mixed in it; move those of the other sweep away"
        ) from error
    return _add_outcomes(table.take(_sort_indices(table, outline, directory)), outline)


def number_columns(records: "pyarrow.Table", outline: Outline) -> list[str]:
    """Return the columns that can be a metric: numbers that are neither axes nor about the run.

    Args:
      records: the records of a sweep.
      outline: its outline.

    >>> import pyarrow
    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("validation_loss"), {"lr": [0.1]}, (), (0,), 1)
    >>> table = pyarrow.table({"lr": [0.1], "seed": [0], "validation_loss": [0.5]})
    >>> number_columns(table, outline)
    ['validation_loss']
    """
    others = (*outline.axes, "compile_seconds")
    return [
        field.name
        for field in records.schema
        if str(field.type) in ("double", "float") and field.name not in others
    ]


def _add_outcomes(table: "pyarrow.Table", outline: Outline) -> "pyarrow.Table":
    """Return the records with the outcome of every run, after the verdict at initialization."""
    metric = outline.metric.name
    names = (*outline.axes, metric, f"{metric}_curve", f"{metric}_error", "diverged_at")
    known = [name for name in dict.fromkeys(names) if name in table.column_names]
    column = outcomes(table.select(known).to_pylist(), outline)
    return table.add_column(_outcome_place(table.column_names), OUTCOME_COLUMN, [column])


def _outcome_place(names: Sequence[str]) -> int:
    return names.index("at_initialization") + 1 if "at_initialization" in names else len(names)


def _sort_indices(table: "pyarrow.Table", outline: Outline, directory: Path) -> list[int]:
    required = required_columns(outline.axes, outline.metric.name)
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise ValueError(
            f"the records in {directory} have no column {', '.join(missing)}; they have "
            f"{', '.join(table.column_names)}. They may come from another version of jinit: "
            "run the sweep again into an empty directory"
        )
    keys = [*outline.axes, "seed"]
    rows = table.select(keys).to_pylist()
    _check_unique_lanes(rows, keys, directory)
    return sorted(range(len(rows)), key=lambda index: outline.sort_key(rows[index]))


def _check_unique_lanes(rows: list[dict[str, Any]], keys: list[str], directory: Path) -> None:
    """Raise if a lane is recorded twice, because it would count twice in every mean."""
    seen = set()
    for row in rows:
        lane = tuple(canonical_value(row[key]) for key in keys)
        if lane in seen:
            named = ", ".join(f"{key} {value_text(row[key])}" for key in keys)
            raise ValueError(
                f"the run ({named}) is recorded twice in {directory}; files of two sweeps are "
                "mixed in it: run the sweep again into an empty directory"
            )
        seen.add(lane)
