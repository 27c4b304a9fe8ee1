"""The heat map of two axes: its numbers, its marks, and the values tuned in every cell."""

import numpy as np
import pytest
from matplotlib.image import imread
from report.synthetic import diverged, grid, lane, write_sweep

from jinit.report import Results

AXES = {
    "init": ["a", "b"],
    "activation": ["relu", "tanh"],
    "lr": [0.1, 0.01, 1.0],
    "l2": [0.0, 0.5],
}


def accuracy(config, seed):
    if config["lr"] == 1.0 and (config["init"] == "b" or seed == 3):
        return diverged(config, seed)
    return lane(config, seed, 0.9 - 0.2 * (config["lr"] > 0.05) - 0.1 * config["l2"])


def write(directory, rows=None, axes=AXES, **changes):
    return Results(write_sweep(directory, axes, rows or grid(axes, 4, accuracy), **changes))


def texts(panel):
    return {tuple(text.get_position()): text.get_text().split() for text in panel.texts}


def test_cells_have_the_mean_of_the_best_tuned_values(tmp_path):
    figure = write(tmp_path).heat_map()
    relu, tanh, bar = figure.axes
    assert (relu.get_title(), tanh.get_title()) == ("relu", "tanh")
    assert (relu.get_ylabel(), relu.get_xlabel()) == ("init", "lr")
    assert bar.get_ylabel() == "validation accuracy"
    assert [text.get_text() for text in relu.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert texts(relu) == {
        (0, 0): ["90.0"], (1, 0): ["70.0"], (2, 0): ["55.0", "1/4", "×"],
        (0, 1): ["90.0"], (1, 1): ["70.0"],
    }  # fmt: skip
    title = " ".join(figure.get_suptitle().split())
    assert "values of l2 chosen on the same runs" in title
    assert "×: diverged runs" in title


def test_diverged_missing_and_best_cells_are_marked(tmp_path):
    rows = [row for row in grid(AXES, 4, accuracy) if (row["init"], row["lr"]) != ("a", 0.1)]
    panel, *_ = write(tmp_path, rows).heat_map().axes
    boxes = [(patch.get_xy(), patch.get_hatch(), patch.get_fill()) for patch in panel.patches]
    assert [place for place, hatch, _ in boxes if hatch] == [(1.5, 0.5)]
    assert [place for place, _, filled in boxes if not filled] == [(-0.5, -0.5), (-0.5, 0.5)]
    assert (0.5, -0.5) not in [place for place, _, _ in boxes]
    assert panel.get_facecolor()[:3] == pytest.approx((0.851,) * 3, abs=0.001)


def test_other_axes_can_be_drawn(tmp_path):
    results = write(tmp_path)
    panels = results.heat_map(axes=("lr", "activation")).axes
    assert [each.get_title() for each in panels[:-1]] == ["a", "b"]
    panels = results.heat_map(axes=("activation", "lr"), compare="l2").axes
    assert [each.get_title() for each in panels[:-1]] == [
        "a, l2 0",
        "a, l2 0.5",
        "b, l2 0",
        "b, l2 0.5",
    ]


def test_words_keep_their_order_and_numbers_are_sorted(tmp_path):
    axes = {"init": ["c", "a", "b"], "lr": [0.1, 10.0, 1.0]}
    rows = grid(axes, 1, lambda config, seed: lane(config, seed, 0.9))
    panel, *_ = write(tmp_path, rows, axes).heat_map().axes
    assert [text.get_text() for text in panel.get_yticklabels()] == ["c", "a", "b"]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0.1", "1", "10"]


def test_equal_cells_have_no_best_one(tmp_path):
    axes = {"init": ["zeros"], "lr": [0.1, 1.0]}
    rows = grid(axes, 2, lambda config, seed: lane(config, seed, 0.1))
    panel, *_ = write(tmp_path, rows, axes).heat_map().axes
    assert all(patch.get_fill() for patch in panel.patches)


def test_losses_are_colored_by_their_logarithms_the_best_bright(tmp_path):
    axes = {"init": ["a"], "lr": [0.1, 1.0]}
    rows = grid(axes, 2, lambda config, seed: lane(config, seed, 1 - config["lr"] * 0.05))
    rows = [row | {"validation_loss": 1e-4} if row["lr"] == 0.1 else row for row in rows]
    panel, *_ = write(tmp_path, rows, axes, metric="validation_loss").heat_map().axes
    best, worst = (patch.get_facecolor() for patch in panel.patches[:2])
    assert np.sum(best[:3]) > np.sum(worst[:3])


def test_a_sweep_in_which_everything_diverged(tmp_path):
    axes = {"init": ["a", "b"], "lr": [0.1, 1.0]}
    rows = grid(axes, 2, lambda config, seed: diverged(config, seed))
    write(tmp_path / "sweep", rows, axes).heat_map(tmp_path / "map.png")
    assert imread(tmp_path / "map.png").shape[0] > 300


def test_an_axis_that_some_configurations_lack(tmp_path):
    axes = {"init": ["a", "b"], "gain": [1.0, 2.0]}
    configs = [{"init": "a"}, {"init": "b", "gain": 1.0}, {"init": "b", "gain": 2.0}]
    rows = [lane({"gain": None} | config, seed, 0.9) for config in configs for seed in range(2)]
    panel, *_ = write(tmp_path, rows, axes, configs=configs).heat_map(axes=("init", "gain")).axes
    assert [text.get_text() for text in panel.get_xticklabels()] == ["1", "2", "–"]
    assert set(texts(panel)) == {(2, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (("init", "rate"), r"unknown axis 'rate'"),
        (("init", "init"), r"axes: expected two different axes of init, activation, lr, l2, got"),
        (("init",), r"axes: expected two different axes"),
    ],
)
def test_axes_that_cannot_be_drawn(tmp_path, axes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path).heat_map(axes=axes)


def test_an_axis_with_too_many_values(tmp_path):
    axes = {"init": ["a"], "lr": [rate / 100 for rate in range(1, 61)]}
    results = write(tmp_path, grid(axes, 1, lambda config, seed: lane(config, seed, 0.9)), axes)
    with pytest.raises(ValueError, match="axes: 'lr' has 60 values, and a heat map has room"):
        results.heat_map()
