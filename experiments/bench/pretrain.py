"""How fast a Boltzmann machine is trained, beside scikit-learn, for equal epochs and batches."""

from collections.abc import Callable
from typing import Any

import measure
import tables
from rich.console import Console
from rich.table import Table

HIDDEN, BATCH, RATE, SEEDS = 100, 10, 0.06, 8
LABELS = {
    "scikit-learn": "scikit-learn BernoulliRBM.fit",
    "jinit": "jinit train_rbm",
    "jinit_seeds": f"jinit, {SEEDS} seeds in one program, per seed",
}


def run(quick: bool) -> dict:
    """Measure fits of the digits and their copies moved by one pixel, without compilation."""
    epochs, rounds = (2, 3) if quick else (10, 7)
    data = _digits()
    tables.progress(f"{len(data)} examples, {epochs} epochs")
    seconds = measure.interleaved(_fits(data, epochs), rounds)
    seconds["jinit_seeds"] = [each / SEEDS for each in seconds["jinit_seeds"]]
    import jax

    device = jax.devices()[0].device_kind
    return {"device": device, "examples": len(data), "epochs": epochs, "seconds": seconds}


def _digits() -> Any:
    """The digits and their copies, in [0, 1]."""
    import numpy as np
    from scipy.ndimage import shift
    from sklearn.datasets import load_digits

    images = load_digits().images / 16
    moves = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    copies = [shift(images, (0, *move), order=0) for move in moves]
    return np.concatenate(copies).reshape(-1, 64).astype(np.float32)


def _fits(data: Any, epochs: int) -> dict[str, Callable[[], object]]:
    import jax
    from sklearn.neural_network import BernoulliRBM

    from jinit.pretrain import train_rbm

    settings = {
        "epochs": epochs, "batch_size": BATCH, "learning_rate": RATE,
        "persistent": True, "reconstructions": "samples", "momentum": 0.0,
    }  # fmt: skip

    def fit(key: Any) -> Any:
        return train_rbm(data, HIDDEN, key, **settings)[0]

    keys, seeds = jax.random.key(0), jax.random.split(jax.random.key(0), SEEDS)
    many = jax.jit(jax.vmap(fit))
    rival = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=BATCH, n_iter=epochs)
    return {
        "scikit-learn": lambda: rival.fit(data),
        "jinit": lambda: jax.block_until_ready(fit(keys)),
        "jinit_seeds": lambda: jax.block_until_ready(many(seeds)),
    }


def show(results: dict, console: Console) -> None:
    """A table of times."""
    table = Table(title=f"RBM 64-{HIDDEN}, {results['examples']} × {results['epochs']} epochs")
    table.add_column("library")
    for column in ("one fit", "÷ jinit"):
        table.add_column(column, justify="right")
    ours = results["seconds"]["jinit"]
    for name, label in LABELS.items():
        seconds = results["seconds"][name]
        ratio = tables.ratio(measure.paired_ratios(seconds, ours))
        table.add_row(label, tables.duration(measure.median(seconds)), ratio)
    console.print(table)
