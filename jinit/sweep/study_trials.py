"""The trials that a study asks for, as configurations of a space."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jinit.sweep.axis_checks import check_axis, read_axis
from jinit.sweep.axis_values import read_value, record_value, value_identity
from jinit.sweep.between import Between
from jinit.sweep.space import Config, Space

StudyAxes = Mapping[str, Iterable[Any] | Between] | Callable[[Any], Config]
"""A range or a list of values by axis, or a function of an Optuna trial that returns a value by
axis."""


@dataclass(frozen=True)
class Suggestion:
    """Suggests a configuration to an Optuna trial.

    Args:
      axes: a range or a list of values by axis.

    Raises:
      ValueError: if an axis cannot work.

    >>> class First:
    ...     def suggest_categorical(self, name, choices):
    ...         return choices[0]
    >>> Suggestion({"init": ["he_normal", "zeros"]})(First())
    {'init': he_normal()}
    """

    axes: Mapping[str, Iterable[Any] | Between]

    def __post_init__(self) -> None:
        if not self.axes:
            raise ValueError("run_study: no axes; give at least one, such as lr=between(1e-4, 0.1)")
        found = {name: _read_axis(name, values) for name, values in self.axes.items()}
        object.__setattr__(self, "axes", found)

    def __call__(self, trial: Any) -> Config:
        """Return the value of every axis that the trial suggests."""
        return {name: _suggest(trial, name, values) for name, values in self.axes.items()}


def _read_axis(name: str, values: Any) -> Between | tuple[Any, ...]:
    if isinstance(values, Between) and name not in ("seed", "seeds", "init", "optimizer"):
        return values
    choices = read_axis("run_study", name, values)
    check_axis("run_study", name, choices)
    return choices


def _suggest(trial: Any, name: str, values: Any) -> Any:
    if not isinstance(values, Between):
        named = {record_value(value): value for value in values}
        return named[trial.suggest_categorical(name, list(named))]
    if values.is_integer:
        return trial.suggest_int(name, values.low, values.high, log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)


def distinct_configs(configs: Iterable[Config]) -> tuple[Space, list[int]]:
    """Return the space of the distinct configurations, and the place of each one in it.

    Floats are rounded to float32, which training takes.

    Args:
      configs: configurations, some of them perhaps equal.

    >>> space, places = distinct_configs([{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1 + 1e-12}])
    >>> len(space.configs()), places
    (2, [0, 1, 0])
    """
    rows: dict[Any, tuple[tuple[str, Any], ...]] = {}
    keys = []
    for config in configs:
        row = tuple((name, _read(name, value)) for name, value in config.items())
        keys.append(frozenset((name, value_identity(value)) for name, value in row))
        rows.setdefault(keys[-1], row)
    places = {key: place for place, key in enumerate(rows)}
    return Space(tuple(rows.values())), [places[key] for key in keys]


def _read(name: str, value: Any) -> Any:
    value = read_value(name, value)
    return read_value(name, np.float32(value)) if isinstance(value, float) else value


def recorded_config(config: Config) -> Config:
    """Return a configuration with its values as they are recorded.

    >>> recorded_config({"init": read_value("init", "he_normal"), "lr": 0.1})
    {'init': 'he_normal', 'lr': 0.1}
    """
    return {name: record_value(value) for name, value in config.items()}
