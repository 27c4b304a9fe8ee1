"""The statistics of the layers of every run, as rows for a data frame."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinit.record import BY_STEP, LAYER_COLUMNS, MEASURED_COLUMN


def run_layer_rows(
    records: Sequence[Mapping[str, Any]], axes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row per run, step and layer.

    Args:
      records: the records of a sweep.
      axes: its axes.

    Raises:
      ValueError: if no record has statistics of layers.

    >>> record = {"seed": 0, "layers": ["dense"], "activation_std": [1.0]}
    >>> record |= {"measured_at": [5], "activation_std_by_step": [[2.0]]}
    >>> [(row["step"], row["layer"], row["activation_std"]) for row in run_layer_rows([record], [])]
    [(0, 'dense', 1.0), (5, 'dense', 2.0)]
    """
    rows = [row for record in records for row in _record_rows(record, axes)]
    if not rows:
        raise ValueError(
            "no layer was measured: run the sweep with measure_start=True for step 0, and with "
            "measure_at=(100, 200) for later steps"
        )
    return rows


def _record_rows(record: Mapping[str, Any], axes: Sequence[str]) -> Iterator[dict[str, Any]]:
    names = record.get("layers") or ()
    run = {name: record.get(name) for name in (*axes, "seed")}
    for step, statistics in _statistics_by_step(record):
        for place in range(max(map(len, statistics.values()), default=0)):
            layer = names[place] if place < len(names) else str(place)
            values = {name: each[place] for name, each in statistics.items() if place < len(each)}
            yield {**run, "step": step, "layer": layer, **values}


def _statistics_by_step(
    record: Mapping[str, Any],
) -> Iterator[tuple[int, dict[str, Sequence[float]]]]:
    """Yield every measured step with its statistics, each a number per layer."""
    if record.get("layers"):
        yield 0, {name: record[name] for name in LAYER_COLUMNS if record.get(name)}
    by_step = {
        name.removesuffix(BY_STEP): values
        for name, values in record.items()
        if name.endswith(BY_STEP) and values is not None
    }
    for place, step in enumerate(record.get(MEASURED_COLUMN) or ()):
        yield step, {name: values[place] for name, values in by_step.items()}
