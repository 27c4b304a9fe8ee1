"""Optuna studies whose trials are lanes: their number, their values, and what they are told."""

import math
import sys

import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from sweep.small import record_programs, shallow, task

import jinit
from jinit.sweep import run_study

optuna.logging.set_verbosity(optuna.logging.WARNING)

AXES = {
    "init": ["zeros", "he_normal", jinit.normal(0.1)],
    "lr": jinit.between(1e-4, 1.0, log=True),
    "l2": [0.0, 1e-3],
}
SHORT = {"trials": 5, "batch": 3, "seeds": 2, "steps": 20}


def start(config: dict):
    """Return the smallest MLP, by default from He's initialization."""
    return shallow({"init": "he_normal"} | config)


def study(sampler=None, **options) -> optuna.Study:
    sampler = sampler or optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(sampler=sampler, **options)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    searched = study(optuna.samplers.TPESampler(seed=1, n_startup_trials=3))
    directory = tmp_path_factory.mktemp("study")
    results = run_study(searched, task(), start, AXES, directory, **SHORT)
    return searched, results, directory


def test_every_trial_is_told_its_value(found):
    searched, results, directory = found
    assert [trial.state.name for trial in searched.trials] == ["COMPLETE"] * 5
    assert [each.outline.total_lanes for each in results] == [6, 4]
    assert sorted(path.name for path in directory.iterdir()) == ["batch_000", "batch_001"]
    attributes = searched.trials[4].user_attrs
    assert attributes["directory"] == str(directory / "batch_001")
    assert list(attributes["by_seed"]) == ["0", "1"]
    assert attributes["metrics"].keys() >= {"train_loss", "validation_loss", "validation_accuracy"}


def test_values_are_those_of_a_sweep(found, tmp_path):
    searched, _, _ = found
    trial = searched.trials[3]
    init = {"normal(0.1)": jinit.normal(0.1)}.get(trial.params["init"], trial.params["init"])
    space = jinit.grid(init=[init], lr=[np.float32(trial.params["lr"])], l2=[trial.params["l2"]])
    sweep = jinit.Sweep(task(), start, space, seeds=2, steps=20, measure_start=False)
    frame = sweep.run(tmp_path).frame()
    np.testing.assert_allclose(trial.value, frame["validation_loss"].mean(), rtol=1e-5)
    by_seed = list(trial.user_attrs["by_seed"].values())
    np.testing.assert_allclose(by_seed, frame["validation_loss"], rtol=1e-5)
    curve = np.mean(frame["validation_loss_curve"].tolist(), axis=0)
    assert list(trial.intermediate_values) == list(frame["step"][0])
    np.testing.assert_allclose(list(trial.intermediate_values.values()), curve, rtol=1e-5)


def test_a_seeded_sampler_gives_the_same_study(found, tmp_path):
    again = study(optuna.samplers.TPESampler(seed=1, n_startup_trials=3))
    run_study(again, task(), start, AXES, tmp_path, **SHORT)
    for first, second in zip(found[0].trials, again.trials, strict=True):
        assert (first.params, first.value) == (second.params, second.value)


def test_a_study_goes_on_where_it_stopped(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    for _ in range(2):
        resumed = optuna.create_study(
            study_name="mine", storage=storage, load_if_exists=True, pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=3),
        )  # fmt: skip
        run_study(
            resumed, task(), start, {"lr": AXES["lr"]}, tmp_path / "out", **SHORT | {"trials": 2}
        )
    assert [trial.number for trial in resumed.trials] == [0, 1, 2, 3]
    assert {trial.state.name for trial in resumed.trials} == {"COMPLETE"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["batch_000", "batch_001"]


def test_later_batches_compile_nothing(tmp_path):
    on, axes, options = task(), {"lr": AXES["lr"]}, SHORT | {"batch": 2, "trials": 2}
    run_study(study(), on, start, axes, tmp_path, **options)
    with record_programs() as programs:
        run_study(study(), on, start, axes, tmp_path, **options)
    assert programs == []


def test_a_diverged_run_is_told_as_the_worst(tmp_path):
    searched = study()
    for lr in (0.1, 1e30, 1e-4):
        searched.enqueue_trial({"lr": lr})
    axes = {"lr": [1e-4, 0.1, 1e30]}
    run_study(searched, task(), start, axes, tmp_path, **SHORT | {"trials": 3})
    good, bad, slow = searched.trials
    assert bad.user_attrs["diverged"]
    assert bad.user_attrs["diverged_seeds"] == [0, 1]
    assert bad.user_attrs["by_seed"] == {"0": None, "1": None}
    assert list(bad.intermediate_values) == [0]
    assert not good.user_attrs["diverged"]
    assert math.isfinite(bad.value)
    assert bad.value >= max(good.value, *slow.user_attrs["by_seed"].values())
    assert searched.best_trial == good


def test_accuracy_is_maximized(tmp_path):
    searched = study(direction="maximize")
    run_study(searched, task(), start, {"lr": AXES["lr"]}, tmp_path, **SHORT | {"trials": 2})
    means = [trial.user_attrs["metrics"]["validation_accuracy"] for trial in searched.trials]
    np.testing.assert_allclose([trial.value for trial in searched.trials], means)


def test_equal_configurations_are_trained_once(tmp_path):
    searched = study()
    axes = {"init": ["zeros", "he_normal"], "lr": [0.01], "depth": [1]}
    (results,) = run_study(searched, task(), start, axes, tmp_path, **SHORT | {"batch": 5})
    assert results.outline.total_lanes == 4
    values = {(trial.params["init"], trial.value) for trial in searched.trials}
    assert len(values) == 2


@pytest.mark.slow
def test_a_function_of_the_trial_has_conditional_axes(tmp_path):
    def suggest(trial):
        config = {"optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam"]), "lr": 0.1}
        if config["optimizer"] == "sgd":
            config["momentum"] = trial.suggest_float("momentum", 0.0, 0.9)
        return config

    searched = study()
    run_study(searched, task(), start, suggest, tmp_path, **SHORT | {"batch": 5})
    kinds = [(trial.params["optimizer"], len(trial.params)) for trial in searched.trials]
    assert set(kinds) == {("sgd", 2), ("adam", 1)}
    assert len({trial.value for trial in searched.trials}) > 2


