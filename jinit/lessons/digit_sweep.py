"""A small sweep over initializations and learning rates on scanned digits."""

import math
import tempfile
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import optax

from jinit.initializers import normal
from jinit.report import MissingExtraError, Results
from jinit.report.learn.numbers import DigitRow, DigitRuns
from jinit.sweep import Sweep, grid, mlp, tasks
from jinit.sweep.feed_forward import Functions

_DEPTH, _WIDTH, _SEEDS, _STEPS = 8, 32, 3, 200
_INITS = ("zeros", normal(0.01), "xavier_uniform", "he_normal", normal(1.0))
_RATES = (0.003, 0.03, 0.3)


def train_on_digits(
    progress: Callable[[Any], None] | None = None, *, seeds: int = _SEEDS, steps: int = _STEPS
) -> DigitRuns | str:
    """Train a relu network of 8 hidden layers from 5 initializations with 3 learning rates.

    Args:
      progress: called with the progress of the sweep.
      seeds: number of seeds.
      steps: steps of SGD with momentum 0.9.

    Returns:
      The runs, or the reason why they are missing.
    """
    space = grid(init=list(_INITS), lr=list(_RATES))
    try:
        with tempfile.TemporaryDirectory() as folder:
            sweep = Sweep(
                tasks.digits(), _build, space, optimizer=_momentum, seeds=seeds, steps=steps
            )
            return _read(sweep.run(f"{folder}/sweep", progress))
    except MissingExtraError as error:
        return str(error)


def _momentum(lr: float) -> optax.GradientTransformation:
    return optax.sgd(lr, momentum=0.9)


def _build(config: dict[str, Any]) -> Functions:
    return mlp(64, 10, depth=_DEPTH, width=_WIDTH, activation="relu", init=config["init"])


def _read(results: Results) -> DigitRuns:
    records = results.arrow().to_pylist()
    groups = groupby(records, key=lambda record: (record["init"], record["lr"]))
    return DigitRuns(
        steps=np.array(max((record["step"] for record in records), key=len)),
        rows=tuple(_row(init, lr, list(runs)) for (init, lr), runs in groups),
        sentence=" ".join(best.sentence for best in results.best()),
        depth=_DEPTH,
        width=_WIDTH,
        validation_examples=len(tasks.digits().validation[1]),
    )


def _row(init: str, lr: float, runs: list[dict[str, Any]]) -> DigitRow:
    verdicts = dict.fromkeys(run["at_initialization"] for run in runs)
    curves = [run["validation_loss_curve"] for run in runs]
    length = max(map(len, curves))
    padded = [[*curve, *[math.nan] * (length - len(curve))] for curve in curves]
    return DigitRow(
        init=init,
        lr=lr,
        verdict=", ".join(verdicts),
        accuracies=np.array([run["validation_accuracy"] for run in runs], float),
        loss_curve=np.mean(np.array(padded, float), axis=0),
    )
