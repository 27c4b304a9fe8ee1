"""The outline of a sweep: its task, metric, axes, their roles and seeds, read from its file."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jinit.choice import check_choice
from jinit.record import read_outline_data
from jinit.report.sweep.metric import Metric, known_direction

AxisValues = dict[str, Any]
"""Value by axis; without the axes that a configuration lacks."""

_TRAINING_AXES = ("lr", "learning_rate", "l1", "l2", "weight_decay", "optimizer", "batch_size")
"""Axes that are tuned again when other axes compete in their place."""


def canonical_value(value: object) -> Any:
    """Return one value for all spellings of an axis value, such as 1 in JSON and 1.0 in Parquet.

    >>> canonical_value(1) == canonical_value(1.0)
    True
    >>> canonical_value([64, 64]) == canonical_value((64, 64))
    True
    >>> canonical_value(None) == canonical_value(float("nan"))
    True
    """
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(value, str | None) else json.dumps(value, default=str)


@dataclass(frozen=True)
class Outline:
    """The outline of a sweep.

    Every axis has one of three roles: its values compete, they are tuned for each competitor, or
    each of them is a facet, which is reported apart.

    Args:
      task: name of the task.
      metric: the final column by which candidates are compared.
      axes: values by axis, in the order in which reports show them.
      compare: the axes that compete.
      seeds: seeds of every configuration.
      total_lanes: number of lanes when the sweep is complete.
      tune: the axes whose values are chosen for each competitor.
      selection: the column by which they are chosen; None for the validation loss, or the metric
        where there is none.
      configs: all configurations in their order; None for all combinations of the values.
      test_metric: the column of the test examples that is shown besides the metric.
      validation_examples: number of examples that the metric is a mean over.

    >>> outline = Outline(
    ...     task="digits",
    ...     metric=Metric("validation_loss"),
    ...     axes={"init": ["zeros", "he_normal"], "depth": [2], "lr": [0.001, 0.01]},
    ...     compare=("init",),
    ...     tune=("lr",),
    ...     seeds=(0, 1),
    ...     total_lanes=8,
    ... )
    >>> outline.varying_axes, outline.facet_axes
    (('init', 'lr'), ('depth',))
    """

    task: str
    metric: Metric
    axes: Mapping[str, list]
    compare: tuple[str, ...]
    seeds: tuple[int, ...]
    total_lanes: int
    tune: tuple[str, ...] = ()
    selection: Metric | None = None
    configs: tuple[AxisValues, ...] | None = None
    test_metric: Metric | None = None
    validation_examples: int = 1

    @property
    def facet_axes(self) -> tuple[str, ...]:
        """The axes whose combinations are reported apart from each other."""
        return tuple(axis for axis in self.axes if axis not in (*self.compare, *self.tune))

    @property
    def varying_axes(self) -> tuple[str, ...]:
        """The axes with more than one value."""
        return tuple(axis for axis, values in self.axes.items() if len(values) > 1)

    @property
    def varying_tuned_axes(self) -> tuple[str, ...]:
        """The tuned axes with more than one value."""
        return tuple(axis for axis in self.tune if axis in self.varying_axes)

    @cached_property
    def configurations(self) -> tuple[AxisValues, ...]:
        """Every configuration, in the order of the sweep."""
        if self.configs is not None:
            return self.configs
        rows = itertools.product(*self.axes.values())
        return tuple(dict(zip(self.axes, row, strict=True)) for row in rows)

    def comparing(self, compare: str | Sequence[str] | None) -> "Outline":
        """Return the outline with other axes that compete.

        Those of training that compete no longer are tuned, and all others are facets.

        Args:
          compare: an axis or several; None for those of the outline.

        Raises:
          ValueError: if no axis is given, or one is not an axis of the sweep.

        >>> axes = {"init": ["zeros", "ones"], "lr": [0.1, 1.0], "l2": [0.0, 0.1]}
        >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 8, ("lr", "l2"))
        >>> outline.comparing("lr").tune, outline.comparing("lr").facet_axes
        (('l2',), ('init',))
        """
        if compare is None:
            return self
        wanted = (compare,) if isinstance(compare, str) else tuple(compare)
        if not wanted:
            raise ValueError(
                f"compare: expected an axis or several of {', '.join(self.axes)}, got {compare!r}"
            )
        for axis in wanted:
            check_choice("axis", axis, self.axes)
        training = {*self.tune, *set(self.compare).intersection(_TRAINING_AXES)} - set(wanted)
        return replace(
            self,
            compare=tuple(axis for axis in self.axes if axis in wanted),
            tune=tuple(axis for axis in self.axes if axis in training),
        )

    def measuring(self, name: str, selection: Metric) -> "Outline":
        """Return the outline with another metric; tuned values are chosen as before.

        Args:
          name: the column; whether more is better is as the name says, else as for the metric.
          selection: the column by which tuned values are chosen.

        >>> outline = Outline("digits", Metric("validation_loss"), {"init": ["zeros"]}, (), (0,), 1)
        >>> outline.measuring("test_accuracy", outline.metric).metric.larger_is_better
        True
        """
        known = {each.name: each for each in (self.metric, self.test_metric) if each is not None}
        direction = known_direction(name)
        direction = self.metric.larger_is_better if direction is None else direction
        other = Metric(name, larger_is_better=direction)
        if _ending(name) == _ending(self.metric.name):
            other = replace(self.metric, name=name)
        return replace(self, metric=known.get(name, other), selection=selection)

    def sort_key(self, row: Mapping[str, Any]) -> tuple:
        """Return the sort key of a record: its place among the configurations, then the seed."""
        place = self._places.get(self.config_key(row), len(self._places))
        return (place, *(self._value_rank(axis, row[axis]) for axis in self.axes), row["seed"])

    def config_key(self, config: Mapping[str, Any]) -> tuple:
        """Return a value that is equal for equal configurations.

        Args:
          config: value by axis, or a record.
        """
        return tuple(canonical_value(config.get(axis)) for axis in self.axes)

    @cached_property
    def _places(self) -> dict[tuple, int]:
        configs = self.configs or ()
        return {self.config_key(config): place for place, config in enumerate(configs)}

    @cached_property
    def _ranks(self) -> dict[str, dict[Any, int]]:
        return {
            axis: {canonical_value(value): rank for rank, value in enumerate(values)}
            for axis, values in self.axes.items()
        }

    def _value_rank(self, axis: str, value: object) -> tuple[int, str]:
        known, canonical = self._ranks[axis], canonical_value(value)
        return (known[canonical], "") if canonical in known else (len(known), str(canonical))


def read_outline(directory: Path) -> Outline:
    """Read the outline of the sweep in a directory.

    Args:
      directory: where the sweep wrote `sweep.json`.

    Returns:
      The outline.

    Raises:
      ValueError: if the directory or the file is missing, or the file does not hold an outline.

    >>> read_outline(Path("no/such/sweep"))
    Traceback (most recent call last):
    ValueError: no/such/sweep does not exist; expected the output directory of a sweep...
    """
    data = read_outline_data(directory)
    name, selection, test = data["metric"], data.get("selection"), data.get("test_metric")
    metric = _metric(name, data, data.get("larger_is_better"))
    return Outline(
        task=data["task"],
        metric=metric,
        axes=data["axes"],
        compare=tuple(axis for axis in data["axes"] if axis in data["compare"]),
        tune=tuple(axis for axis in data["axes"] if axis in data["tune"]),
        selection=_other_metric(selection, metric, data) if selection else None,
        configs=tuple(map(_present_values, data["configs"])) if data.get("configs") else None,
        test_metric=_other_metric(test, metric, data) if test else None,
        seeds=tuple(data["seeds"]),
        total_lanes=data["lanes"],
        validation_examples=data["validation_examples"],
    )


def _ending(name: str) -> str:
    """Return the word that a column's name ends in, such as `loss`."""
    return name.rpartition("_")[2]


