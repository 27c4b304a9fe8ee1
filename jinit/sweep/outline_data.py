"""The outline of a sweep, as written to its directory."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jinit.record import default_roles
from jinit.sweep.data import Data, leading_length
from jinit.sweep.definition import SweepDefinition
from jinit.sweep.groups import Group
from jinit.sweep.space import Space, record_value
from jinit.sweep.sweep_metric import SweepMetric
from jinit.sweep.task import Task


def outline_data(
    sweep: SweepDefinition, groups: Sequence[Group], metric: SweepMetric
) -> dict[str, Any]:
    """Return what the outline file says of a sweep.

    Args:
      sweep: the sweep.
      groups: its groups.
      metric: the metric by which its runs are compared.
    """
    data = sweep.data
    task = data if isinstance(data, Task) else None
    compare, tune = default_roles(dict(sweep.space.axes), sweep.training)
    # Chance is an accuracy where there are classes, and a loss elsewhere.
    is_loss = bool(task and task.classes) and not metric.column.endswith("accuracy")
    return {
        "task": "trial" if data is None else data.name,
        "metric": metric.column,
        "larger_is_better": metric.larger_is_better,
        "classes": task.classes if task else None,
        "chance": task.chance if task and metric.is_default and not is_loss else None,
        "validation_examples": 1 if data is None else data.validation_examples,
        "axes": {
            name: [record_value(value) for value in values] for name, values in sweep.space.axes
        },
        "configs": None if sweep.space.is_grid else _configs(sweep.space),
        "compare": compare,
        "tune": tune,
        "selection": None,
        "test_metric": _test_metric(data, metric),
        "test_examples": None if data is None or data.test is None else leading_length(data.test),
        "data_seed": sweep.data_seed,
        "bootstrap": sweep.bootstrap,
        "patience": sweep.patience,
        "seeds": list(sweep.seeds),
        "steps": sweep.steps,
        "record_every": sweep.record_every,
        "measure_at": list(sweep.measure_at) or None,
        "optimizer": function_text(sweep.optimizer),
        "build": function_text(sweep.build),
        "batch_size": None if data is None or data.is_stream else data.batch_size,
        "lanes": len(sweep.space) * len(sweep.seeds),
        "training_programs": len(groups),
    }


def _configs(space: Space) -> list[dict[str, Any]]:
    return [
        {name: record_value(value) for name, value in config.items()} for config in space.configs()
    ]


def _test_metric(data: Data | None, metric: SweepMetric) -> str | None:
    """Return the column of the metric on test data, if there is any."""
    if data is None or data.test is None or not metric.column.startswith("validation_"):
        return None
    return metric.column.replace("validation_", "test_", 1)


def function_text(function: Any) -> str | None:
    """Return the name of a function with its module and, if it is partial, its options.

    >>> function_text(partial(round, ndigits=2))
    'builtins:round(ndigits=2)'
    """
    if function is None:
        return None
    if isinstance(function, partial):
        options = ", ".join(f"{name}={value!r}" for name, value in function.keywords.items())
        return f"{function_text(function.func)}({options})"
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '?')}:{name}"