def test_constraints_are_passed_on(tmp_path):
    searched = study()
    run_study(
        searched, task(), start, {"lr": AXES["lr"]}, tmp_path, **SHORT | {"trials": 2},
        constraints=lambda metrics: {"loss": metrics["train_loss"] - 10.0},
    )  # fmt: skip
    assert all(trial.constraints["loss"] < 0 for trial in searched.trials)


def test_a_trial_of_functions(tmp_path):
    trial = jinit.Trial.from_train(lambda key, hyper: {"score": -jnp.square(hyper["x"] - 2.0)})
    searched = study(optuna.samplers.TPESampler(seed=0), direction="maximize")
    axes = {"x": jinit.between(-4.0, 4.0)}
    run_study(searched, None, trial, axes, tmp_path, trials=6, batch=3, seeds=1, steps=1)
    for each in searched.trials:
        np.testing.assert_allclose(each.value, -((each.params["x"] - 2) ** 2), rtol=1e-5)


def test_nothing_finite_fails(tmp_path):
    trial = jinit.Trial.from_train(lambda key, hyper: {"loss": hyper["x"] * jnp.nan})
    searched = study()
    run_study(searched, None, trial, {"x": [1.0, 2.0]}, tmp_path, trials=1, seeds=1, steps=1)
    assert searched.trials[0].state.name == "FAIL"


def test_trials_of_an_interrupted_batch_have_failed(tmp_path):
    def interrupt(progress):
        raise KeyboardInterrupt

    searched = study()
    with pytest.raises(KeyboardInterrupt):
        run_study(
            searched, task(), start, {"lr": [0.1, 0.2]}, tmp_path, **SHORT, progress=interrupt
        )
    assert [trial.state.name for trial in searched.trials] == ["FAIL"] * 3


@pytest.mark.parametrize(
    ("directions", "options", "axes", "message"),
    [
        (["minimize"], {"metric": "validation_accuracy"}, AXES, r"create_study\(direction='maxi"),
        (["maximize"], {"metric": "validation_loss"}, AXES, r"maximize validation_loss, of which"),
        (["minimize"] * 2, {}, AXES, "expected one objective, got 2"),
        (["minimize"], {"trials": 0}, AXES, "trials: expected an integer of at least 1, got 0"),
        (["minimize"], {}, {}, "run_study: no axes"),
        (["minimize"], {}, {"seed": [0]}, "seeds are replicates"),
        (["minimize"], {}, {"lr": 0.1}, "axis 'lr' needs a list of values"),
        (["minimize"], {}, {"lr": [0.1], "init": ["he_norml"]}, "he_normal"),
    ],
)
def test_arguments_that_cannot_work(tmp_path, directions, options, axes, message):
    searched = optuna.create_study(directions=directions)
    with pytest.raises(ValueError, match=message):
        run_study(searched, task(), start, axes, tmp_path, **SHORT | options)
    assert searched.trials == []


def test_without_optuna(monkeypatch, tmp_path):
    searched = study()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(jinit.report.MissingExtraError, match=r"pip install 'jinit\[search\]'"):
        run_study(searched, task(), start, AXES, tmp_path, **SHORT)
