"""Statistics of layers at later steps: those of the parameters at these steps."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from sweep.small import CLASSES, FEATURES, record_programs, shallow, sweep, task

import jinit
from jinit.diagnostics import signal
from jinit.hooks import as_model
from jinit.sweep import cross_entropy

AXES = {"init": ["he_normal", "zeros"], "lr": [1e-1]}


def dense(kernel_init):
    return nn.Dense(FEATURES, kernel_init=kernel_init)


def convolution(kernel_init):
    return nn.Conv(FEATURES, (3,), kernel_init=kernel_init)


class Residual(nn.Module):
    """A network that is not a chain, with BatchNorm."""

    layer: Any
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x, train=False):
        x = self.layer(self.kernel_init)(x[..., None, :])
        x = x + self.layer(self.kernel_init)(nn.tanh(x))
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x.mean(1))


def run_of(frame, init):
    return frame[(frame["init"] == init) & (frame["seed"] == 1)]


@pytest.mark.parametrize("executor", ["vmap(2)", pytest.param("loop", marks=pytest.mark.slow)])
def test_an_mlp_by_hand(executor, tmp_path):
    """Standard deviations and dead units of relu(x w + b), at a step before the last one."""
    options = {"record_every": 2, "executor": executor}
    found = sweep(shallow, **AXES, **options, steps=12, measure_at=[8, 4]).run(tmp_path / "long")
    ended = sweep(shallow, **AXES, **options, steps=4, save="all").run(tmp_path / "short")
    layers = found.layers()
    assert sorted(set(layers["step"])) == [0, 4, 8]
    params = ended.params({"init": "he_normal", "lr": 1e-1, "seed": 1})
    (w, b), (v, c) = (params[name].values() for name in sorted(params))
    w, b, v, c = (np.float64(leaf) for leaf in ((w, b, v, c) if w.ndim == 2 else (b, w, c, v)))
    inputs, targets = task().train
    hidden = inputs @ w + b
    outputs = np.maximum(hidden, 0) @ v + c
    odds = np.exp(outputs - outputs.max(1, keepdims=True))
    by_output = odds / odds.sum(1, keepdims=True) - np.eye(CLASSES)[targets]
    at_4 = run_of(layers[layers["step"] == 4], "he_normal")
    expected = [hidden.std(), outputs.std()]
    assert at_4["activation_std"].tolist() == pytest.approx(expected, rel=1e-5)
    by_hidden = (by_output @ v.T) * (hidden > 0)
    ratio = at_4["gradient_std"].iloc[0] / at_4["gradient_std"].iloc[1]
    assert ratio == pytest.approx(by_hidden.std() / by_output.std(), rel=1e-4)
    assert at_4["dead_fraction"].iloc[0] == (hidden <= 0).all(0).mean()


@pytest.mark.slow
@pytest.mark.parametrize("layer", [dense, convolution])
def test_a_network_with_state(layer, tmp_path):
    def build(config):
        return Residual(layer, config["init"])

    options = {"steps": 6, "record_every": 3, "save": "all", "measure_at": (3, 6)}
    found = sweep(build, init=["he_normal"], lr=[1e-1], **options).run(tmp_path / "out")
    inputs, targets = map(jnp.asarray, task().train)
    model = as_model(Residual(layer, jinit.he_normal()), inputs)
    params = found.params({"init": "he_normal", "lr": 1e-1, "seed": 1}, like=model.params)
    _, expected = signal(
        model, params, inputs, targets, loss=lambda y, t: cross_entropy(y, t).mean()
    )
    layers = found.layers()
    last = run_of(layers[layers["step"] == 6], "he_normal")
    assert last["layer"].tolist() == list(model.layer_names)
    for name in ("activation_std", "gradient_std", "saturated_fraction"):
        np.testing.assert_allclose(last[name], getattr(expected, name), rtol=1e-4, err_msg=name)


@pytest.mark.slow
def test_lanes_that_end_early_keep_what_was_measured(tmp_path):
    space = jinit.halving(jinit.grid(init=["he_normal"], lr=[1e-6, 1e-2, 1e-1, 3e-1]), eta=2)
    options = {"seeds": 2, "steps": 32, "record_every": 2}
    sweeps = [
        jinit.Sweep(task(), shallow, each, measure_at=(2, 8, 32), **options)
        for each in (space, space.space)
    ]
    halved, whole = (each.run(tmp_path / str(i)).layers() for i, each in enumerate(sweeps))
    keys = ["lr", "seed", "step", "layer"]
    both = halved.merge(whole, on=[*keys, "init"], suffixes=("", "_whole"))
    assert len(both) == len(halved) < len(whole)
    assert set(halved[halved["lr"] == 1e-6]["step"]) < {0, 2, 8, 32}
    np.testing.assert_allclose(both["activation_std"], both["activation_std_whole"], rtol=1e-4)


def test_a_trial_measures_what_it_likes(tmp_path):
    def step(state, hyper, batch, key):
        return state - hyper["lr"] * state, {"loss": (state**2).sum()}

    def measure(state, hyper, batch):
        return {"weight": state, "rate": hyper["lr"], "mean": batch[0].mean()}

    trial = jinit.Trial(lambda key, hyper: jnp.ones(2), step, measure=measure)
    space = jinit.grid(lr=[0.5, 0.25])
    options = {"seeds": 1, "steps": 4, "record_every": 1}
    found = jinit.Sweep(task(), trial, space, measure_at=[1, 3], **options).run(tmp_path / "out")
    rows = found.layers()
    assert rows[["lr", "step", "layer", "weight"]].values.tolist() == [
        [lr, step, place, (1 - lr) ** step]
        for lr in (0.5, 0.25)
        for step in (1, 3)
        for place in ("0", "1")
    ]
    first = rows[rows["layer"] == "0"]
    assert (first["rate"] == first["lr"]).all()
    assert first["mean"].to_numpy() == pytest.approx(task().train[0][:256].mean(), rel=1e-5)


@pytest.mark.slow
def test_nothing_is_compiled_if_it_is_not_asked_for(tmp_path):
    on, counts = task(), []
    for options in ({}, {"measure_at": [20]}):
        with record_programs() as compiled:
            sweep(shallow, on=on, **AXES, **options).run(tmp_path / str(len(counts)))
        counts.append(len(compiled))
    plain = jinit.Results(tmp_path / "0")
    assert set(plain.layers()["step"]) == {0}
    assert counts[1] == 1  # the other programs are those of the first sweep


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure_at": [3]}, r"multiples of 2 \(record_every\) up to 20, got \[3\]"),
        ({"measure_at": [0, 2]}, "step 0 is measured by measure_start"),
        ({"measure_at": 4}, "measure_at: expected steps at which the sweep records"),
        ({"measure_at": "10"}, "measure_at: expected steps at which the sweep records"),
        ({"measure_at": [22]}, r"up to 20, got \[22\]"),
        ({"measure_at": [2], "measure_start": False}, "or leave out measure_start=False"),
    ],
)
def test_steps_that_cannot_be_measured(options, message):
    with pytest.raises(ValueError, match=message):
        sweep(shallow, **AXES, **options)


def test_a_sweep_without_statistics_says_so(tmp_path):
    found = sweep(shallow, **AXES, steps=2, measure_start=False).run(tmp_path / "out")
    with pytest.raises(ValueError, match=r"no layer was measured: run the sweep with"):
        found.layers()
