"""The column by which the runs of a sweep are compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinit.choice import check_choice
from jinit.record import METRIC_PREFIXES
from jinit.sweep.groups import Group

_KNOWN_DIRECTIONS = {"loss": False, "accuracy": True}


@dataclass(frozen=True)
class SweepMetric:
    """The column by which runs are compared.

    Args:
      column: column of the records.
      larger_is_better: whether more is better.
      is_default: whether it was chosen by what is recorded.
    """

    column: str
    larger_is_better: bool
    is_default: bool


def check_metric(metric: str | None, maximize: bool | None) -> None:
    """Raise if a metric does not say whether more of it is better.

    Raises:
      ValueError: if neither its name nor `maximize` says so.
    """
    if metric is not None and maximize is None and _direction(metric) is None:
        raise ValueError(
            f"metric={metric!r} does not say whether more is better: give maximize=True or False"
        )


def choose_metric(
    groups: Sequence[Group], metric: str | None, maximize: bool | None
) -> SweepMetric:
    """Return the metric that was asked for, or accuracy, or else loss, of validation if possible.

    Args:
      groups: the groups, whose metrics have equal names.
      metric: the column asked for; None to choose it.
      maximize: whether more is better; None if its name says so.

    Raises:
      ValueError: if no such column is recorded, or nothing says whether more is better.
    """
    group = groups[0]
    part = "validation_" if group.is_evaluated else "train_"
    columns = [
        name if name.startswith(METRIC_PREFIXES) else f"{part}{name}"
        for name in group.metric_names()
    ]
    if not columns:
        raise ValueError(
            "the trial returns no metrics, by which its runs could be compared: return at least "
            "one from step or evaluate, such as {'loss': loss}"
        )
    if metric is not None:
        chosen = check_choice("metric", metric, columns)
    else:
        ranked = [f"{part}accuracy", f"{part}loss", *columns]
        chosen = next(name for name in ranked if name in columns)
    direction = _direction(chosen) if maximize is None else maximize
    if direction is None:
        raise ValueError(
            f"runs are compared by {chosen!r}, which does not say whether more is better: give "
            f"metric={chosen!r} and maximize=True or False to jinit.Sweep"
        )
    return SweepMetric(chosen, direction, is_default=metric is None)


def _direction(metric: str) -> bool | None:
    """Return whether more is better, if the name says so."""
    return next(
        (larger for word, larger in _KNOWN_DIRECTIONS.items() if metric.endswith(word)), None
    )
