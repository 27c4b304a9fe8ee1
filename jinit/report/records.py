"""The records of a sweep, read from its Parquet files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinit.report.extras import needed_for
from jinit.report.outline import Outline, identity

if TYPE_CHECKING:
    import pyarrow

RECORDS = "records"


def read_records(directory: Path, outline: Outline) -> "pyarrow.Table":
    """Every record of a sweep as one Arrow table, in the order of the axes and the seeds.

    Args:
        directory: the sweep's directory.
        outline: what the sweep set out to do.

    Raises:
        ValueError: if there is no record, a file cannot be read, a column is missing, or a lane
            stands there twice.
        MissingExtraError: if pyarrow is not installed.

    >>> from jinit.report.metric import Metric
    >>> plan = Outline("digits", Metric("validation_loss"), {"init": ["zeros"]}, (), (0,), 1)
    >>> read_records(Path("no/such/sweep"), plan)
    Traceback (most recent call last):
    ValueError: no/such/sweep/records holds no finished block of lanes...
    """
    with needed_for("Reading records"):
        import pyarrow
        import pyarrow.parquet
    files = sorted((directory / RECORDS).glob("*.parquet"))
    if not files:
        raise ValueError(
            f"{directory / RECORDS} holds no finished block of lanes; the sweep stopped before its "
            "first block ended: run it again with the same output directory"
        )
    blocks = []
    for file in files:
        try:
            # `read_table` would make a column of a folder that is named `lr=0.1`.
            with pyarrow.parquet.ParquetFile(file) as opened:
                blocks.append(opened.read())
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{file} cannot be read as Parquet ({error}); move that one file away to read "
                "the others, and run the sweep again into an empty directory for its lanes"
            ) from error
    table = pyarrow.concat_tables(blocks, promote_options="permissive")
    return table.take(_sorted_indices(table, outline, directory))


def _sorted_indices(table: "pyarrow.Table", outline: Outline, directory: Path) -> list[int]:
    keys = [*outline.axes, "seed"]
    missing = [name for name in (*keys, outline.metric.name) if name not in table.column_names]
    if missing:
        raise ValueError(
            f"the records in {directory} have no column {', '.join(missing)}; they have "
            f"{', '.join(table.column_names)}. They may come from another version of jinit: "
            "run the sweep again into an empty directory"
        )
    rows = table.select(keys).to_pylist()
    _refuse_twins(rows, keys, directory)
    return sorted(range(len(rows)), key=lambda index: outline.order(rows[index]))


def _refuse_twins(rows: list[dict[str, Any]], keys: list[str], directory: Path) -> None:
    """Two records of one lane would count twice in every mean."""
    seen = set()
    for row in rows:
        lane = tuple(identity(row[key]) for key in keys)
        if lane in seen:
            named = ", ".join(f"{key} {row[key]}" for key in keys)
            raise ValueError(
                f"the lane ({named}) is recorded twice in {directory}; files of two sweeps were "
                "mixed: run the sweep again into an empty directory"
            )
        seen.add(lane)
