"""Views of a facet: the candidates that learned, and all."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.comparison import Comparison, FacetFinding
from jinit.report.sweep.page.sweep_data import SweepData
from jinit.report.text import join_names

MOST_ROWS = 30
"""Greatest number of candidates of a view."""


@dataclass(frozen=True)
class FacetView:
    """Some candidates of a facet, best first, under a name.

    Args:
      name: name of the view, for the control that chooses it.
      finding: the comparisons of the facet.
      shown: the candidates that are shown.
      sentence: which candidates are not shown; empty if all are.
      is_complete: whether those that did not learn are shown too.
    """

    name: str
    finding: FacetFinding
    shown: Sequence[Candidate]
    sentence: str
    is_complete: bool

    @property
    def comparisons(self) -> list[Comparison]:
        """The known differences to the leader, of the candidates that are shown."""
        kept = {id(candidate) for candidate in self.shown}
        known = [each for each in self.finding.comparisons if each.difference is not None]
        return [each for each in known if id(each.candidate) in kept]


def facet_views(sweep: SweepData, finding: FacetFinding) -> list[FacetView]:
    """Return the views of a facet: first that of the candidates that learned, if others did not.

    Without it, the differences between those that learn would be too small to be seen.

    Args:
      sweep: the sweep.
      finding: the comparisons of the facet.
    """
    setting, candidates = sweep.setting(finding.facet), finding.facet.candidates
    learned = [each for each in candidates if each.has_learned(finding.metric)]
    others = [each.name for each in candidates if not each.has_learned(finding.metric)]
    named = [setting] if setting else []
    shown = candidates[:MOST_ROWS]
    cut = len(candidates) - len(shown)
    note = f"The best {MOST_ROWS} of {len(candidates)} candidates are shown." if cut else ""
    views = [FacetView(": ".join([*named, "all"]), finding, shown, note, is_complete=True)]
    if others and len(learned) > 1:
        note = f"Not shown: {join_names(others)}, which did not learn."
        first = ": ".join([*named, "those that learned"])
        views.insert(0, FacetView(first, finding, learned[:MOST_ROWS], note, is_complete=False))
    return views
