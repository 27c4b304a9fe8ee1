"""The results of a sweep, read from its directory."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinit.choice import check_choice
from jinit.report.extras import explain_missing_extra
from jinit.report.figure_file import check_figure_path, write_figure
from jinit.report.notebook_page import notebook_page
from jinit.report.sweep.comparison_frame import comparison_columns, comparison_rows
from jinit.report.sweep.facets import Facet, find_facets
from jinit.report.sweep.heat_cells import pair_outline
from jinit.report.sweep.heat_map import heat_map_figure
from jinit.report.sweep.importance import IMPORTANCE_COLUMNS, importance_rows
from jinit.report.sweep.outline import Outline, read_outline
from jinit.report.sweep.recommendation import Recommendation, recommend_candidate
from jinit.report.sweep.records import number_columns, read_records
from jinit.report.sweep.run_layer_rows import run_layer_rows
from jinit.report.sweep.tuning import selection_metric

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from matplotlib.figure import Figure

    from jinit.report.sweep.table import SweepTable
    from jinit.report.tracking.export import Export

Compare = str | Sequence[str] | None
"""Axes that compete; None for those of the outline."""


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
        is `learned`, `learned slowly`, `unclear`, `did not learn` or `diverged`. A run has learned
        if its metric is better than that of a guess by three standard errors over the validation
        examples, and slowly if it is nearer to the guess than to the best configuration of the
        sweep. Otherwise it is unclear if it came a tenth of the way to a perfect run.

        Raises:
          ValueError: if no block is finished or a record cannot be read.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        records = read_records(self.directory, self.outline)
        with explain_missing_extra("A frame of the records"):
            return records.to_pandas()

    def arrow(self) -> "pyarrow.Table":
        """Return every record as an Arrow table, with the columns and the order of `frame()`.

        Raises:
          ValueError: if no block is finished or a record cannot be read.
          MissingExtraError: if pyarrow is not installed.
        """
        return read_records(self.directory, self.outline)

    def best(self, compare: Compare = None) -> tuple[Recommendation, ...]:
        """Return the recommended initialization of every facet, and how sure it is.

        Each competitor is represented by the values of the learning rate and of the other tuned
        axes that have the best validation loss, mean over seeds.

        Args:
          compare: an axis or several that compete in place of the initialization: those of
            training that do not compete are tuned, and all others are facets.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or an axis is unknown.
          MissingExtraError: if pyarrow is not installed.
        """
        outline = self.outline.comparing(compare)
        return tuple(
            recommend_candidate(facet, outline.metric) for facet in self._read_facets(outline)
        )

    def table(self, compare: Compare = None) -> "SweepTable":
        """Return a table for rich: a line per competitor, with its tuned values and final metric.

        `rich.print(results.table())` shows it.

        Args:
          compare: the axes that compete, as in `best`.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or an axis is unknown.
          MissingExtraError: if rich or pyarrow is not installed.
        """
        with explain_missing_extra("A table"):
            from jinit.report.sweep.table import SweepTable
        outline = self.outline.comparing(compare)
        return SweepTable(self._read_facets(outline), outline)

    def plot(self, path: str | os.PathLike[str] | None = None, compare: Compare = None) -> "Figure":
        """Return a figure of the learning curves and of the activation std by layer.

        Args:
          path: a file to write as well, in the format of its suffix: .png, .pdf or .svg.
          compare: the axes that compete, as in `best`.

        Returns:
          The matplotlib figure.

        Raises:
          ValueError: if no block is finished, a record cannot be read, an axis is unknown, or
            `path` cannot be written.
          MissingExtraError: if matplotlib or pyarrow is not installed.
        """
        from jinit.report.sweep.figure import sweep_figure

        if path is not None:
            check_figure_path(path)
        outline = self.outline.comparing(compare)
        figure = sweep_figure(self._read_facets(outline), outline)
        if path is not None:
            write_figure(figure, path)
        return figure

    def heat_map(
        self,
        path: str | os.PathLike[str] | None = None,
        axes: Sequence[str] = ("init", "lr"),
        compare: Compare = None,
    ) -> "Figure":
        """Return a figure of the mean metric by two axes, one panel per facet.

        The other axes that are tuned have their best values in every cell. A cell where every run
        diverged is crossed, one where some did has their number, and one without a run is gray.
        The best cell of each row is outlined.

        Args:
          path: a file to write as well, in the format of its suffix: .png, .pdf or .svg.
          axes: the axis of the rows, and that of the columns.
          compare: axes that have a panel for each value instead of being tuned, as in `best`.

        Returns:
          The matplotlib figure.

        Raises:
          ValueError: if no block is finished, a record cannot be read, an axis is unknown, or
            `path` cannot be written.
          MissingExtraError: if matplotlib or pyarrow is not installed.
        """
        if path is not None:
            check_figure_path(path)
        outline = pair_outline(self.outline.comparing(compare), axes)
        figure = heat_map_figure(self._read_facets(outline), outline)
        if path is not None:
            write_figure(figure, path)
        return figure

    def report(self, path: str | os.PathLike[str], compare: Compare = None) -> Path:
        """Write a page that shows all of the sweep: one HTML file, which needs no network.

        Args:
          path: the file to write, whose name ends in .html.
          compare: the axes that compete, as in `best`.

        Returns:
          The path.

        Raises:
          ValueError: if no block is finished, a record cannot be read, an axis is unknown, or
            `path` cannot be written.
          MissingExtraError: if Jinja or pyarrow is not installed.
        """
        from jinit.report.sweep.page.report import sweep_report

        return sweep_report(self.directory, path, compare)

    def importance(self, metric: str | None = None) -> "pandas.DataFrame":
        """Return how much of the variance of the metric each axis explains, the largest first.

        `share` is what an axis explains by itself, and `interaction_share` what it explains only
        together with others; the second is NaN unless the space is a full grid. The values are
        means over seeds, losses by their logarithms; the row `seed` has the share that is due to
        the spread over the seeds.

        Args:
          metric: another column of numbers.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or the metric is unknown.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        with explain_missing_extra("The importance of axes"):
            import pandas
        outline, rows = self._read_measured(None, metric)
        return pandas.DataFrame(importance_rows(rows, outline), columns=list(IMPORTANCE_COLUMNS))

    def comparison(self, compare: Compare = None, metric: str | None = None) -> "pandas.DataFrame":
        """Return every competitor beside the leader of its facet, with the statistics.

        Intervals have 95 %: `low` and `high` by Student's t over the seeds, `bootstrap_low` and
        `bootstrap_high` by the BCa bootstrap. `difference` is the mean lead of the leader over the
        seeds that both have, positive where the leader is better, and `cohens_d` (d_z) and
        `hedges_g` (g_av) are its sizes. `best_probability` is by the Bayesian bootstrap over seeds.
        `p_t` and `p_wilcoxon` are two-sided p-values of paired tests; for accuracies, Student's
        adds the variance of rounding to whole examples. The corrected ones hold for
        all comparisons with the leader, and for its choice by the same data: at most 5 % of sweeps
        have a false `is_worse`, and at most 5 % a false `is_clear`.

        Args:
          compare: the axes that compete, as in `best`.
          metric: another column of numbers to compare; tuned values are chosen as before.

        Returns:
          A row per competitor, best first in every facet.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or an axis or the metric is
            unknown.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        with explain_missing_extra("A comparison"):
            import pandas
        outline, rows = self._read_measured(compare, metric)
        found = comparison_rows(find_facets(rows, outline), outline.metric)
        return pandas.DataFrame(found, columns=comparison_columns(outline))

    def layers(self) -> "pandas.DataFrame":
        """Return the statistics of every layer of every run: a row per run, step and layer.

        Step 0 is the untrained network, and later steps are those of `Sweep(measure_at=...)`, in
        order of execution. The statistics have the columns of `frame()`: standard deviation and
        second moment of the outputs of a layer before its activation function, standard deviation
        of the gradient by them, and the fractions of dead units and of saturated activations.

        Raises:
          ValueError: if no block is finished, a record cannot be read, or no layer was measured.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        with explain_missing_extra("A frame of the layers"):
            import pandas
        outline = self.outline
        records = read_records(self.directory, outline).to_pylist()
        return pandas.DataFrame(run_layer_rows(records, tuple(outline.axes)))

    def track(self, tracker: str, destination: str | os.PathLike[str] | None = None) -> "Export":
        """Write every finished run to an experiment tracker, unless it is there already.

        A run has its curves by tag and step, such as `validation/loss`, its axes and its seed as
        hyper-parameters, and its outcome, which compares it with the runs that are recorded so far.
        A run that diverged has failed. The group, experiment or folder of the sweep is named for
        its directory and the time when it started. wandb and MLflow report on their use where there
        is a network, unless WANDB_ERROR_REPORTING=false or MLFLOW_DISABLE_TELEMETRY=true is set.

        Args:
          tracker: `tensorboard`, `wandb` (offline, unless WANDB_MODE says otherwise), `trackio` (on
            this machine) or `mlflow`.
          destination: a directory, or a tracking URI of MLflow; None for the directory in that of
            the sweep which has the name of the tracker.

        Returns:
          Where the runs are, how many were written, and the command that shows them.

        Raises:
          ValueError: if the tracker is unknown, no block is finished, a record cannot be read, or
            the destination cannot be written to.
          MissingExtraError: if the tracker or pyarrow is not installed.
        """
        from jinit.report.tracking.export import export_sweep

        return export_sweep(self.directory, tracker, destination)

    def params(self, row: Mapping[str, Any] | None = None, *, like: Any = None) -> Any:
        """Return the trained parameters of the best run, or of a chosen one.

        A sweep saves those of the run with the best final metric, and with `save="all"` those of
        every run.

        Args:
          row: a row of `frame()`, or a dictionary with the axes and the seed of a run; None for the
            best run.
          like: tree of arrays or shapes, whose structure the result gets; None for that of the
            file, in which tuples are lists.

        Raises:
          ValueError: if the parameters of this run were not saved.
        """
        from jinit.report.sweep.saved_params import load_params

        return load_params(self.directory, self.outline, row, like)

    def _repr_html_(self) -> str:
        """Return the table and the recommendations as HTML, for notebooks."""
        return notebook_page(self.table(), *(each.sentence for each in self.best()))

    def _read_facets(self, outline: Outline) -> tuple[Facet, ...]:
        return find_facets(read_records(self.directory, outline).to_pylist(), outline)

    def _read_measured(
        self, compare: Compare, metric: str | None
    ) -> tuple[Outline, list[dict[str, Any]]]:
        """Return the outline with other axes that compete and another metric, and the records."""
        outline = self.outline.comparing(compare)
        records = read_records(self.directory, outline)
        rows = records.to_pylist()
        if metric is not None:
            check_choice("metric", metric, number_columns(records, outline))
            outline = outline.measuring(metric, selection_metric(rows, outline))
        return outline, rows
