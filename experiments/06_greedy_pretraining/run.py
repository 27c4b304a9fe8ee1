"""Train a deep sigmoid network with and without greedy pre-training.

python run.py FOLDER [--quick]
"""

import argparse
import json
import pathlib
import platform
from datetime import UTC, datetime
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import linen as nn

import jinit
from jinit import pretrain

WIDTH, DEPTHS, STEPS, BATCH = 100, (1, 2, 3, 4, 5, 6), 1450, 50


class Sigmoids(nn.Module):
    """Hidden layers of sigmoids, and logits."""

    hidden: int
    kernel_init: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.hidden):
            x = nn.sigmoid(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
        return nn.Dense(10, kernel_init=self.kernel_init)(x)


def build(config: dict[str, Any]) -> nn.Module:
    """Return the network of a configuration; `depth` counts layers with the last one."""
    return Sigmoids(config["depth"] - 1, config["init"])


def digits() -> jinit.Task:
    """Return the digits with pixels in [0, 1], as Boltzmann machines need them."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = np.asarray(pixels / 16, np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.split(order, [1257, 1437])
    train, validation, test = ((pixels[part], labels[part]) for part in parts)
    return jinit.Task("digits in [0, 1]", train, validation, batch_size=BATCH, test=test)


def train(folder: pathlib.Path, quick: bool) -> jinit.Results:
    """Train every depth from small weights, and from greedy pre-training."""
    small, epochs = jinit.normal(0.1), 2 if quick else 20
    inits = [
        small,
        pretrain.rbm(epochs=epochs, init=small),
        pretrain.autoencoder(epochs=epochs, init=small),
    ]
    space = jinit.grid(
        init=inits, depth=[2, 6] if quick else [1 + depth for depth in DEPTHS], lr=[0.1]
    )
    sweep = jinit.Sweep(
        digits(),
        build,
        space,
        optimizer=lambda lr: optax.sgd(lr, momentum=0.9),
        seeds=2 if quick else 8,
        steps=100 if quick else STEPS,
        measure_start=False,
    )
    return sweep.run(folder / "sweep", lambda progress: print(progress, end="\r"))


def summarize(results: jinit.Results) -> dict[str, dict[int, dict[str, float]]]:
    """Return mean test accuracy by initialization and depth, with its 95 % interval."""
    frame = results.frame()
    found: dict[str, dict[int, dict[str, float]]] = {}
    for (init, depth), runs in frame.groupby(["init", "depth"]):
        accuracies = runs["test_accuracy"].to_numpy()
        error = 2.365 * accuracies.std(ddof=1) / len(accuracies) ** 0.5
        found.setdefault(init.partition("(")[0], {})[int(depth)] = {
            "mean": accuracies.mean(),
            "error": error,
            "lowest": accuracies.min(),
            "seconds per seed": runs["init_seconds"].mean(),
        }
    return found


def draw(found: dict[str, dict[int, dict[str, float]]], path: pathlib.Path) -> None:
    """Draw test accuracy against depth."""
    names = {"normal": "N(0, 0.1²)", "rbm": "RBM", "autoencoder": "denoising autoencoder"}
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for color, (init, depths) in zip(("#D55E00", "#0072B2", "#009E73"), found.items(), strict=True):
        means = [100 * each["mean"] for each in depths.values()]
        errors = [100 * each["error"] for each in depths.values()]
        axes.errorbar(
            list(depths), means, errors, marker="o", capsize=3, label=names[init], color=color
        )
    axes.set_xlabel("layers of weights")
    axes.set_ylabel("test accuracy in percent")
    axes.legend(frameon=False, title="initialization")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def draw_filters(path: pathlib.Path, epochs: int) -> dict[str, float]:
    """Draw filters and reconstructions of one RBM; return its likelihood with its error."""
    pixels = digits().train[0]
    trained, _ = pretrain.train_rbm(pixels, 100, jax.random.key(0), epochs=epochs)
    trained.plot(path, examples=pixels)
    log_z, error = pretrain.estimate_log_partition(trained, jax.random.key(1))
    mean = float(pretrain.log_likelihood(trained, pixels, log_z).mean())
    return {"log-likelihood per example": mean, "standard error of log Z": float(error)}


def main() -> None:
    """Run everything, and write results and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="try the script in a minute")
    options = parser.parse_args()
    results = train(options.folder, options.quick)
    found = summarize(results)
    draw(found, options.folder / "depth.png")
    machine = draw_filters(options.folder / "filters.png", 2 if options.quick else 20)
    origin = {
        "date": datetime.now(UTC).date().isoformat(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": str(jax.devices()[0].device_kind),
        "quick": options.quick,
    }
    text = json.dumps(origin | {"test accuracy": found, "rbm": machine}, indent=1)
    (options.folder / "results.json").write_text(text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
