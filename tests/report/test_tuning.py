"""Competitors with the best of their tuned values, other axes that compete, and partial grids."""

import json

import pytest
from report.synthetic import diverged, grid, lane, write_sweep

from jinit.report import Results
from jinit.report.sweep.sentences import tuned_axes_text

AXES = {"init": ["a", "b"], "activation": ["relu", "tanh"], "lr": [0.1, 0.01], "l2": [0.0, 0.5]}


def accuracy(config, seed):
    """`a` is best at a rate of 0.1, `b` at 0.01, and both without l2."""
    right_rate = {"a": 0.1, "b": 0.01}[config["init"]]
    value = 0.9 if config["lr"] == right_rate else 0.5
    return lane(config, seed, value + 0.001 * seed - 0.1 * config["l2"])


def write(directory, rows=None, axes=AXES, **changes):
    return Results(write_sweep(directory, axes, rows or grid(axes, 4, accuracy), **changes))


def test_every_competitor_has_its_own_best_values(tmp_path):
    relu, tanh = write(tmp_path).best()
    assert (relu.facet, tanh.facet) == ({"activation": "relu"}, {"activation": "tanh"})
    assert relu.leader == {"init": "a", "lr": 0.1, "l2": 0.0}
    assert relu.comparisons[0].other_config == {"init": "b", "lr": 0.01, "l2": 0.0}
    assert relu.sentence == (
        "relu: a [lr=0.1, l2=0] and b [lr=0.01, l2=0] cannot be distinguished with 4 seeds "
        "(90.2 %); use either; learning rates and values of l2 chosen on the same runs."
    )


def test_validation_loss_chooses_where_the_accuracy_would_choose_otherwise(tmp_path):
    axes = {"init": ["a", "b"], "lr": [0.1, 0.01]}
    losses = {0.1: 0.9, 0.01: 0.2}
    rows = grid(axes, 3, lambda config, seed: lane(
        config, seed, 0.5 + config["lr"], validation_loss=losses[config["lr"]]
    ))  # fmt: skip
    assert write(tmp_path / "loss", rows, axes).best()[0].leader == {"init": "a", "lr": 0.01}
    by_accuracy = write(tmp_path / "accuracy", rows, axes, selection="validation_accuracy")
    assert by_accuracy.best()[0].leader == {"init": "a", "lr": 0.1}


def test_a_rate_at_which_seeds_diverge_is_worse_than_any_loss(tmp_path):
    axes = {"init": ["a", "b"], "lr": [1.0, 0.1]}
    rows = grid(axes, 4, lambda config, seed: lane(config, seed, 0.95 - 0.2 * (config["lr"] < 1)))
    rows = [
        diverged({"init": "a", "lr": 1.0}, row["seed"])
        if (row["init"], row["lr"]) == ("a", 1.0) and row["seed"] < 2
        else row
        for row in rows
    ]
    (best,) = write(tmp_path, rows, axes).best()
    configs = [best.leader, *(each.other_config for each in best.comparisons)]
    assert configs == [{"init": "b", "lr": 1.0}, {"init": "a", "lr": 0.1}]


def test_a_configuration_with_all_seeds_comes_before_a_lucky_one(tmp_path):
    axes = {"init": ["a"], "gain": [1.0, 2.0], "lr": [0.1, 0.01]}
    rows = grid(axes, 3, lambda config, seed: lane(config, seed, 0.8))
    kept = [row for row in rows if row["lr"] == 0.1 or row["seed"] == 0]
    kept = [row | {"validation_loss": 0.01} if row["lr"] == 0.01 else row for row in kept]
    (best,) = write(tmp_path, kept, axes).best()
    assert best.leader == {"init": "a", "gain": 1.0, "lr": 0.1}
    assert "; unfinished: 8 of 12 runs" in best.sentence


def test_any_axis_can_compete(tmp_path):
    results = write(tmp_path)
    rates = results.best(compare="lr")
    assert [each.facet for each in rates] == [
        {"init": init, "activation": activation} for init in "ab" for activation in ("relu", "tanh")
    ]
    assert rates[0].leader == {"lr": 0.1, "l2": 0.0}
    assert rates[0].sentence.startswith("a, relu: use lr=0.1 [l2=0], with validation accuracy")
    (both,) = results.best(compare=("init", "activation"))
    assert len(both.comparisons) == 3
    assert "a, relu [lr=0.1, l2=0]" in both.sentence
    assert results.table(compare="lr").row_count == 12
    assert len(results.plot(compare="activation").axes) == 6


@pytest.mark.parametrize("compare", ["learning", ("init", "learning")])
def test_an_unknown_axis_names_the_known_ones(tmp_path, compare):
    results = write(tmp_path)
    for read in (results.best, results.table):
        with pytest.raises(ValueError, match=r"unknown axis 'learning'; .*init"):
            read(compare=compare)
    with pytest.raises(ValueError, match=r"compare: expected an axis or several of init, act"):
        results.best(compare=())