def _present_values(config: AxisValues) -> AxisValues:
    return {axis: value for axis, value in config.items() if value is not None}


def _other_metric(name: str, metric: Metric, data: Mapping[str, Any]) -> Metric:
    """Return another column as a metric; a name without a direction has that of the metric."""
    if name == metric.name:
        return metric
    direction = known_direction(name)
    return _metric(name, data, metric.larger_is_better if direction is None else direction)


def _metric(name: str, data: Mapping[str, Any], larger_is_better: bool | None) -> Metric:
    """Return a column as a metric; accuracies are over the examples of its part of the data."""
    tested = data.get("test_examples") if name.startswith("test_") else None
    examples = data["validation_examples"] if tested is None else tested
    is_counted = name.endswith("accuracy") and examples > 0
    resolution = 1 / examples if is_counted else 0.0
    return Metric(name, _chance(data, name), larger_is_better, resolution)


def _chance(data: Mapping[str, Any], name: str) -> float | None:
    """Return a column's value for a guess: the recorded one, else that of equal classes."""
    recorded, metric = data.get("chance"), data["metric"]
    if recorded is not None and _ending(name) == _ending(metric):
        return float(recorded)
    if not data.get("classes"):
        return None
    if name.endswith("accuracy"):
        return 1 / data["classes"]
    return math.log(data["classes"]) if name.endswith("loss") else None
