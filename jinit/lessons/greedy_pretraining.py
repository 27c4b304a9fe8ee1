"""Results of `experiments/06_greedy_pretraining`, which took minutes, beside theory."""

import json
import math
from pathlib import Path

import numpy as np

from jinit.report.learn.numbers import GreedyAccuracy, GreedyRuns
from jinit.theory import ACTIVATIONS, fixed_point

_FILE = Path(__file__).with_suffix(".json")
_NAMES = {
    "normal": "N(0, 0.1²)",
    "rbm": "Boltzmann machines",
    "autoencoder": "denoising autoencoders",
}
_STD, _WIDTH = 0.1, 100
"""Standard deviation of the small weights, and width of the layers."""


def greedy_runs() -> GreedyRuns:
    """Return test accuracies by depth with and without greedy pre-training.

    >>> round(greedy_runs().gradient_factor, 2)
    0.24
    """
    results = json.loads(_FILE.read_text("utf-8"))
    sigma_w2 = _WIDTH * _STD**2
    return GreedyRuns(
        date=results["date"],
        jax_version=results["jax"],
        runs=tuple(_accuracy(name, results["test accuracy"][name]) for name in _NAMES),
        sigma_w2=sigma_w2,
        gradient_factor=math.sqrt(fixed_point(ACTIVATIONS["sigmoid"], sigma_w2).chi_1),
        chance=min(each["mean"] for each in results["test accuracy"]["normal"].values()),
    )


def _accuracy(name: str, by_depth: dict[str, dict[str, float]]) -> GreedyAccuracy:
    return GreedyAccuracy(
        init=name,
        name=_NAMES[name],
        depths=tuple(map(int, by_depth)),
        means=np.array([each["mean"] for each in by_depth.values()]),
        errors=np.array([each["error"] for each in by_depth.values()]),
    )
