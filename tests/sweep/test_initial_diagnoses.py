"""The verdict of a sweep on an untrained network is that of `jinit.diagnose`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from sweep.small import sweep, task

import jinit
from jinit.hooks import as_model

FEATURES, WIDTH, CLASSES, LANES = 6, 16, 3, 2
PHIS = {"relu": nn.relu, "tanh": nn.tanh, "sigmoid": nn.sigmoid}


def mlp(phi, depth=8):
    class Mlp(nn.Module):
        kernel_init: jinit.Initializer

        @nn.compact
        def __call__(self, x):
            for _ in range(depth):
                x = PHIS[phi](nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
            return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)

    return Mlp


class Scanned(nn.Module):
    """Layers that one loop applies, with stacked kernels."""

    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(WIDTH, kernel_init=self.kernel_init)(x)

        class Body(nn.Module):
            kernel_init: jinit.Initializer

            @nn.compact
            def __call__(self, x, _):
                return nn.relu(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x)), None

        loop = nn.scan(Body, variable_axes={"params": 0}, split_rngs={"params": True}, length=8)
        x, _ = loop(self.kernel_init)(x, None)
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)


class Residual(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(WIDTH, kernel_init=self.kernel_init)(x)
        for _ in range(4):
            x += nn.Dense(WIDTH, kernel_init=self.kernel_init)(nn.relu(x))
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x)


class Convolutional(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        x = x[..., None]
        for _ in range(3):
            x = nn.relu(nn.Conv(8, (3,), kernel_init=self.kernel_init)(x))
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(x.mean(1))


class Recurrent(nn.Module):
    kernel_init: jinit.Initializer

    @nn.compact
    def __call__(self, x):
        cell = nn.OptimizedLSTMCell(8, kernel_init=self.kernel_init)
        return nn.Dense(CLASSES, kernel_init=self.kernel_init)(nn.RNN(cell)(x[..., None])[:, -1])


CASES = {
    "relu": (mlp("relu"), ["he_normal", "lecun_normal", "zeros", jinit.normal(1.0)]),
    "tanh": (mlp("tanh", depth=4), ["lecun_normal", jinit.normal(2.0), jinit.constant(0.1)]),
    "sigmoid": (mlp("sigmoid"), ["lecun_normal", jinit.normal(5.0)]),
    "scan": (Scanned, ["he_normal", jinit.normal(1.0), jinit.normal(0.01)]),
    "residual": (Residual, ["he_normal", "lecun_normal"]),
    "convolutional": (Convolutional, ["he_normal", jinit.normal(1e-3)]),
    "lstm": (Recurrent, ["lecun_normal"]),
}


def value(init):
    """Return an initializer by its name or as it is."""
    found = getattr(jinit, init) if isinstance(init, str) else init
    return found if isinstance(found, jinit.Initializer) else found()


SLOW = ("relu", "sigmoid", "scan", "residual", "convolutional", "lstm")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_the_verdict_is_that_of_diagnose(name, tmp_path):
    network, inits = CASES[name]
    done = sweep(
        lambda config: network(config["init"]), init=inits, lr=[1e-3], steps=1, seeds=LANES
    ).run(tmp_path / "out")
    frame = done.frame()
    inputs, targets = (array[:256] for array in task().train)
    models = [as_model(network(value(init)), jnp.asarray(inputs)) for init in inits]
    found = [
        jinit.diagnose(models[0], model.init(jax.random.key(seed)), inputs, targets).verdict
        for model in models
        for seed in range(LANES)
    ]
    assert frame["at_initialization"].tolist() == found
    assert name in ("lstm", "residual") or len(set(found)) > 1  # healthy and broken ones


@pytest.mark.slow
def test_lanes_that_differ_by_the_rate_share_a_verdict(tmp_path):
    frame = (
        sweep(init=["he_normal"], gain=[1.0, 100.0], lr=[1e-3, 1e-1], steps=1)
        .run(tmp_path / "out")
        .frame()
    )
    verdicts = frame.groupby(["gain", "seed"])["at_initialization"].unique()
    assert (verdicts.map(len) == 1).all()
    assert np.unique(frame["at_initialization"]).size > 1


@pytest.mark.slow
def test_initializations_need_not_be_measured(tmp_path):
    options = {"init": ["he_normal"], "lr": [1e-2], "steps": 4}
    frames = [
        sweep(**options, measure_start=measure_start).run(tmp_path / str(measure_start)).frame()
        for measure_start in (True, False)
    ]
    assert frames[1]["at_initialization"].isna().all()
    assert not frames[1]["layers"].map(len).any()
    assert frames[0]["validation_loss"].tolist() == frames[1]["validation_loss"].tolist()
