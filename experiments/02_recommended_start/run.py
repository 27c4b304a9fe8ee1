"""Train from the recommended initialization and from Xavier, He and LeCun; compare at best lr.

python run.py RESULTS.json [--task digits] [--optimizer adam] [--activations relu tanh gelu silu]
  [--steps 400] [--seeds 8] [--depths 8 20 40]
"""

import argparse
import itertools
import json
import pathlib
import platform
import tempfile
from datetime import UTC, datetime
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from scipy import stats

import jinit
from jinit.sweep import mlp

RIVALS = ("xavier_normal", "he_normal", "lecun_normal")
ACTIVATIONS = ("relu", "tanh", "gelu", "silu")
TASKS = {"digits": jinit.tasks.digits, "breast_cancer": jinit.tasks.breast_cancer}
OPTIMIZERS = {
    "adam": (optax.adam, (1e-4, 3e-4, 1e-3, 3e-3)),
    "momentum": (partial(optax.sgd, momentum=0.9), (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)),
}


def build(config: dict[str, Any], features: int, outputs: int) -> Any:
    """Return an MLP, started as the configuration says."""
    recommended = config["start"] == "recommended"
    init, apply = mlp(
        features,
        outputs,
        depth=config["depth"],
        width=64,
        activation=config["activation"],
        init="he_normal" if recommended else config["start"],
    )
    if not recommended:
        return init, apply
    params = jax.eval_shape(init, jax.random.key(0))
    example = jax.ShapeDtypeStruct((1, features), "float32")
    return jinit.recommend(jinit.trace(apply, params, example)).init, apply


def paired_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return mean and half-width of the 95 % interval of first - second, over seeds."""
    difference = first - second
    sem = stats.sem(difference)
    return float(difference.mean()), float(sem * stats.t.ppf(0.975, len(difference) - 1))


def compare(frame: Any) -> list[dict[str, Any]]:
    """Return one row for each activation and depth: accuracies at each start's own best lr."""
    rows = []
    for (activation, depth), group in frame.groupby(["activation", "depth"], sort=False):
        best = {}
        for start, lanes in group.groupby("start"):
            # A rate at which one seed diverges does not count.
            losses = lanes.groupby("lr")["validation_loss"].agg(
                lambda each: each.mean(skipna=False)
            )
            lr = losses.fillna(np.inf).idxmin()
            chosen = lanes[lanes["lr"] == lr].sort_values("seed")
            best[start] = (lr, 100 * chosen["validation_accuracy"].to_numpy())
        rival = max(RIVALS, key=lambda name: best[name][1].mean())
        difference, reach = paired_difference(best["recommended"][1], best[rival][1])
        rows.append(
            {
                "activation": activation,
                "depth": int(depth),
                "best_rival": rival,
                "difference": difference,
                "interval": reach,
                "accuracy": {name: float(values.mean()) for name, (_, values) in best.items()},
                "lr": {name: float(lr) for name, (lr, _) in best.items()},
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam")
    parser.add_argument("--activations", nargs="+", default=ACTIVATIONS)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 20, 40])
    arguments = parser.parse_args()
    rows, task = [], TASKS[arguments.task]()
    optimizer, rates = OPTIMIZERS[arguments.optimizer]
    features = task.train[0].shape[1]
    for activation, depth in itertools.product(arguments.activations, arguments.depths):
        space = jinit.grid(
            start=["recommended", *RIVALS], activation=[activation], depth=[depth], lr=list(rates)
        )
        sweep = jinit.Sweep(
            task,
            partial(build, features=features, outputs=task.outputs),
            space,
            optimizer=optimizer,
            seeds=arguments.seeds,
            steps=arguments.steps,
        )
        with tempfile.TemporaryDirectory() as folder:
            rows += compare(sweep.run(pathlib.Path(folder) / "run").frame())
        row = rows[-1]
        accuracies = ", ".join(f"{name} {value:.1f}" for name, value in row["accuracy"].items())
        print(
            f"{activation:5s} depth {depth:2d}: {accuracies}; recommended - {row['best_rival']} "
            f"{row['difference']:+.2f} ± {row['interval']:.2f}",
            flush=True,
        )
    machine = f"{platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}"
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "task": arguments.task,
        "optimizer": arguments.optimizer,
        "seeds": arguments.seeds,
        "steps": arguments.steps,
        "rows": rows,
    }
    arguments.results.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
