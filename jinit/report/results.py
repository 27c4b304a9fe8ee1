"""The results of a sweep, read from its directory."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinit.report.extras import needed_for
from jinit.report.facets import Facet, facets
from jinit.report.outline import Outline, read_outline
from jinit.report.recommendation import Recommendation, recommend
from jinit.report.records import read_records

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

FIGURE_FILE = "sweep.png"


@dataclass(frozen=True)
class Results:
    """What a sweep found: a light value that names a directory and reads it when asked.

    A sweep that was interrupted, or still runs, gives what its finished blocks hold.

    Args:
        directory: where the sweep wrote `sweep.json` and its records.

    Raises:
        ValueError: if the directory holds no sweep.

    >>> Results("no/such/sweep")
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """

    directory: Path

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "directory", Path(directory))
        read_outline(self.directory)

    @property
    def outline(self) -> Outline:
        """What the sweep set out to do."""
        return read_outline(self.directory)

    def frame(self) -> "pandas.DataFrame":
        """Every record, one row per lane, in the order of the axes and the seeds.

        Raises:
            ValueError: if no block is finished or a record cannot be read.
            MissingExtraError: if pandas or pyarrow is not installed.
        """
        records = read_records(self.directory, self.outline)
        with needed_for("A frame of the records"):
            return records.to_pandas()

    def best(self) -> tuple[Recommendation, ...]:
        """Which start each facet speaks for, and how sure that is.

        Raises:
            ValueError: as `frame`.
        """
        metric = self.outline.metric
        return tuple(recommend(facet, metric) for facet in self._facets())

    def table(self) -> "Table":
        """Every candidate with its verdict, signal and final metric, as a rich table.

        Raises:
            ValueError: as `frame`.
            MissingExtraError: if rich is not installed.
        """
        with needed_for("A table"):
            from jinit.report.table import sweep_table
        return sweep_table(self._facets(), self.outline)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Draws learning curves and activation std by layer; returns the PNG file written.

        Args:
            path: the file; `sweep.png` in the sweep's directory by default.

        Raises:
            ValueError: as `frame`.
            MissingExtraError: if matplotlib is not installed.
        """
        from jinit.report.figures import sweep_figure, write_figure

        target = Path(path) if path is not None else self.directory / FIGURE_FILE
        write_figure(sweep_figure(self._facets(), self.outline), target)
        return target

    def _facets(self) -> tuple[Facet, ...]:
        outline = self.outline
        return facets(read_records(self.directory, outline).to_pylist(), outline)
