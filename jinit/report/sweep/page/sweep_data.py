"""All that the page of a sweep shows, read once from its directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinit.record import read_outline_data
from jinit.report.initializer_colors import LineLook
from jinit.report.sweep.candidate import Candidate, RecordRow
from jinit.report.sweep.candidate_looks import candidate_looks, drawn_candidates
from jinit.report.sweep.comparison import FacetFinding, compare_candidates
from jinit.report.sweep.facets import Facet, find_facets
from jinit.report.sweep.outline import Outline, read_outline
from jinit.report.sweep.records import read_records


@dataclass(frozen=True)
class SweepData:
    """The outline of a sweep, its records, and what was found.

    Args:
      directory: the directory of the sweep.
      settings: its outline file.
      outline: its outline.
      rows: its records.
      facets: its facets.
      findings: the comparisons of every facet.
      looks: color and dashes by the name of a candidate, for those that are drawn.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("loss"), {"init": ["zeros"]}, ("init",), (0,), 1)
    >>> SweepData(Path("runs/a"), {}, outline, (), (), (), {}).drawn_candidates
    []
    """

    directory: Path
    settings: Mapping[str, Any]
    outline: Outline
    rows: Sequence[RecordRow]
    facets: Sequence[Facet]
    findings: Sequence[FacetFinding]
    looks: Mapping[str, LineLook]

    @property
    def drawn_candidates(self) -> list[Candidate]:
        """The candidates that are drawn, of all facets."""
        return [each for facet in self.facets for each in drawn_candidates(facet, self.looks)]

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates of all facets."""
        return [candidate for facet in self.facets for candidate in facet.candidates]

    @property
    def facet_control(self) -> str:
        """The name of the control that chooses a facet."""
        axes = [axis for axis in self.outline.facet_axes if axis in self.outline.varying_axes]
        return ", ".join(axes) or "setting"

    @property
    def curve_control(self) -> str:
        """The name of the control that chooses a curve."""
        return f"{self.facet_control}: curve" if len(self.facets) > 1 else "curve"

    def setting(self, facet: Facet) -> str:
        """Return the label of a facet if there are several, else nothing."""
        return facet.label if len(self.facets) > 1 else ""


def read_sweep_data(directory: Path, compare: str | Sequence[str] | None = None) -> SweepData:
    """Read all that the page of a sweep shows.

    Args:
      directory: the directory of the sweep.
      compare: the axes that compete, as in `Results.best`.

    Raises:
      ValueError: if no block is finished, a record cannot be read, or an axis is unknown.

    >>> read_sweep_data(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    outline = read_outline(directory).comparing(compare)
    rows = read_records(directory, outline).to_pylist()
    facets = find_facets(rows, outline)
    return SweepData(
        directory,
        read_outline_data(directory),
        outline,
        rows,
        facets,
        [compare_candidates(facet, outline.metric) for facet in facets],
        candidate_looks(facets, outline),
    )
