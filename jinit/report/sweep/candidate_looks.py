"""The candidates that figures draw, and the color and dashes of each."""

from collections.abc import Collection, Sequence

from jinit.report.initializer_colors import LINE_LOOKS, LineLook, choose_looks
from jinit.report.sweep.candidate import Candidate
from jinit.report.sweep.facets import Facet, competitor_labels
from jinit.report.sweep.outline import Outline

MOST_LINES = 12
"""Greatest number of candidates in one figure."""


def candidate_looks(facets: Sequence[Facet], outline: Outline) -> dict[str, LineLook]:
    """Return the look by name of the candidates that are drawn, the best ranks first.

    At most twelve are drawn, those with the best rank in any facet. A look depends on the place of
    a candidate in the axes of the sweep, so it is the same in every figure of one sweep.

    Args:
      facets: the facets of the sweep.
      outline: its outline.

    >>> from jinit.report.sweep.metric import Metric
    >>> outline = Outline("digits", Metric("loss"), {"init": ["zeros"]}, ("init",), (0,), 1)
    >>> zeros = Candidate({"init": "zeros"}, "zeros", (), {0: 0.5}, ())
    >>> candidate_looks([Facet({}, "", (zeros,))], outline)
    {'zeros': LineLook(color='#808080', dash='solid')}
    """
    ranks: dict[str, int] = {}
    for facet in facets:
        for rank, candidate in enumerate(facet.candidates):
            ranks[candidate.name] = min(rank, ranks.get(candidate.name, rank))
    drawn = sorted(ranks, key=lambda name: ranks[name])[:MOST_LINES]
    names = list(dict.fromkeys([*competitor_labels(outline), *sorted(drawn)]))
    if len(names) > len(LINE_LOOKS):
        names = [name for name in names if name in drawn]
    looks = choose_looks(names)
    return {name: looks[name] for name in drawn}


def drawn_candidates(facet: Facet, names: Collection[str]) -> list[Candidate]:
    """Return the candidates of a facet that are drawn, best first.

    Args:
      facet: the facet.
      names: names of the candidates that are drawn.

    >>> drawn_candidates(Facet({}, "", (Candidate({}, "zeros", (), {0: 0.5}, ()),)), [])
    []
    """
    return [candidate for candidate in facet.candidates if candidate.name in names]
