"""Sweeps with known answers, in the format of the engine."""

import json
import math
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from jinit.record import FORMAT, default_roles
from jinit.report import Results

Row = dict[str, Any]

STEPS = [0, 100, 200, 300]
LAYERS = ["Dense_0", "Dense_1", "Dense_2", "Dense_3"]
GROWTH = {"vanishing": 0.1, "exploding": 10.0}


def lane(config: Row, seed: int, value: float, **changes: Any) -> Row:
    """Return a record with final accuracy `value` and loss `1 - value`."""
    verdict = changes.get("at_initialization", "stable")
    growth = GROWTH.get(verdict, 1.0)
    stds = [0.5 * growth**layer for layer in range(len(LAYERS))]
    loss = 1 - value
    curve = [2.3 + (loss - 2.3) * step / STEPS[-1] for step in STEPS]
    row = {
        **config,
        "seed": seed,
        "at_initialization": verdict,
        "diverged_at": None,
        "train_loss": loss / 2,
        "validation_loss": loss,
        "validation_accuracy": value,
        "validation_loss_error": 0.01,
        "step": STEPS,
        "train_loss_curve": [each / 2 for each in curve],
        "validation_loss_curve": curve,
        "validation_accuracy_curve": [0.1 + (value - 0.1) * step / STEPS[-1] for step in STEPS],
        "layers": LAYERS,
        "activation_std": stds,
        "activation_second_moment": [std**2 for std in stds],
        "gradient_std": stds[::-1],
        "dead_fraction": [0.25, 0.5, 0.75, math.nan],
        "saturated_fraction": [0.0, 0.0, 0.0, math.nan],
        "group": 0,
        "block": 0,
        "compile_seconds": 1.0,
        "run_seconds": 2.0,
        "jax_version": "0.10.2",
        "git_revision": "0" * 40,
    }
    return {**row, **changes}


def diverged(config: Row, seed: int, step: int = 100) -> Row:
    """Return a record of a lane that diverged."""
    losses = [math.nan if each > step else 2.3 for each in STEPS]
    finals = dict.fromkeys(("train_loss", "validation_loss", "validation_accuracy"), math.nan)
    curves = {f"{name}_curve": losses for name in finals}
    return lane(config, seed, 0.5, diverged_at=step, **finals, **curves)


def write_sweep(
    directory: Path, axes: dict[str, list], rows: Iterable[Row], *, block: int = 16, **changes: Any
) -> Path:
    """Write sweep.json and the records, in another order than the lanes."""
    rows = list(rows)
    seeds = sorted({row["seed"] for row in rows})
    compare, tune = default_roles(axes, ["lr", "l2"])
    outline = {
        "format": FORMAT,
        "validation_examples": 2000,
        "task": "digits",
        "metric": "validation_accuracy",
        "axes": axes,
        "compare": compare,
        "tune": tune,
        "seeds": seeds,
        "steps": STEPS[-1],
        "classes": 10,
        "training_programs": 1,
        "lanes": len(seeds) * math.prod(map(len, axes.values())),
    }
    records = directory / "records"
    records.mkdir(parents=True)
    (directory / "sweep.json").write_text(json.dumps(outline | changes))
    shuffled = rows[::-1]
    for index, first in enumerate(range(0, len(shuffled), block)):
        table = pyarrow.Table.from_pylist(shuffled[first : first + block])
        pyarrow.parquet.write_table(table, records / f"{index:05d}.parquet")
    return directory


def write_accuracies(directory: Path, accuracies: dict[str, list[float]], **changes: Any) -> Path:
    """Write one relu facet: a list of accuracies, one per seed, for every initializer."""
    axes = {"init": list(accuracies), "activation": ["relu"]}
    rows = [
        lane({"init": init, "activation": "relu"}, seed, value)
        for init, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return write_sweep(directory, axes, rows, **changes)


def grid(axes: dict[str, list], seeds: int, make: Callable[[Row, int], Row]) -> list[Row]:
    """Return a record for every configuration and seed."""
    configs = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [make(config, seed) for config in configs for seed in range(seeds)]


def only_recommendation(directory):
    """Return the recommendation of a sweep with one facet."""
    (recommendation,) = Results(directory).best()
    return recommendation
