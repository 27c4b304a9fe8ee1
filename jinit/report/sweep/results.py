"""The results of a sweep, read from its directory."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure
from jinit.report.sweep.facets import Facet, find_facets
from jinit.report.sweep.outline import Outline, read_outline
from jinit.report.sweep.recommendation import Recommendation, recommend_candidate
from jinit.report.sweep.records import read_records

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from jinit.report.sweep.table import SweepTable

_HTML_COLUMNS = 110
_HTML_FORMAT = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


@dataclass(frozen=True, repr=False)
class Results:
    """The results of a sweep: the name of its directory, which every method reads anew.

    A sweep that was interrupted, or is still running, gives the records of its finished blocks.

    Args:
      directory: where the sweep wrote `sweep.json` and its records.

    Raises:
      ValueError: if the directory does not hold a sweep.

    >>> Results("no/such/sweep")
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """

    directory: Path

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "directory", Path(directory))
        read_outline(self.directory)

    def __repr__(self) -> str:
        return f"Results({str(self.directory)!r})"

    @property
    def outline(self) -> Outline:
        """The outline of the sweep: its task, metric, axes and seeds."""
        return read_outline(self.directory)

    def frame(self) -> "pandas.DataFrame":
        """Return every record, one row per lane, in the order of the axes and the seeds.

        `at_initialization` is the verdict of `jinit.diagnose` on the untrained network; `outcome`
        is `learned`, `learned slowly`, `did not learn` or `diverged`. A run has learned if its
        metric is better than that of a guess by three standard errors over the validation examples,
        and slowly if it is nearer to the guess than to the best configuration of the sweep.

        Raises:
          ValueError: if no block is finished or a record cannot be read.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        records = read_records(self.directory, self.outline)
        with explain_missing_extra("A frame of the records"):
            return records.to_pandas()

    def best(self) -> tuple[Recommendation, ...]:
        """Return the recommended initialization of every facet, and how sure it is.

        Raises:
          ValueError: if no block is finished or a record cannot be read.
          MissingExtraError: if pyarrow is not installed.
        """
        metric = self.outline.metric
        return tuple(recommend_candidate(facet, metric) for facet in self._read_facets())

    def table(self) -> "SweepTable":
        """Return a table for rich: initialization, outcome and final metric of every candidate.

        `rich.print(results.table())` shows it.

        Raises:
          ValueError: if no block is finished or a record cannot be read.
          MissingExtraError: if rich or pyarrow is not installed.
        """
        with explain_missing_extra("A table"):
            from jinit.report.sweep.table import SweepTable
        return SweepTable(self._read_facets(), self.outline)

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Return a figure of the learning curves and of the activation std by layer.

        Args:
          path: a file to write as well, in the format of its suffix: .png, .pdf or .svg.

        Returns:
          The matplotlib figure.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or `path` cannot be written.
          MissingExtraError: if matplotlib or pyarrow is not installed.
        """
        from jinit.report.sweep.figure import sweep_figure

        if path is not None:
            check_figure_path(path)
        figure = sweep_figure(self._read_facets(), self.outline)
        if path is not None:
            write_figure(figure, path)
        return figure

    def _repr_html_(self) -> str:
        """Return the table and the recommendations as HTML, for notebooks."""
        with explain_missing_extra("A table"):
            from rich.console import Console
            from rich.text import Text
        console = Console(file=io.StringIO(), record=True, width=_HTML_COLUMNS, force_terminal=True)
        console.print(self.table())
        for recommendation in self.best():
            console.print(Text(recommendation.sentence))
        return console.export_html(inline_styles=True, code_format=_HTML_FORMAT)

    def _read_facets(self) -> tuple[Facet, ...]:
        outline = self.outline
        return find_facets(read_records(self.directory, outline).to_pylist(), outline)
