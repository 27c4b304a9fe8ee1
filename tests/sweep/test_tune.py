"""Tuning: what the search chooses, what is trained again on fresh seeds, and what is said of it."""

import inspect
import io

import jax
import numpy as np
import optax
import pandas
import pytest
from rich.console import Console
from sweep.small import pair, shallow, task

import jinit
from jinit.report.sweep.chosen import chosen_configs
from jinit.report.sweep.metric import Metric
from jinit.report.sweep.outline import Outline
from jinit.sweep.roles import Roles, find_roles
from jinit.sweep.sweep_options import SweepOptions

INITS = ["zeros", "he_normal", "normal"]
SPACE = jinit.grid(init=INITS, lr=[1e-3, 1e-1, 1e30], l2=[0.0, 1e-3])
SHORT = {"seeds": 2, "confirm_seeds": 3, "steps": 20, "measure_start": False}


def task_with_test() -> jinit.Task:
    """The small task with test examples that are not those of validation."""
    inputs, targets = task().train
    return task(test=(inputs[::2], targets[::2]))


def start(config: dict):
    """Return the smallest MLP, by default from He's initialization."""
    return shallow({"init": "he_normal"} | config)


def page(shown) -> str:
    """What rich prints, as plain text."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(shown)
    return console.export_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tune")
    jinit.tune(
        task_with_test(), shallow, SPACE, directory, seeds=2, confirm_seeds=4, steps=40,
        measure_start=False,
    )  # fmt: skip
    return directory


@pytest.fixture
def tuned(folder):
    return jinit.Tuned(folder)


def test_each_initialization_gets_its_best_finite_rates(tuned):
    means = tuned.search.frame().groupby(["init", "lr", "l2"])["validation_loss"]
    means = means.agg(lambda losses: losses.mean(skipna=False))
    assert means.isna().sum() >= 4  # the rate of 1e30 diverges
    best = [means[init].dropna().idxmin() for init in means.index.levels[0]]
    chosen = {config["init"]: (config["lr"], config["l2"]) for config in tuned.choices}
    assert chosen == dict(zip(means.index.levels[0], best, strict=True))


def test_the_choice_is_trained_on_fresh_seeds_only(tuned):
    assert tuned.search.outline.seeds == (0, 1)
    assert tuned.confirmed.outline.seeds == (2, 3, 4, 5)
    frame = tuned.confirmed.frame()
    axes = ["init", "lr", "l2"]
    assert frame[axes].drop_duplicates().to_dict("records") == list(tuned.choices)
    assert frame.groupby("init")["seed"].agg(set).tolist() == [{2, 3, 4, 5}] * 3


def test_it_trains_as_a_sweep_does(tuned, tmp_path):
    config = tuned.choices[1]
    space = jinit.grid(**{name: [value] for name, value in config.items()})
    sweep = jinit.Sweep(task_with_test(), shallow, space, seeds=[3], steps=40, measure_start=False)
    alone = sweep.run(tmp_path).frame().iloc[0]
    found = tuned.confirmed.frame().query("init == @config['init'] and seed == 3").iloc[0]
    for column in ("validation_loss", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(alone[column], found[column], rtol=1e-4)


def test_competitors_are_compared_by_the_test_examples(tuned):
    frame = tuned.frame()
    assert frame["metric"].tolist() == ["validation_accuracy"] * 3 + ["test_accuracy"] * 3
    own = tuned.confirmed.comparison(metric="test_accuracy")
    pandas.testing.assert_frame_equal(
        frame[3:].reset_index(drop=True)[list(own.columns)], own, check_dtype=False
    )
    row, records = frame.iloc[3], tuned.search.frame()
    runs = records.query("init == @row.init and lr == @row.lr and l2 == @row.l2")
    np.testing.assert_allclose(row["search_mean"], runs["test_accuracy"].mean())
    (best,) = tuned.best()
    np.testing.assert_allclose(best.mean, row["mean"])


def test_the_sentence_names_rates_and_has_no_caveat(tuned):
    assert tuned.sentence.startswith("On 4 fresh seeds: ")
    assert "test accuracy" in tuned.sentence
    assert "lr=0.1" in tuned.sentence
    assert "chosen on the same runs" not in tuned.sentence + page(tuned.table())
    assert "chosen on the same runs" in page(tuned.search.table())
    assert "test" in page(tuned.table())
    assert tuned.sentence.removeprefix("On 4 fresh seeds: ")[:9] in tuned._repr_html_()


def test_the_directory_is_the_result(tuned, folder, tmp_path):
    assert repr(tuned) == f"Tuned({str(folder)!r})"
    assert tuned == jinit.Tuned(str(folder))
    tuned.heat_map(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"does not exist; expected the output directory"):
        jinit.Tuned(tmp_path)


def test_it_is_deterministic(tuned, tmp_path):
    again = jinit.tune(
        task_with_test(), shallow, SPACE, tmp_path, seeds=2, confirm_seeds=4, steps=40,
        measure_start=False,
    )  # fmt: skip
    pandas.testing.assert_frame_equal(again.frame(), tuned.frame())


@pytest.mark.slow
def test_every_facet_has_a_choice_of_its_own(tmp_path):
    space = jinit.grid(init=["he_normal"], activation=["relu", "tanh"], lr=[1e-3, 1e-1])
    space += jinit.grid(init=["zeros"], activation=["relu"], lr=[1e-2])
    tuned = jinit.tune(task(), pair, space, tmp_path, **SHORT)
    assert [(each["init"], each["activation"]) for each in tuned.choices] == [
        ("he_normal", "relu"), ("he_normal", "tanh"), ("zeros", "relu"),
    ]  # fmt: skip
    assert [best.facet for best in tuned.best()] == [{"activation": "relu"}, {"activation": "tanh"}]
    assert "relu: " in tuned.sentence
    assert "tanh: " in tuned.sentence
    assert tuned.frame()["activation"].tolist() == ["relu", "relu", "tanh"]


def test_one_competitor(tmp_path):
    tuned = jinit.tune(task(), start, jinit.grid(lr=[1e-3, 1e-1], l2=[0.0]), tmp_path, **SHORT)
    assert tuned.choices == ({"lr": 0.1, "l2": 0.0},)
    assert "lr=0.1" in tuned.sentence
    assert tuned.search.outline.tune == ("lr", "l2")
    assert len(tuned.frame()) == 1
    tuned.heat_map(axes=("lr", "l2"))


@pytest.mark.slow
def test_conditional_axes(tmp_path):
    rates = jinit.grid(optimizer=["sgd"], momentum=[0.5, 0.9], lr=[0.1])
    space = jinit.grid(init=["he_normal", "zeros"]) * (
        rates + jinit.grid(optimizer=["adam"], lr=[0.1])
    )
    tuned = jinit.tune(task(), start, space, tmp_path, **SHORT)
    assert [config["init"] for config in tuned.choices] == ["he_normal", "zeros"]
    assert all(("momentum" in each) == (each["optimizer"] == "sgd") for each in tuned.choices)
    assert len(tuned.frame()) == 2


@pytest.mark.slow
def test_other_axes_compete(tmp_path):
    space = jinit.grid(init=["he_normal"], optimizer=["sgd", "adam"], lr=[1e-2, 1e-1])
    tuned = jinit.tune(task(), start, space, tmp_path, compare="optimizer", **SHORT)
    assert [config["optimizer"] for config in tuned.choices] == ["sgd", "adam"]
    assert tuned.best()[0].facet == {"init": "he_normal"}


def test_everything_diverges(tmp_path):
    space = jinit.grid(init=["he_normal", "zeros"], lr=[1e35, 1e36])
    tuned = jinit.tune(task(), start, space, tmp_path, **SHORT)
    assert len(tuned.choices) == 2
    assert tuned.best()[0].leader is None
    assert "no candidate learned better than guessing" in tuned.sentence


def test_halving_chooses_among_those_that_went_furthest(tmp_path):
    space = jinit.halving(jinit.grid(init=["he_normal"], lr=[1e-3, 1e-2, 1e-1, 1.0]), eta=2)
    options = SHORT | {"record_every": 2}
    tuned = jinit.tune(task(), start, space, tmp_path, **options)
    frame = tuned.search.frame()
    last = frame["step"].map(lambda steps: steps[-1])
    assert sorted(set(last)) == [4, 10, 20]
    assert frame[last == 20]["lr"].unique().tolist() == [tuned.choices[0]["lr"]]


def test_eliminated_configurations_count_only_if_asked():
    axes = {"init": ["a", "b"], "lr": [0.1, 1.0]}
    outline = Outline("small", Metric("loss"), axes, ("init",), (0,), 4, tune=("lr",))
    runs = [("a", 0.1, [0, 4], 0.1), ("a", 1.0, [0, 8], 0.2), ("b", 0.1, [0, 4], 0.3)]
    rows = [
        {"init": init, "lr": lr, "seed": 0, "step": steps, "loss": loss}
        for init, lr, steps, loss in runs
    ]
    rates = [each["lr"] for each in chosen_configs(rows, outline)]
    assert rates == [0.1, 0.1]
    rates = [each["lr"] for each in chosen_configs(rows, outline, furthest_only=True)]
    assert rates == [1.0, 0.1]


def test_a_trial_of_functions(tmp_path):
    def train(key, hyper):
        noise = 0.01 * jax.random.normal(key)
        return {"loss": (hyper["lr"] - 0.3) ** 2 + (hyper["gain"] - 1.0) ** 2 + noise**2}

    space = jinit.grid(gain=[0.5, 1.0], lr=[0.1, 0.3])
    trial = jinit.Trial.from_train(train)
    tuned = jinit.tune(None, trial, space, tmp_path, seeds=2, steps=1)
    assert tuned.choices == ({"gain": 0.5, "lr": 0.3}, {"gain": 1.0, "lr": 0.3})
    assert tuned.frame()["gain"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("axes", "training", "compare", "roles"),
    [
        ({"init": 2, "lr": 2, "l2": 1}, ["lr", "l2"], None, Roles(("init",), ("lr", "l2"))),
        ({"lr": 2, "l2": 2}, ["lr", "l2"], None, Roles((), ("lr", "l2"))),
        ({"init": 1, "depth": 2, "lr": 2}, ["lr"], None, Roles(("init", "depth"), ("lr",))),
        ({"init": 2, "gain": 2, "lr": 2}, ["gain", "lr"], None, Roles(("init", "gain"), ("lr",))),
        ({"init": 2, "gain": 2, "lr": 2}, ["gain", "lr"], "init", Roles(("init",), ("gain", "lr"))),
        ({"init": 2, "lr": 2}, ["lr"], ["lr", "init"], Roles(("init", "lr"), ())),
    ],
)
def test_roles(axes, training, compare, roles):
    values = {name: list(range(count)) for name, count in axes.items()}
    assert find_roles(values, training, compare) == roles


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confirm_seeds": [1, 5]}, "the search trains with seed 1 as well; fresh seeds must be"),
        ({"confirm_seeds": 0}, "confirm_seeds: expected an integer of at least 1, got 0"),
        ({"confirm_seeds": "two"}, "confirm_seeds: expected a number of seeds, or the seeds"),
        ({"confirm_seeds": [-1]}, "seeds: expected a number of seeds, or distinct integers"),
        ({"compare": "inti"}, "'inti'; did you mean 'init'?"),
        ({"optimizer": optax.adam(0.1)}, "the optimizer is built already"),
    ],
)
def test_arguments_that_cannot_work(tmp_path, options, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        jinit.tune(task(), shallow, SPACE, tmp_path / "out", **SHORT | options)
    assert not (tmp_path / "out").exists()


def test_options_are_those_of_a_sweep():
    options = inspect.signature(jinit.Sweep).parameters.values()
    names = {option.name for option in options if option.kind is option.KEYWORD_ONLY}
    assert set(SweepOptions.__annotations__) == names - {"seeds", "save"}


def test_a_directory_with_results_is_refused(folder):
    with pytest.raises(ValueError, match=r"search already holds a sweep, which would be overwr"):
        jinit.tune(task(), shallow, SPACE, folder, **SHORT)


def test_an_interrupted_search_can_be_read(tmp_path):
    def interrupt(progress):
        if progress.stage == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jinit.tune(task(), start, jinit.grid(lr=[0.1, 0.2]), tmp_path, progress=interrupt, **SHORT)
    assert jinit.Results(tmp_path / "search").outline.tune == ("lr",)
