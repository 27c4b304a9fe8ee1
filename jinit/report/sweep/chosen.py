"""The configuration that each competitor of a sweep is represented by."""

from collections.abc import Iterable, Sequence

from jinit.report.sweep.candidate import RecordRow
from jinit.report.sweep.facets import find_facets, group_by_axes
from jinit.report.sweep.outline import AxisValues, Outline


def chosen_configs(
    records: Sequence[RecordRow], outline: Outline, *, furthest_only: bool = False
) -> tuple[AxisValues, ...]:
    """Return the configuration with the best mean over seeds of every competitor of every facet.

    Args:
      records: the records of the sweep.
      outline: its outline.
      furthest_only: whether only those configurations of a competitor count that were trained for
        the most steps, because the others were eliminated.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["a", "b"], "lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 4, tune=("lr",))
    >>> losses = {("a", 0.1): 0.5, ("a", 1.0): 0.2, ("b", 0.1): 0.1, ("b", 1.0): 0.9}
    >>> rows = [{"init": a, "lr": b, "seed": 0, "loss": loss} for (a, b), loss in losses.items()]
    >>> [config["lr"] for config in chosen_configs(rows, outline)]
    [1.0, 0.1]
    """
    if furthest_only:
        records = _furthest_rows(records, outline)
    facets = find_facets(records, outline)
    firsts = [candidate.records[0] for facet in facets for candidate in facet.candidates]
    keys = {outline.config_key(row) for row in firsts}
    return tuple(each for each in outline.configurations if outline.config_key(each) in keys)


def _furthest_rows(records: Iterable[RecordRow], outline: Outline) -> list[RecordRow]:
    """Return the records of the configurations of each competitor that were trained longest."""
    found = []
    for competitor in group_by_axes(records, (*outline.facet_axes, *outline.compare)):
        groups = group_by_axes(competitor, outline.tune)
        steps = [max(row["step"][-1] for row in rows) for rows in groups]
        furthest = [
            rows for rows, reached in zip(groups, steps, strict=True) if reached >= max(steps)
        ]
        found += [row for rows in furthest for row in rows]
    return found