def test_training_axes_that_compete_no_longer_are_tuned(tmp_path):
    axes = {"lr": [0.1, 0.01], "l2": [0.0, 0.5]}
    rows = grid(axes, 3, lambda config, seed: accuracy(config | {"init": "a"}, seed))
    rows = [{key: value for key, value in row.items() if key != "init"} for row in rows]
    results = write(tmp_path, rows, axes)
    assert results.best()[0].leader == {"lr": 0.1, "l2": 0.0}
    assert len(results.best()[0].comparisons) == 3
    (best,) = results.best(compare="l2")
    assert (best.leader, len(best.comparisons)) == ({"lr": 0.1, "l2": 0.0}, 1)


def test_a_space_that_is_no_full_grid(tmp_path):
    """Random rates for each initializer, and a gain that only one of them has."""
    configs = [{"init": "a", "lr": 0.3}, {"init": "a", "lr": 0.02}]
    configs += [{"init": "b", "gain": 2.0, "lr": 0.07}, {"init": "b", "gain": None, "lr": 0.5}]
    axes = {"init": ["a", "b"], "gain": [2.0, 3.0], "lr": [0.02, 0.07, 0.3, 0.5]}
    rows = [
        lane({"init": None, "gain": None} | config, seed, 0.5 + config["lr"])
        for config in configs[:3]
        for seed in range(4)
    ]
    results = write(tmp_path, rows, axes, configs=configs, lanes=16)
    assert results.frame()["lr"].tolist() == [0.3] * 4 + [0.02] * 4 + [0.07] * 4
    (best,) = results.best()
    assert best.leader == {"init": "a", "lr": 0.3}
    assert best.comparisons[0].other_config == {"init": "b", "gain": 2.0, "lr": 0.07}
    assert best.sentence.startswith("use a [lr=0.3], with validation accuracy 80.0 %")
    assert "next b [gain=2, lr=0.07]" in best.sentence
    assert best.sentence.endswith("; unfinished: 12 of 16 runs, none of b.")


def test_a_reward_is_a_metric_of_its_own(tmp_path):
    axes = {"init": ["a", "b"]}
    rows = [
        lane({"init": init}, seed, 0.5, validation_reward=reward + seed,
             validation_reward_curve=[0.0, reward / 2, reward + seed])
        for init, reward in (("a", 10.0), ("b", 20.0))
        for seed in range(4)
    ]  # fmt: skip
    changes = {"metric": "validation_reward", "larger_is_better": True, "classes": None}
    results = write(tmp_path, rows, axes, **changes)
    (best,) = results.best()
    assert best.leader == {"init": "b"}
    assert "use b, with validation reward 21.5 ± 2.1" in best.sentence
    assert results.plot().axes[0].get_ylabel() == "validation reward"
    outline = json.loads((tmp_path / "sweep.json").read_text()) | {"larger_is_better": None}
    (tmp_path / "sweep.json").write_text(json.dumps(outline))
    with pytest.raises(ValueError, match="does not say whether more is better"):
        results.best()


def test_the_test_metric_is_shown_for_what_validation_chose(tmp_path):
    rows = [row | {"test_accuracy": row["validation_accuracy"] - 0.1} for row in
            grid({"init": ["a", "b"]}, 4, lambda config, seed: lane(
                config, seed, 0.9 - 0.2 * (config["init"] == "b") + 0.01 * seed))]  # fmt: skip
    changes = {"test_metric": "test_accuracy", "test_examples": 50}
    results = write(tmp_path, rows, {"init": ["a", "b"]}, **changes)
    tested = results.outline.measuring("test_accuracy", results.outline.metric).metric
    assert results.outline.test_metric == tested
    assert (results.outline.metric.resolution, tested.resolution) == (1 / 2000, 1 / 50)
    assert (
        "use a, with validation accuracy 91.5 % ± 2.1 (test accuracy 81.5 % ± 2.1), better"
    ) in results.best()[0].sentence


def test_runs_that_stopped_early_have_short_curves(tmp_path):
    axes = {"init": ["a", "b"]}
    rows = grid(axes, 4, lambda config, seed: lane(config, seed, 0.1 if seed else 0.11))
    short = {"step": [0, 100], "validation_loss_curve": [2.3, 2.2], "train_loss_curve": [2.3, 2.2]}
    rows = [row | short if row["seed"] == 3 else row for row in rows]
    curves, *_ = write(tmp_path, rows, axes).plot().axes
    assert [len(line.get_xdata()) for line in curves.lines] == [4, 4]


def test_tuned_axes_have_plurals():
    assert tuned_axes_text(["optimizer", "batch_size"]) == "optimizers and batch sizes"
