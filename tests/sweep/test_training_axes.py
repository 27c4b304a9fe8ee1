"""Axes of training: what is traced, what is compiled, and that each value does what it says."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from sweep.small import shallow, sweep, task

import jinit
from jinit.sweep.optimizers import training_axes


def warm_up(lr, warm_up_steps=0):
    """Optax decides in Python whether there is a warm-up."""
    return optax.sgd(optax.warmup_constant_schedule(0.0, lr, warm_up_steps))


def own_warm_up(lr, warm_up_steps):
    return optax.sgd(lambda count: lr * (count / warm_up_steps).clip(0, 1))


@pytest.mark.parametrize(
    ("optimizer", "axes", "traced", "compiled"),
    [
        (optax.adamw, {"weight_decay": [0, 0.1], "momentum": [0.9]}, ("lr", "weight_decay"), ()),
        (optax.sgd, {"momentum": [0.8, 0.9], "l1": [0.1]}, ("lr", "momentum", "l1"), ()),
        (optax.sgd, {"momentum": [0.9], "nesterov": [False, True]}, ("lr", "momentum"),
         ("nesterov",)),
        (warm_up, {"warm_up_steps": [0, 10]}, ("lr",), ("warm_up_steps",)),
        (own_warm_up, {"warm_up_steps": [5, 10]}, ("lr", "warm_up_steps"), ()),
        (optax.adam, {"batch_size": [8, 16], "gain": [1.0]}, ("lr", "gain"), ("batch_size",)),
    ],
)  # fmt: skip
def test_numbers_are_traced_where_that_is_possible(optimizer, axes, traced, compiled):
    space = jinit.grid(lr=[0.1], **axes, depth=[2])
    assert training_axes(space, optimizer)[:2] == (traced, compiled)


def test_a_built_optimizer_has_no_options():
    space = jinit.grid(init=["zeros"], gain=[1.0], momentum=[0.9])
    assert training_axes(space, optax.adam(1e-3))[:2] == (("gain",), ())


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    return (
        sweep(
            shallow,
            init=["he_normal"],
            lr=[1e-2, 1e-1],
            optimizer=["sgd", optax.adam],
            batch_size=[8, 16],
            steps=12,
        )
        .run(tmp_path_factory.mktemp("axes") / "out")
        .frame()
    )


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_an_axis_gives_what_a_sweep_of_its_own_gives(frame, tmp_path, name, batch_size):
    alone = sweep(
        shallow,
        on=task(batch_size=batch_size),
        init=["he_normal"],
        lr=[1e-2, 1e-1],
        optimizer=getattr(optax, name),
        steps=12,
    )
    expected = alone.run(tmp_path / "out").frame()
    found = frame[(frame["optimizer"] == name) & (frame["batch_size"] == batch_size)]
    for column in ("train_loss", "validation_loss"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-5)


def test_candidates_of_all_optimizers_compete(frame):
    assert len(frame) == 16
    assert frame["group"].nunique() == 4
    assert frame.groupby("optimizer")["validation_loss"].mean().nunique() == 2


@pytest.mark.slow
def test_compiled_options_of_the_optimizer(tmp_path):
    one = sweep(
        shallow,
        init=["he_normal"],
        lr=[0.05],
        nesterov=[False, True],
        optimizer=partial(optax.sgd, momentum=0.9),
    )
    frame = one.run(tmp_path / "out").frame()
    assert frame["group"].nunique() == 2
    assert frame.groupby("nesterov")["train_loss"].mean().nunique() == 2


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({"optimizer": ["sgd", "adam"], "momentum": [0.9]},
         "axis 'momentum' is an option of sgd, but not of adam"),
        ({"optimizer": ["adam", "sgd"], "momentum": [0.9]},
         "axis 'momentum' is an option of sgd, but not of adam"),
        ({"optimizer": ["sdg"]}, "axis 'optimizer'.*did you mean 'sgd'"),
        ({"batch_size": [0]}, "batch_size=0, expected an integer from 1 to 90"),
        ({"batch_size": [1000]}, "batch_size=1000, expected an integer from 1 to 90"),
    ],
)  # fmt: skip
def test_axes_that_cannot_work(tmp_path, axes, text):
    with pytest.raises(ValueError, match=text):
        sweep(shallow, init=["zeros"], lr=[0.1], **axes).run(tmp_path / "out")


def test_an_optimizer_that_is_given_twice():
    space = jinit.grid(init=["zeros"], lr=[0.1], optimizer=["sgd"])
    with pytest.raises(ValueError, match="the optimizer is given twice, as an axis"):
        jinit.Sweep(task(), shallow, space, optimizer=optax.adam)


def test_build_does_not_get_them(tmp_path):
    def build(config):
        return shallow({"init": config["init"], "width": config["batch_size"]})

    one = sweep(build, init=["zeros"], lr=[0.1], batch_size=[4])
    with pytest.raises(ValueError, match="'batch_size', which is an axis of the training program"):
        one.run(tmp_path / "out")


@pytest.mark.slow
def test_the_axes_of_the_phase_diagram(tmp_path):
    axes = {"sigma_w": [0.5, 2.0], "sigma_b": [0.0, 1.0], "lr": [1e-3]}
    results = sweep(
        lambda config: jinit.sweep.mlp(6, 3, depth=4, width=64, activation="tanh"),
        **axes, steps=1, save="all",
    ).run(tmp_path / "out")  # fmt: skip
    frame = results.frame()
    assert frame["group"].nunique() == 1
    for row in frame.to_dict("records"):
        layer = results.params(row)["layer_03"]
        assert np.std(layer["kernel"]) * 8 == pytest.approx(row["sigma_w"], rel=0.05)
        assert np.std(layer["bias"]) == pytest.approx(row["sigma_b"], rel=0.35, abs=0.01)
    last = frame["activation_std"].map(lambda stds: stds[-2])
    ordered = frame.assign(last=last).groupby("sigma_w")["last"].mean()
    assert ordered[0.5] < ordered[2.0]
    assert set(results.best()[0].leader or {}) <= {"sigma_w", "sigma_b", "lr"}


def small_kernels(model):
    return {"**/kernel": jinit.normal(0.01), "**/bias": "zeros"}


@pytest.mark.slow
def test_whole_model_initializations_are_an_axis(tmp_path):
    one = sweep(
        shallow, rules=["own", "recommended", small_kernels, jinit.recommend], lr=[1e-2],
        seeds=2, steps=2, save="all",
    )  # fmt: skip
    with pytest.raises(ValueError, match="axis 'rules' changes nothing"):
        one.run(tmp_path / "twice")  # both recommend
    one = sweep(
        shallow, rules=["own", "recommended", small_kernels], lr=[0.0], seeds=2, steps=1, save="all"
    )
    results = one.run(tmp_path / "out")
    frame = results.frame()
    assert frame["group"].nunique() == 1
    assert frame["rules"].unique().tolist() == ["own", "recommended", "small_kernels"]
    inputs = jax.ShapeDtypeStruct((90, 6), "float32")
    init, apply = shallow({})
    model = jinit.trace(apply, jax.eval_shape(init, jax.random.key(0)), inputs, init=init)
    for rules in ("recommended", "small_kernels"):
        row = frame[(frame["rules"] == rules) & (frame["seed"] == 1)].iloc[0]
        by_hand = jinit.recommend(model) if rules == "recommended" else small_kernels(model)
        plan = by_hand if rules == "recommended" else jinit.plan(model, by_hand)
        expected = jax.tree.leaves(plan.init(jax.random.key(1)))
        for found, leaf in zip(jax.tree.leaves(results.params(row)), expected, strict=True):
            np.testing.assert_allclose(found, leaf, rtol=1e-6)
    with pytest.raises(ValueError, match="unknown axis 'rules': word 'recomended'; did you mean"):
        sweep(shallow, rules=["recomended"], lr=[0.1])
