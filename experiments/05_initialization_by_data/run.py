"""Compare initialization by data with initializers and `recommend` on deep plain networks.

python run.py FOLDER [--quick] [--networks tanh_mlp ...]
"""

import argparse
import json
import pathlib
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas
from flax import linen as nn

import jinit
from jinit import calibrate
from jinit.hooks import as_model

DEPTH, WIDTH, BLOCKS, CHANNELS = 30, 64, 4, 16
RATES = (3e-4, 1e-3, 3e-3)
NAMES = {"xavier_normal": "Xavier", "he_normal": "He"}


class Mlp(nn.Module):
    """A chain of dense layers without normalization or shortcuts."""

    phi: Callable[[jax.Array], jax.Array]
    kernel_init: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(DEPTH):
            x = self.phi(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
        return nn.Dense(10, kernel_init=self.kernel_init)(x)


class ResNet(nn.Module):
    """Residual branches of two convolutions, without normalization."""

    kernel_init: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(CHANNELS, (3, 3), kernel_init=self.kernel_init)(x.reshape(-1, 8, 8, 1))
        for _ in range(BLOCKS):
            y = nn.Conv(CHANNELS, (3, 3), kernel_init=self.kernel_init)(nn.relu(x))
            x = x + nn.Conv(CHANNELS, (3, 3), kernel_init=self.kernel_init)(nn.relu(y))
        return nn.Dense(10, kernel_init=self.kernel_init)(nn.relu(x).mean((1, 2)))


NETWORKS: dict[str, Callable[[dict], nn.Module]] = {
    "tanh_mlp": lambda config: Mlp(jnp.tanh, config["init"]),
    "relu_mlp": lambda config: Mlp(nn.relu, config["init"]),
    "resnet": lambda config: ResNet(config["init"]),
}


def methods(quick: bool) -> list[calibrate.Method]:
    """The methods that are compared."""
    steps = 5 if quick else 100
    return [
        calibrate.lsuv(),
        calibrate.autoinit(),
        calibrate.metainit(steps=steps),
        calibrate.gradinit(optimizer="adam", steps=steps),
    ]


def train(name: str, folder: pathlib.Path, quick: bool) -> jinit.Results:
    """Train every initialization with every rate and seed."""
    own = jinit.grid(init=["xavier_normal", "he_normal", *methods(quick)], rules=["own"])
    recommended = jinit.grid(init=["he_normal"], rules=["recommended"])
    sweep = jinit.Sweep(
        jinit.tasks.digits(),
        NETWORKS[name],
        (own + recommended) * jinit.grid(lr=list(RATES)),
        seeds=2 if quick else 8,
        steps=20 if quick else 300,
    )
    return sweep.run(folder / name, lambda progress: print(progress, end="\r"))


def verdicts(name: str, quick: bool) -> list[dict[str, Any]]:
    """What `diagnose` says before and after each method, and what the method costs."""
    inputs, targets = (jnp.asarray(part[:256]) for part in jinit.tasks.digits().train)
    rows = []
    for method in methods(quick):
        model = as_model(NETWORKS[name]({"init": method.init}), inputs)
        before = model.init(jax.random.key(0))
        after, report = method(model, before, (inputs, targets))
        rows.append(
            {
                "method": method.name,
                "before": jinit.diagnose(model, before, inputs, targets).verdict,
                "after": jinit.diagnose(model, after, inputs, targets).verdict,
                "forward passes": report.passes,
                "seconds with compilation": report.seconds,
            }
        )
    return rows


def draw(frames: dict[str, Any], path: pathlib.Path) -> None:
    """Draw the validation accuracy of every initialization, with its interval."""
    figure, panels = plt.subplots(1, len(frames), figsize=(4 * len(frames), 3.4), sharey=True)
    for axes, (name, frame) in zip(np.atleast_1d(panels), frames.items(), strict=True):
        ordered = frame.iloc[::-1]
        errors = np.abs(ordered[["low", "high"]].to_numpy().T - ordered["mean"].to_numpy())
        axes.errorbar(
            100 * ordered["mean"], ordered["label"], xerr=100 * errors, fmt="o", capsize=3
        )
        axes.set_title(name.replace("_", " "), loc="left")
        axes.set_xlabel("validation accuracy in percent, mean of 8 seeds")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def label(row: Any) -> str:
    """Return the name of an initialization in the table."""
    if row["rules"] == "recommended":
        return "recommend"
    return NAMES.get(row["init"], row["init"].partition("(")[0])


def summarize(
    name: str, results: jinit.Results, quick: bool
) -> tuple[pandas.DataFrame, dict[str, Any]]:
    """Return the comparison of a network's initializations, and all numbers about it."""
    axes, runs = ["init", "rules"], results.frame()
    comparison = results.comparison(axes)
    comparison["label"] = [label(row) for _, row in comparison.iterrows()]
    columns = ["label", "lr", "mean", "low", "high", "diverged", "is_leader", "is_worse"]
    grouped = runs.groupby(axes)
    verdicts_by_start = grouped["at_initialization"].agg(lambda each: each.value_counts().to_dict())
    return comparison, {
        "comparison": comparison[columns].to_dict("records"),
        "sentence": results.best(axes)[0].sentence,
        "at initialization": {"/".join(key): each for key, each in verdicts_by_start.items()},
        "seconds per seed": {
            "/".join(key): each for key, each in grouped["init_seconds"].mean().items()
        },
        "one application": verdicts(name, quick),
    }


def main() -> None:
    """Run everything, and write the results and the figure after each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="networks that it holds are not trained")
    parser.add_argument("--quick", action="store_true", help="try the script in some minutes")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": str(jax.devices()[0].device_kind),
        "quick": options.quick,
    }
    frames = {}
    for name in options.networks:
        done = (options.folder / name / "sweep.json").exists()
        results = (
            jinit.Results(options.folder / name)
            if done
            else train(name, options.folder, options.quick)
        )
        frames[name], found[name] = summarize(name, results, options.quick)
        print(f"\n{name}: {found[name]['sentence']}")
        print(pandas.DataFrame(found[name]["comparison"]).to_string(index=False))
        draw(frames, options.folder / "accuracy.png")
        (options.folder / "results.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
