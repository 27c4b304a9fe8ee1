"""Measurements of a diagnosis: exact identities, theory, states, dtypes, losses, plain data."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from diagnostics.planted import network
from flax import linen as nn
from flax import nnx

import jinit
from jinit import diagnose
from jinit.theory import born_dead

KEY = jax.random.key(0)
X = normals(1, (16, 12))
SLOW = pytest.mark.slow
LECUN = jinit.lecun_normal()


class Relu(nn.Module):
    """A piecewise linear network without biases, with convolutions, strides and pooling."""

    @nn.compact
    def __call__(self, images):
        hidden = nn.relu(nn.Conv(4, (3, 3), use_bias=False)(images))
        hidden = nn.relu(nn.Conv(6, (3, 3), strides=2, use_bias=False)(hidden))
        hidden = nn.max_pool(hidden, (2, 2), strides=(2, 2)).reshape(images.shape[0], -1)
        hidden = nn.leaky_relu(nn.Dense(5, use_bias=False)(hidden))
        return nn.Dense(3, use_bias=False)(hidden)


IMAGES = normals(2, (4, 8, 8, 2))


def weight_gradient_products(diagnosis):
    return [layer.statistics["inner"] for layer in diagnosis.layers]


@pytest.mark.slow
@pytest.mark.parametrize(
    "initializer", [jinit.uniform(1.0), pytest.param(jinit.he_normal(), marks=SLOW)]
)
def test_weights_times_gradients_are_equal_in_piecewise_linear_networks(initializer):
    """⟨W, ∂W⟩ is the same for every layer, at any width and with any weights."""
    model = jinit.linen.trace(Relu(), IMAGES)
    params = jinit.init(model, KEY, {"**": initializer})
    first, *others = weight_gradient_products(diagnose(model, params, IMAGES))
    np.testing.assert_allclose(others, first, rtol=1e-4)
    # f = Jx: the derivative in the direction of the input is the output itself.
    outputs, moved = jax.jvp(lambda x: model.apply(params, x), (IMAGES,), (IMAGES,))
    np.testing.assert_allclose(moved, outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_recurrent_relu_kernel_counts_once_for_every_step():
    """h ← relu(W h) T times is homogeneous of degree T in W."""

    def apply(params, x):
        last, _ = jax.lax.scan(lambda h, _: (jax.nn.relu(h @ params["w"]), None), x, length=5)
        return last @ params["out"]

    draw = jinit.he_normal()
    params = {"w": draw(KEY, (12, 12)), "out": draw(jax.random.key(3), (12, 4))}
    diagnosis = diagnose(jinit.trace(apply, params, X), params, X)
    steps = dict(
        zip(
            [layer.path for layer in diagnosis.layers],
            weight_gradient_products(diagnosis),
            strict=True,
        )
    )
    np.testing.assert_allclose(steps["w"], 5 * steps["out"], rtol=1e-4)


@pytest.mark.slow
def test_half_of_relu_is_zero():
    model, init, x = network("relu", 3, 1024)
    diagnosis = diagnose(model, init(KEY), x)
    zeros = [layer.statistics["zero_fraction"] for layer in diagnosis.layers[:-1]]
    # By the third layer all inputs are nearly equal: 1024 units with one sign each, 5 deviations.
    np.testing.assert_allclose(zeros, 0.5, atol=5 * 0.5 / math.sqrt(1024))


@pytest.mark.slow
def test_the_rate_of_networks_that_are_born_dead():
    width, depth, seeds = 2, 5, 50
    draw = jinit.he_normal()

    def init(key):
        return [draw(layer_key, (width, width)) for layer_key in jax.random.split(key, depth)]

    def apply(params, x):
        for kernel in params:
            x = jax.nn.relu(x @ kernel)
        return x @ params[0]

    x = jnp.ones((1, width))
    model = jinit.trace(apply, jax.eval_shape(init, KEY), x, init=init)
    diagnosis = diagnose(model, None, x, seeds=seeds, key=jax.random.key(5))
    dead = born_dead([width] * depth)
    assert abs(diagnosis.shares["dead"] - dead) < 4 * math.sqrt(dead * (1 - dead) / seeds)


@pytest.mark.parametrize("name", ["tanh with biases", pytest.param("relu", marks=SLOW)])
def test_measurements_lie_in_the_predicted_intervals_around_their_values(name):
    model, init, x = network(name, 4, 100)
    logs = []
    for seed in range(15):
        diagnosis = diagnose(model, init(jax.random.key(seed)), x)
        for layer in diagnosis.layers:
            value, low, high = layer.predicted["second_moment"]
            second = layer.statistics["second_moment"]
            assert low < second < high
            logs.append(math.log(second / value))
            if layer is not diagnosis.layers[0]:
                _, low, high = layer.predicted["correlation"]
                assert low < layer.statistics["correlation"] < high
            for share in ("zero_fraction", "saturated_fraction"):
                if layer is not diagnosis.layers[-1]:
                    _, low, high = layer.predicted[share]
                    assert low <= layer.statistics[share] <= high < 1
            if "gradient_rms" in layer.predicted:
                _, low, high = layer.predicted["gradient_rms"]
                assert low <= layer.statistics["gradient_rms"] * (1 + 1e-6)
                assert layer.statistics["gradient_rms"] <= high * (1 + 1e-6)
    assert abs(np.mean(logs)) < 0.1


def tanh_network(depth):
    layers = [layer for _ in range(depth) for layer in (nn.Dense(64, kernel_init=LECUN), nn.tanh)]
    return nn.Sequential([*layers, nn.Dense(10)])


def initialize(module, x=X, **kwargs):
    """The Model of a module, and its parameters."""
    model = jinit.linen.trace(module, x, **kwargs)
    return model, jinit.init(model, KEY)


class Stateful(nn.Module):
    dtype: object = jnp.float32

    @nn.compact
    def __call__(self, x, train=True):
        for _ in range(2):
            x = nn.Dense(16, dtype=self.dtype, kernel_init=jinit.he_normal())(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x))
            x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(3, dtype=self.dtype)(x)


@SLOW
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_running_statistics_dropout_and_low_precision(dtype):
    model, params = initialize(Stateful(dtype), rngs={"dropout": KEY})
    diagnosis = diagnose(model, params, X, optimizer=optax.adam(1e-3))
    assert diagnosis.healthy, str(diagnosis)
    assert len(diagnosis.layers) == 3
    ratio = diagnosis.layers[0].statistics["update_ratio"]
    rms = diagnosis.layers[0].statistics["weight_rms"]
    np.testing.assert_allclose(ratio, 1e-3 / rms, rtol=0.05)  # Adam's first step is its rate


@pytest.mark.slow
def test_parameters_may_be_an_nnx_module():
    class Small(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(12, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.last = nnx.Linear(8, 3, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.tanh(self.norm(self.first(x))))

    model = jinit.nnx.trace(lambda rngs: Small(rngs), X)
    module = jinit.init(model, KEY)
    diagnosis = diagnose(model, module, X)
    assert [layer.path for layer in diagnosis.layers] == ["first/kernel", "last/kernel"]
    assert diagnosis.healthy
    assert diagnose(model, model.unwrap(module), X).to_dict() == diagnosis.to_dict()


@pytest.mark.slow
def test_seeds_give_distributions():
    model, init, x = network("relu", 1, 16)
    diagnosis = diagnose(model, init, x, seeds=4, key=jax.random.key(9))
    singles = [diagnose(model, init(key), x) for key in jax.random.split(jax.random.key(9), 4)]
    for number, layer in enumerate(diagnosis.layers):
        rms = [single.layers[number].statistics["rms"] for single in singles]
        np.testing.assert_allclose(layer.statistics["rms"], np.median(rms), rtol=1e-4)
        low, high = (layer.statistics[f"rms_{percent}%"] for percent in (5, 95))
        assert min(rms) * (1 - 1e-4) <= low <= layer.statistics["rms"] <= high
        assert high <= max(rms) * (1 + 1e-4)
    assert diagnosis.shares == {"stable": 1.0}


@pytest.mark.slow
def test_losses_that_targets_suggest():
    model, params = initialize(tanh_network(1))
    labels = jnp.arange(16) % 10
    logits = np.asarray(model.apply(params, X), np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    expected = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(16), labels]
    diagnosis = diagnose(model, params, X, labels)
    assert diagnosis.loss_name == "cross-entropy"
    np.testing.assert_allclose(diagnosis.loss, expected.mean(), rtol=1e-5)
    squared = diagnose(model, params, X, jnp.zeros((16, 10)))
    assert squared.loss_name == "mean squared error"
    np.testing.assert_allclose(squared.loss, (logits**2).sum(1).mean(), rtol=1e-5)
    custom = diagnose(model, params, X, labels, loss=lambda outputs, targets: outputs[0, 0])
    np.testing.assert_allclose(custom.loss, logits[0, 0], rtol=1e-4)
    assert diagnose(model, params).healthy  # inputs are drawn


def test_plain_data():
    model, params = initialize(tanh_network(2))
    data = json.loads(json.dumps(diagnose(model, params, X).to_dict()))
    assert data["verdict"] == "stable"
    assert data["layers"][0]["path"] == "params/layers_0/kernel"
    assert data["layers"][2]["statistics"]["dead_fraction"] is None
    assert len(data["layers"][0]["predicted"]["second_moment"]) == 3


def test_progress_names_each_stage_once_and_changes_nothing():
    model, params = initialize(tanh_network(2))
    stages = []
    diagnosis = diagnose(model, params, X, progress=stages.append)
    assert stages == [
        "tracing the network",
        "compiling",
        "running",
        "measuring 3 layers",
        "judging",
    ]
    assert diagnosis.to_dict() == diagnose(model, params, X).to_dict()


@pytest.mark.slow
def test_predicted_intervals_of_layers_of_unequal_widths():
    """The squares of n relu units fluctuate by √(5/n), signal and gradient alike."""
    widths = [32, 8, 200, 8]
    draw = jinit.he_normal()
    params = [
        draw(jax.random.fold_in(KEY, number), shape)
        for number, shape in enumerate(itertools.pairwise([12, *widths]))
    ]

    def apply(params, x):
        *hidden, last = params
        for kernel in hidden:
            x = jax.nn.relu(x @ kernel)
        return x @ last

    layers = diagnose(jinit.trace(apply, params, X), params, X).layers
    for number, layer in enumerate(layers):
        value, low, high = layer.predicted["second_moment"]
        before = sum(5 / width for width in widths[:number])
        reach = 5 * math.sqrt(before + 2 / widths[number])
        np.testing.assert_allclose(math.log(high / value), reach, rtol=0.01)
        np.testing.assert_allclose(math.log(value / low), reach + before / 2, rtol=0.01)
        value, low, high = layer.predicted["gradient_rms"]
        after = sum(5 / width for width in widths[number:-1])
        np.testing.assert_allclose(2 * math.log(high / value), 5 * math.sqrt(after), rtol=0.01)


@pytest.mark.few(1)
@pytest.mark.parametrize(("scale", "is_healthy"), [(1.0, True), (3.0, False), (0.3, False)])
def test_the_healthy_range_does_not_follow_the_weights(scale, is_healthy):
    """A network outside of it is exploding or vanishing; one inside is stable."""
    draw = jinit.he_normal()
    keys = jax.random.split(jax.random.key(7), 13)
    kernels = [scale * draw(key, (64, 64)) for key in keys]

    def apply(kernels, x):
        for kernel in kernels[:-1]:
            x = jax.nn.relu(x @ kernel)
        return x @ kernels[-1]

    x = normals(8, (64, 64))
    found = diagnose(jinit.trace(apply, kernels, x), kernels, x)
    last, first = found.layers[-1], found.layers[0]
    second, gradient = last.healthy["second_moment"], first.healthy["gradient_rms"]
    assert (second.low < last.statistics["second_moment"] < second.high) is is_healthy
    assert (gradient.low < first.statistics["gradient_rms"] < gradient.high) is is_healthy
    assert (found.verdict == "stable") is is_healthy
