"""Random search, successive halving and Optuna's TPE at equal lane-steps.

Each of them finds one configuration by its validation loss over few seeds. The configurations that
they found are then trained with all steps on fresh seeds, and only those runs are compared.
"""

import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import optuna
from scipy import stats

import jinit
from jinit.sweep import run_study

INITS = ["xavier_normal", "he_normal", "lecun_normal", "orthogonal", "normal"]
LR = jinit.between(1e-4, 3e-2, log=True)
L2 = jinit.between(1e-6, 1e-2, log=True)
KINDS = ("random", "halving", "tpe")
AXES = ("init", "lr", "l2")


class Budget(NamedTuple):
    """Size of a search: `trials` × `seeds` × `steps` lane-steps."""

    trials: int
    batch: int
    seeds: int
    steps: int
    confirm_seeds: int
    repetitions: int

    @property
    def lane_steps(self) -> int:
        """Lane-steps of random search and of TPE."""
        return self.trials * self.seeds * self.steps


FULL = Budget(trials=32, batch=8, seeds=2, steps=200, confirm_seeds=8, repetitions=8)
QUICK = Budget(trials=4, batch=2, seeds=1, steps=20, confirm_seeds=2, repetitions=2)


def compare_searches(
    task: jinit.Task, build: Callable[[dict[str, Any]], Any], *, quick: bool
) -> dict[str, Any]:
    """Repeat the three searches with different search seeds, and summarize what they found."""
    budget = QUICK if quick else FULL
    rows = []
    for seed in range(budget.repetitions):
        with tempfile.TemporaryDirectory() as directory:
            rows += _repeat(task, build, budget, seed, pathlib.Path(directory))
    summary = {kind: _summarize([row for row in rows if row["search"] == kind]) for kind in KINDS}
    for kind, found in summary.items():
        print(kind, found, flush=True)
    return {
        "budget": budget._asdict() | {"lane_steps": budget.lane_steps},
        "summary": summary,
        "test_loss_minus_random": {
            kind: _paired(rows, kind, "random", "test_loss") for kind in KINDS[1:]
        },
        "rows": rows,
    }


def _repeat(
    task: jinit.Task,
    build: Callable[[dict[str, Any]], Any],
    budget: Budget,
    seed: int,
    folder: pathlib.Path,
) -> list[dict[str, Any]]:
    """Run every search once, train what they found on fresh seeds, and return one row for each."""
    rows = []
    for kind in KINDS:
        begin = time.perf_counter()
        config, loss = _search(kind, task, build, budget, seed, folder / kind)
        seconds = time.perf_counter() - begin
        rows.append({"search": kind, "seed": seed, **config, "loss": loss, "seconds": seconds})
    configs = {tuple(row[axis] for axis in AXES): None for row in rows}
    columns = dict(zip(AXES, map(list, zip(*configs, strict=True)), strict=True))
    fresh = range(budget.seeds, budget.seeds + budget.confirm_seeds)
    sweep = jinit.Sweep(
        task, build, jinit.zipped(**columns), seeds=fresh, steps=budget.steps,
        measure_start=False, save="none",
    )  # fmt: skip
    means = sweep.run(folder / "confirm").frame().groupby(list(AXES))
    columns = ["validation_loss", "test_loss", "test_accuracy"]
    found = means[columns].agg(lambda values: values.mean(skipna=False))
    for row in rows:
        row |= found.loc[tuple(row[axis] for axis in AXES)].to_dict()
    return rows


def _search(
    kind: str,
    task: jinit.Task,
    build: Callable[[dict[str, Any]], Any],
    budget: Budget,
    seed: int,
    folder: pathlib.Path,
) -> tuple[dict[str, Any], float]:
    """Return the configuration that one search found, and its mean validation loss there."""
    if kind == "tpe":
        return _search_by_tpe(task, build, budget, seed, folder)
    space: Any = jinit.random_search(budget.trials, seed=seed, init=INITS, lr=LR, l2=L2)
    if kind == "halving":  # a quarter, a half and all steps: twice the configurations cost the same
        drawn = jinit.random_search(2 * budget.trials, seed=seed, init=INITS, lr=LR, l2=L2)
        space = jinit.halving(drawn, eta=2, rungs=3)
    sweep = jinit.Sweep(
        task, build, space, seeds=budget.seeds, steps=budget.steps,
        record_every=budget.steps // 4, measure_start=False, save="none",
    )  # fmt: skip
    frame = sweep.run(folder).frame()
    spent = frame["step"].map(lambda steps: steps[-1]).sum()
    if spent != budget.lane_steps and not frame["diverged_at"].notna().any():
        raise RuntimeError(f"{kind} took {spent} lane-steps, expected {budget.lane_steps}")
    last = frame["step"].map(lambda steps: steps[-1])
    means = frame[last == budget.steps].groupby(list(AXES))["validation_loss"]
    losses = means.agg(lambda values: values.mean(skipna=False)).dropna()
    best: Any = losses.idxmin()
    return dict(zip(AXES, best, strict=True)), float(losses.min())


def _search_by_tpe(
    task: jinit.Task,
    build: Callable[[dict[str, Any]], Any],
    budget: Budget,
    seed: int,
    folder: pathlib.Path,
) -> tuple[dict[str, Any], float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=budget.batch)
    study = optuna.create_study(sampler=sampler)
    run_study(
        study, task, build, {"init": INITS, "lr": LR, "l2": L2}, folder, trials=budget.trials,
        batch=budget.batch, seeds=budget.seeds, steps=budget.steps, record_every=budget.steps // 4,
    )  # fmt: skip
    best = study.best_trial
    rounded = {axis: float(str(np.float32(best.params[axis]))) for axis in ("lr", "l2")}
    return {"init": best.params["init"], **rounded}, float(study.best_value)


def _summarize(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over repetitions with their standard errors."""
    found: dict[str, Any] = {}
    for name in ("loss", "validation_loss", "test_loss", "test_accuracy", "seconds"):
        values = np.array([row[name] for row in rows])
        found[name] = [float(values.mean()), float(stats.sem(values))]
    return found


def _paired(rows: list[dict[str, Any]], kind: str, other: str, column: str) -> list[float]:
    """Return the mean difference of two searches over repetitions and its 95 % interval."""
    first, second = (
        np.array([row[column] for row in rows if row["search"] == each]) for each in (kind, other)
    )
    difference = first - second
    reach = stats.sem(difference) * stats.t.ppf(0.975, len(difference) - 1)
    mean = float(difference.mean())
    return [mean, float(mean - reach), float(mean + reach)]
