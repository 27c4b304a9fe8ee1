"""The metrics of one run by step, as experiment trackers take them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jinit.record import METRIC_PREFIXES

_CURVE, _ERROR = "_curve", "_error"


def metric_points(row: Mapping[str, Any], axes: Collection[str]) -> list[tuple[int, dict]]:
    """Return every curve by step, and at the last step the metrics that have no curve.

    Tags are grouped by the part of the data, such as `validation/loss`. NaN and infinities stay.

    Args:
      row: the record of the run.
      axes: the axes of the sweep, whose names may begin as those of metrics.

    Returns:
      A value by tag for every step, in ascending order.

    >>> row = {"step": [0, 10, 20], "train_loss": 0.5, "train_loss_curve": [2.3, 0.5]}
    >>> metric_points(row | {"test_accuracy": 0.9}, [])
    [(0, {'train/loss': 2.3}), (10, {'train/loss': 0.5}), (20, {'test/accuracy': 0.9})]
    """
    by_step: dict[int, dict[str, float]] = {}
    for name, value in row.items():
        if name.startswith(METRIC_PREFIXES) and name not in axes:
            tag = name.removesuffix(_CURVE).replace("_", "/", 1)
            for step, number in _pairs(name, value, row):
                by_step.setdefault(step, {})[tag] = number
    return sorted(by_step.items())


def _pairs(name: str, value: Any, row: Mapping[str, Any]) -> Iterable[tuple[int, float]]:
    """Return the steps and values of a column, without missing ones.

    A final value that ends a curve is the curve's, and a standard error belongs to its metric.
    """
    steps = row.get("step") or [0]
    if isinstance(value, list):
        pairs = zip(steps, value, strict=False)
        return [(step, number) for step, number in pairs if number is not None]
    belongs = name.endswith(_ERROR) and name.removesuffix(_ERROR) in row
    is_number = isinstance(value, int | float)
    return [(steps[-1], value)] if is_number and not belongs and not row.get(name + _CURVE) else []
