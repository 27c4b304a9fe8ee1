"""Records grouped for comparison: facets of candidates, candidates of seeds."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinit.report.metric import Metric
from jinit.report.outline import Outline, identity
from jinit.report.statistics import Interval, mean_interval

Row = Mapping[str, Any]


def printable(text: str) -> str:
    r"""The text with everything that could steer a terminal written as an escape.

    >>> printable("he" + chr(27) + "[31m")
    'he\\x1b[31m'
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def value_text(value: object) -> str:
    """An axis value for people.

    >>> value_text(0.001), value_text("relu"), value_text(8)
    ('0.001', 'relu', '8')
    """
    return f"{value:g}" if isinstance(value, float) else printable(str(value))


def has_diverged(row: Row, metric: Metric) -> bool:
    """Whether a lane left the finite numbers, or ended without a finite value of the metric.

    >>> has_diverged({"validation_loss": 0.1, "diverged_at": 40}, Metric("validation_loss"))
    True
    """
    value = row.get(metric.name)
    return (
        row.get("diverged_at") is not None
        or row.get("verdict") == "diverged"
        or value is None
        or not math.isfinite(value)
    )


@dataclass(frozen=True)
class Candidate:
    """One configuration inside a facet: its records, and the metric by seed.

    Args:
        config: value by candidate axis.
        label: the configuration for people; axes with one value are left out.
        rows: its records, by seed.
        values: the metric by seed, with diverged lanes at the worst value.
        diverged: the seeds that diverged.

    >>> Candidate({"init": "ones"}, "ones", (), {0: 0.5, 1: 0.5}, ()).interval.mean
    0.5
    """

    config: dict[str, Any]
    label: str
    rows: tuple[Row, ...]
    values: dict[int, float]
    diverged: tuple[int, ...]

    @cached_property
    def interval(self) -> Interval:
        """Mean of the metric over the seeds and its 95 % interval."""
        return mean_interval(self.values.values())

    @property
    def named(self) -> str:
        """The label, and how many of its runs diverged, if any."""
        lost = len(self.diverged)
        return f"{self.label} ({lost} of {len(self.values)} diverged)" if lost else self.label


@dataclass(frozen=True)
class Facet:
    """One combination of the program axes, and the candidates that competed in it, best first.

    Candidates with at least two seeds come first: a single run says nothing about its spread.

    >>> Facet({"activation": "relu"}, "relu", ()).label
    'relu'
    """

    config: dict[str, Any]
    label: str
    candidates: tuple[Candidate, ...]


def facets(rows: Iterable[Row], outline: Outline) -> tuple[Facet, ...]:
    """Groups records by the program axes, then by the candidate axes, in the order of the axes.

    Args:
        rows: records, in the order of the axes and the seeds.
        outline: the plan of the sweep.

    >>> plan = Outline(
    ...     "t", Metric("loss"), {"init": ["zeros"], "depth": [2, 4]}, ("depth",), (0,), 2
    ... )
    >>> rows = [{"init": "zeros", "depth": depth, "seed": 0, "loss": 1.0} for depth in (2, 4)]
    >>> [facet.label for facet in facets(rows, plan)]
    ['depth 2', 'depth 4']
    """
    return tuple(
        _facet(config, group, outline) for config, group in _groups(rows, outline.program_axes)
    )


def _groups(
    rows: Iterable[Row], axes: tuple[str, ...]
) -> list[tuple[dict[str, Any], tuple[Row, ...]]]:
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(identity(row[axis]) for axis in axes), []).append(row)
    return [({axis: group[0][axis] for axis in axes}, tuple(group)) for group in groups.values()]


def _facet(config: dict[str, Any], rows: tuple[Row, ...], outline: Outline) -> Facet:
    metric = outline.metric
    finite = [row[metric.name] for row in rows if not has_diverged(row, metric)]
    worst = metric.worst(finite)
    groups = _groups(rows, outline.candidate_axes)
    candidates = [_candidate(each, group, outline, worst) for each, group in groups]
    return Facet(
        config,
        _facet_label(config, outline),
        tuple(sorted(candidates, key=lambda each: _standing(each, metric))),
    )


def _candidate(
    config: dict[str, Any], rows: tuple[Row, ...], outline: Outline, worst: float
) -> Candidate:
    metric = outline.metric
    lost = {row["seed"] for row in rows if has_diverged(row, metric)}
    values = {row["seed"]: worst if row["seed"] in lost else row[metric.name] for row in rows}
    return Candidate(config, _candidate_label(config, outline), rows, values, tuple(sorted(lost)))


def _standing(candidate: Candidate, metric: Metric) -> tuple[bool, bool, float]:
    mean = candidate.interval.mean
    return len(candidate.values) < 2, math.isnan(mean), -metric.gain(mean)


def _facet_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Words stand alone (`relu`); numbers need the name of their axis, if they vary at all."""
    words, varying = _words(config), _varying_numbers(config, outline)
    return ", ".join([*words, *(f"{axis} {value_text(config[axis])}" for axis in varying)])


def _candidate_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Numbers stand in brackets (`he_normal [lr=0.1]`), so that labels can be listed by commas."""
    words = ", ".join(_words(config))
    pairs = [f"{axis}={value_text(config[axis])}" for axis in _varying_numbers(config, outline)]
    if not words:
        return ", ".join(pairs) or "the start"
    return f"{words} [{', '.join(pairs)}]" if pairs else words


def _words(config: Mapping[str, Any]) -> list[str]:
    return [value_text(value) for value in config.values() if isinstance(value, str)]


def _varying_numbers(config: Mapping[str, Any], outline: Outline) -> list[str]:
    return [
        axis
        for axis, value in config.items()
        if axis in outline.varying and not isinstance(value, str)
    ]
