"""Numbers of a learning page: theory as jinit computes it, and made-up networks and trainings."""

import numpy as np

from jinit.lessons import (
    PUBLISHED_SHAPE,
    activation_rows,
    deep_chains,
    greedy_runs,
    page_constants,
    published_forms,
    sigmoid_forms,
)
from jinit.report.learn.numbers import (
    DescentRun,
    DigitRow,
    DigitRuns,
    LessonNumbers,
    RateNumbers,
    SignalScan,
    SymmetryNumbers,
    SymmetryRun,
)

SIGMAS = (0.5, 1.0, 2.0)


def lesson_numbers() -> LessonNumbers:
    tanh, relu = activation_rows(("tanh", "relu"))
    return LessonNumbers(
        symmetry=SymmetryNumbers(4, 8, 0.5, tuple(map(symmetry_run, ("zeros", "ones", "random")))),
        signals=(signal_scan("tanh"), signal_scan("relu")),
        published_shape=PUBLISHED_SHAPE,
        published=published_forms(),
        sigmoid=sigmoid_forms(),
        activations=(tanh, relu, tanh._replace(name="stairs", is_critical=False)),
        chains=deep_chains(),
        greedy=greedy_runs(),
        digits=digit_runs(),
        rates=rate_numbers(),
        constants=page_constants(),
        versions="jinit of tests",
    )


def symmetry_run(name: str) -> SymmetryRun:
    return SymmetryRun(name, np.arange(3), np.array([0.7, 0.5, 0.1]), 0.1, 0.0, 1, 1)


def signal_scan(activation: str) -> SignalScan:
    sizes = np.array([sigma ** np.arange(1.0, 5.0) for sigma in SIGMAS])
    shares = np.full((3, 4, 5), 0.1)
    edges = np.linspace(-1.0, 1.0, 6)
    return SignalScan(
        activation,
        128,
        SIGMAS,
        edges,
        activation == "relu",
        shares,
        0 * sizes,
        sizes,
        sizes,
        sizes,
        sizes,
    )


def digit_runs() -> DigitRuns:
    steps, curve = np.array([0, 10, 20]), np.array([2.3, 1.0, 0.2])
    rows = [
        DigitRow("he_normal", 0.01, "stable", np.array([0.9, 0.8]), curve),
        DigitRow("he_normal", 0.1, "stable", np.array([0.9, np.nan]), curve),
        DigitRow("normal(1)", 0.01, "exploding", np.full(2, np.nan), np.full(3, np.nan)),
        DigitRow("normal(1)", 0.1, "exploding", np.full(2, np.nan), np.full(3, np.nan)),
    ]
    return DigitRuns(steps, rows, "he_normal is best.", 8, 32, 360)


def rate_numbers() -> RateNumbers:
    descents = [DescentRun(rate / 10, np.abs(1 - rate) ** np.arange(4)) for rate in (0.2, 1, 1.9)]
    descents.append(DescentRun(0.21, 1.1 ** np.arange(4)))
    return RateNumbers(
        10.0, descents, SIGMAS, np.array([0.1, 1.0, 50.0]), 0.1, 1000, 5, [(1e-3, 0.9, 0.6)]
    )
