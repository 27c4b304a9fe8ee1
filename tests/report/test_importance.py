"""The importance of axes, on spaces of which the answer is known."""

import math

import numpy as np
import pytest
from report.synthetic import diverged, grid, lane, write_sweep

from jinit.report import Results

AXES = {"init": ["a", "b"], "lr": [0.1, 0.2, 0.3], "l2": [0.0, 0.5], "depth": [4]}


def importance(directory, rows, axes=AXES, metric=None, **changes):
    results = Results(write_sweep(directory, axes, rows, **changes))
    return results.importance(metric).set_index("axis")


def test_a_sum_of_effects_has_no_interactions(tmp_path):
    """Variances of the effects: 0.01 of init, 0.08² · 2/3 of lr, nothing of l2."""
    rows = grid(AXES, 2, lambda config, seed: lane(
        config, seed, 0.5 + 0.2 * (config["init"] == "a") + 0.8 * (config["lr"] - 0.2)
    ))  # fmt: skip
    frame = importance(tmp_path, rows)
    first, second = 0.01, 0.08**2 * 2 / 3
    assert frame.index.tolist() == ["init", "lr", "l2", "seed"]
    assert frame.loc["init", "share"] == pytest.approx(first / (first + second))
    assert frame.loc["lr", "share"] == pytest.approx(second / (first + second))
    assert frame.loc["l2", "share"] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(frame["interaction_share"][:3], 0.0, atol=1e-12)
    assert frame["values"].tolist() == [2, 3, 2, 2]
    assert frame.loc["seed", "share"] == pytest.approx(0.0, abs=1e-12)


def test_an_interaction_alone(tmp_path):
    """The right rate depends on the initialization: neither says anything by itself."""
    axes = {"init": ["a", "b"], "lr": [0.1, 0.2]}
    rows = grid(axes, 2, lambda config, seed: lane(
        config, seed, 0.9 if (config["init"] == "a") == (config["lr"] == 0.1) else 0.5
    ))  # fmt: skip
    frame = importance(tmp_path, rows, axes).loc[["init", "lr"]]
    assert frame["share"].tolist() == pytest.approx([0.0, 0.0])
    assert frame["interaction_share"].tolist() == pytest.approx([1.0, 1.0])


def test_a_random_search_has_shares_without_what_chance_explains(tmp_path):
    generator = np.random.default_rng(0)
    configs = [
        {"init": generator.choice(["a", "b"]), "lr": generator.random(), "l2": generator.random()}
        for _ in range(60)
    ]
    axes = {axis: list(dict.fromkeys(config[axis] for config in configs)) for axis in configs[0]}
    rows = [lane(config, seed, 0.1 + 0.8 * config["lr"]) for config in configs for seed in range(2)]
    frame = importance(tmp_path, rows, axes, configs=configs, lanes=120)
    assert frame.index[0] == "lr"
    assert frame.loc["lr", "share"] > 0.8
    assert frame.loc["init", "share"] < 0.05
    assert frame.loc["l2", "share"] < 0.05
    assert math.isnan(frame.loc["lr", "interaction_share"])


def test_seeds_leave_noise_in_the_means(tmp_path):
    axes = {"init": ["a", "b"], "lr": [0.1, 0.2]}
    rows = grid(axes, 4, lambda config, seed: lane(
        config, seed, 0.5 + 0.1 * (config["init"] == "a") + 0.02 * seed
    ))  # fmt: skip
    frame = importance(tmp_path, rows, axes)
    noise = np.var([0.0, 0.02, 0.04, 0.06], ddof=1) / 4
    assert frame.loc["seed", "share"] == pytest.approx(noise / 0.05**2)


def test_divergence_and_other_metrics(tmp_path):
    rows = grid(AXES, 2, lambda config, seed: (
        diverged(config, seed) if config["lr"] == 0.3 else lane(config, seed, 0.9)
    ))  # fmt: skip
    assert importance(tmp_path / "accuracy", rows).loc["lr", "share"] == pytest.approx(1.0)
    frame = importance(tmp_path / "loss", rows, metric="train_loss")
    assert frame.loc["lr", "share"] == pytest.approx(1.0)


def test_equal_runs_leave_nothing_to_explain(tmp_path):
    rows = grid(AXES, 2, lambda config, seed: lane(config, seed, 0.9))
    assert importance(tmp_path, rows)["share"].isna().all()
