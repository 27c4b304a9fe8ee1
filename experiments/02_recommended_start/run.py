"""Train from the recommended initialization and from Xavier, He and LeCun; compare at best lr.

python run.py RESULTS.json [--steps 400] [--seeds 8] [--depths 8 20 40]
"""

import argparse
import itertools
import json
import pathlib
import platform
import tempfile
from datetime import UTC, datetime
from typing import Any

import jax
import numpy as np
from scipy import stats

import jinit
from jinit.sweep import mlp, use_all_cores

RIVALS = ("xavier_normal", "he_normal", "lecun_normal")
ACTIVATIONS = ("relu", "tanh", "gelu", "silu")
RATES = (1e-4, 3e-4, 1e-3, 3e-3)
EXAMPLE = jax.ShapeDtypeStruct((1, 64), "float32")


def build(config: dict[str, Any]) -> Any:
    """Return an MLP for digits, started as the configuration says."""
    recommended = config["start"] == "recommended"
    init, apply = mlp(
        64,
        10,
        depth=config["depth"],
        width=64,
        activation=config["activation"],
        init="he_normal" if recommended else config["start"],
    )
    if not recommended:
        return init, apply
    params = jax.eval_shape(init, jax.random.key(0))
    return jinit.recommend(jinit.trace(apply, params, EXAMPLE)).init, apply


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
            losses = lanes.groupby("lr")["validation_loss"].mean()
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
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 20, 40])
    arguments = parser.parse_args()
    use_all_cores()
    rows = []
    for activation, depth in itertools.product(ACTIVATIONS, arguments.depths):
        space = jinit.grid(
            start=["recommended", *RIVALS], activation=[activation], depth=[depth], lr=list(RATES)
        )
        sweep = jinit.Sweep(
            jinit.tasks.digits(), build, space, seeds=arguments.seeds, steps=arguments.steps
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
        "seeds": arguments.seeds,
        "steps": arguments.steps,
        "rows": rows,
    }
    arguments.results.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
