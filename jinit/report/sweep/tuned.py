"""The result of tuning: a search, and the configurations that it chose on fresh seeds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jinit.record import CONFIRM_FOLDER, SEARCH_FOLDER
from jinit.report.extras import explain_missing_extra
from jinit.report.notebook_page import notebook_page
from jinit.report.sweep.facets import Facet, find_facets
from jinit.report.sweep.outline import AxisValues, Outline
from jinit.report.sweep.recommendation import Recommendation, recommend_candidate
from jinit.report.sweep.records import read_records
from jinit.report.sweep.results import Results
from jinit.report.sweep.tuning import selection_metric
from jinit.report.text import join_names

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from jinit.report.sweep.table import SweepTable


@dataclass(frozen=True, repr=False)
class Tuned:
    """The result of `jinit.tune`: the name of its directory, which every method reads anew.

    The search chose the learning rate and the other tuned values of every competitor. The chosen
    configurations were trained again on fresh seeds, so that the choice does not favor any of them
    through lucky seeds. If the task has test examples, competitors are compared by these, which
    took no part in the choice either.

    Args:
      directory: the directory that `jinit.tune` wrote to.

    Raises:
      ValueError: if the directory does not hold a search and its confirmation.

    >>> Tuned("no/such/directory")
    Traceback (most recent call last):
    ValueError: no/such/directory/search does not exist; expected the output directory of a sweep...
    """

    directory: Path

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "directory", Path(directory))
        _ = self.search, self.confirmed

    def __repr__(self) -> str:
        return f"Tuned({str(self.directory)!r})"

    @property
    def search(self) -> Results:
        """The results of the search."""
        return Results(self.directory / SEARCH_FOLDER)

    @property
    def confirmed(self) -> Results:
        """The results of the chosen configurations on fresh seeds."""
        return Results(self.directory / CONFIRM_FOLDER)

    @property
    def choices(self) -> tuple[AxisValues, ...]:
        """The chosen configurations, one per competitor and facet: value by axis, as recorded."""
        return self.confirmed.outline.configurations

    @property
    def sentence(self) -> str:
        """The competitor to use on each facet, with its tuned values, and how sure that is."""
        seeds = len(self.confirmed.outline.seeds)
        findings = " ".join(each.sentence for each in self.best())
        return f"On {seeds} fresh {'seed' if seeds == 1 else 'seeds'}: {findings}"

    def best(self) -> tuple[Recommendation, ...]:
        """Return the recommended configuration of every facet, and how sure it is.

        Competitors are compared on fresh seeds, by the test examples if there are any.

        Raises:
          ValueError: if no block of the confirmation is finished, or a record cannot be read.
          MissingExtraError: if pyarrow is not installed.
        """
        facets, outline = self._read_confirmed()
        return tuple(recommend_candidate(facet, outline.metric) for facet in facets)

    def table(self) -> "SweepTable":
        """Return a table for rich: every competitor with its tuned values, on fresh seeds.

        `rich.print(tuned.table())` shows it.

        Raises:
          ValueError: if no block of the confirmation is finished, or a record cannot be read.
          MissingExtraError: if rich or pyarrow is not installed.
        """
        with explain_missing_extra("A table"):
            from jinit.report.sweep.table import SweepTable
        return SweepTable(*self._read_confirmed())

    def frame(self) -> "pandas.DataFrame":
        """Return every competitor beside the leader of its facet, with the statistics.

        There are rows for the metric of validation and, if the task has test examples, for that of
        the test. `search_mean` is the mean in the search, where the same runs chose the values. The
        other columns, of fresh seeds only, are those of `Results.comparison`.

        Returns:
          A row per metric and competitor, best first in every facet.

        Raises:
          ValueError: if no block of the confirmation is finished, or a record cannot be read.
          MissingExtraError: if pandas or pyarrow is not installed.
        """
        with explain_missing_extra("A frame of the competitors"):
            import pandas
        outline = self.confirmed.outline
        names = dict.fromkeys((outline.metric.name, _decisive_metric(outline)))
        return pandas.concat([self._compare(name) for name in names], ignore_index=True)

    def _compare(self, metric: str) -> "pandas.DataFrame":
        frame = self.confirmed.comparison(metric=metric)
        outline, means = self.confirmed.outline, self._search_means(metric)
        keys = [outline.config_key(row) for row in frame.to_dict("records")]
        frame.insert(0, "metric", metric)
        place = list(frame.columns).index("mean")
        frame.insert(place, "search_mean", [means[key] for key in keys])
        return frame

    def _search_means(self, metric: str) -> dict[tuple, float]:
        """Return the mean over the seeds of the search for every one of its configurations."""
        facets, _ = _read_facets(self.search, metric, each_config=True)
        outline = self.confirmed.outline
        return {
            outline.config_key(facet.config | candidate.config): candidate.interval.mean
            for facet in facets
            for candidate in facet.candidates
        }

    def heat_map(
        self,
        path: str | os.PathLike[str] | None = None,
        axes: Sequence[str] | None = None,
    ) -> "Figure":
        """Return a figure of the mean metric of the search by two axes, one panel per facet.

        Args:
          path: a file to write as well, in the format of its suffix: .png, .pdf or .svg.
          axes: the axis of the rows, and that of the columns; by default one that competes and one
            that is tuned, such as `init` and `lr`.

        Returns:
          The matplotlib figure.

        Raises:
          ValueError: if there are no such axes, no block is finished, or `path` cannot be written.
          MissingExtraError: if matplotlib or pyarrow is not installed.
        """
        return self.search.heat_map(path, axes or _default_pair(self.search.outline))

    def _repr_html_(self) -> str:
        """Return the table and the recommendations as HTML, for notebooks."""
        return notebook_page(self.table(), self.sentence)

    def _read_confirmed(self) -> tuple[tuple[Facet, ...], Outline]:
        return _read_facets(self.confirmed, _decisive_metric(self.confirmed.outline))


def _decisive_metric(outline: Outline) -> str:
    """Return the column by which the confirmed competitors are compared."""
    return (outline.test_metric or outline.metric).name


def _read_facets(
    results: Results, metric: str, *, each_config: bool = False
) -> tuple[tuple[Facet, ...], Outline]:
    """Return the facets compared by a column, and their outline."""
    outline = results.outline
    rows = read_records(results.directory, outline).to_pylist()
    outline = outline.measuring(metric, selection_metric(rows, outline))
    if outline.test_metric is not None and outline.test_metric.name == metric:
        outline = replace(outline, test_metric=None)  # a sentence would say it twice
    if each_config:
        outline = replace(outline, compare=(*outline.compare, *outline.tune), tune=())
    return find_facets(rows, outline), outline


def _default_pair(outline: Outline) -> tuple[str, str]:
    """Return an axis that competes and one that is tuned, preferably axes that vary."""
    tuned = (*outline.varying_tuned_axes, *outline.tune)
    axes = (*outline.compare, *outline.varying_axes, *outline.axes)
    rows = [axis for axis in axes if axis not in tuned[:1]]
    if not tuned or not rows:
        raise ValueError(
            f"a heat map needs two axes, and the search has {join_names(list(outline.axes))}"
        )
    return rows[0], tuned[0]
