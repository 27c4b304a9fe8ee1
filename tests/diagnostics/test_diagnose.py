"""Diagnoses of real networks: exact identities, theory, planted faults, states, types, errors."""

import json
import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import gpt2, resnet
from diagnostics.planted import network
from flax import linen as nn
from flax import nnx

import jinit
from jinit import diagnose
from jinit.theory import born_dead

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (16, 12))


class Relu(nn.Module):
    """Without biases, with a convolution, strides and pooling: piecewise linear all the same."""

    @nn.compact
    def __call__(self, images):
        hidden = nn.relu(nn.Conv(4, (3, 3), use_bias=False)(images))
        hidden = nn.relu(nn.Conv(6, (3, 3), strides=2, use_bias=False)(hidden))
        hidden = nn.max_pool(hidden, (2, 2), strides=(2, 2)).reshape(images.shape[0], -1)
        hidden = nn.leaky_relu(nn.Dense(5, use_bias=False)(hidden))
        return nn.Dense(3, use_bias=False)(hidden)


IMAGES = jax.random.normal(jax.random.key(2), (4, 8, 8, 2))


def inner(found):
    return [layer.statistics["inner"] for layer in found.layers]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "initializer", [jinit.uniform(1.0), pytest.param(jinit.he_normal(), marks=SLOW)]
)
def test_weights_times_gradients_are_equal_in_piecewise_linear_networks(initializer):
    """KNOWN_ANSWERS §7: ⟨W, ∂W⟩ is the same for every layer, at any width and with any weights."""
    model = jinit.linen.trace(Relu(), IMAGES)
    params = jinit.init(model, KEY, {"**": initializer})
    first, *others = inner(diagnose(model, params, IMAGES))
    np.testing.assert_allclose(others, first, rtol=1e-4)
    # f = Jx: the derivative in the direction of the input is the output itself.
    outputs, moved = jax.jvp(lambda x: model.apply(params, x), (IMAGES,), (IMAGES,))
    np.testing.assert_allclose(moved, outputs, rtol=1e-4, atol=1e-5)


def test_a_recurrent_relu_kernel_counts_once_for_every_step():
    """h ← relu(W h) T times is homogeneous of degree T in W."""

    def apply(params, x):
        last, _ = jax.lax.scan(lambda h, _: (jax.nn.relu(h @ params["w"]), None), x, length=5)
        return last @ params["out"]

    draw = jinit.he_normal()
    params = {"w": draw(KEY, (12, 12)), "out": draw(jax.random.key(3), (12, 4))}
    found = diagnose(jinit.trace(apply, params, X), params, X)
    steps = dict(zip([layer.path for layer in found.layers], inner(found), strict=True))
    np.testing.assert_allclose(steps["w"], 5 * steps["out"], rtol=1e-4)


def test_half_of_relu_is_zero():
    model, init, x = network("relu", 3, 1024)
    found = diagnose(model, init(KEY), x)
    zeros = [layer.statistics["zero_fraction"] for layer in found.layers[:-1]]
    # Inputs are alike by the third layer: 1024 units with one common sign each, 5 deviations.
    np.testing.assert_allclose(zeros, 0.5, atol=5 * 0.5 / math.sqrt(1024))


def test_the_rate_of_networks_that_are_born_dead():
    width, depth, seeds = 2, 10, 400
    draw = jinit.he_normal()

    def init(key):
        return [draw(own, (width, width)) for own in jax.random.split(key, depth)]

    def apply(params, x):
        for each in params:
            x = jax.nn.relu(x @ each)
        return x @ params[0]

    x = jnp.ones((1, width))
    model = jinit.trace(apply, jax.eval_shape(init, KEY), x, init=init)
    found = diagnose(model, None, x, seeds=seeds, key=jax.random.key(5))
    dead = born_dead([width] * depth)
    assert abs(found.shares["dead"] - dead) < 4 * math.sqrt(dead * (1 - dead) / seeds)


@pytest.mark.parametrize("name", ["tanh with biases", pytest.param("relu", marks=SLOW)])
def test_measurements_lie_in_the_predicted_bands_and_about_their_middle(name):
    model, init, x = network(name, 8, 100)
    logs = []
    for seed in range(30):
        found = diagnose(model, init(jax.random.key(seed)), x)
        for layer in found.layers:
            value, low, high = layer.predicted["second_moment"]
            second = layer.statistics["second_moment"]
            assert low < second < high
            logs.append(math.log(second / value))
            if layer is not found.layers[0]:
                _, low, high = layer.predicted["correlation"]
                assert low < layer.statistics["correlation"] < high
            for share in ("zero_fraction", "saturated_fraction"):
                if layer is not found.layers[-1]:
                    _, low, high = layer.predicted[share]
                    assert low <= layer.statistics[share] <= high < 1
            if "gradient_rms" in layer.predicted:
                _, low, high = layer.predicted["gradient_rms"]
                assert low <= layer.statistics["gradient_rms"] * (1 + 1e-6)
                assert layer.statistics["gradient_rms"] <= high * (1 + 1e-6)
    assert abs(np.mean(logs)) < 0.1


class Deep(nn.Module):
    phi: object = nn.sigmoid
    depth: int = 10
    kernel_init: object = jinit.lecun_normal()

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            x = self.phi(nn.Dense(64, kernel_init=self.kernel_init)(x))
        return nn.Dense(10)(x)


def start(module, x=X, **kwargs):
    model = jinit.linen.trace(module, x, **kwargs)
    return model, jinit.init(model, KEY)


def test_a_deep_sigmoid_network_and_its_cure():
    model, params = start(Deep())
    found = diagnose(model, params, X, jnp.arange(16) % 10)
    assert found.verdict == "vanishing"
    assert [fault.path for fault in found.faults[:10]] == [
        f"params/Dense_{number}/kernel" for number in range(10)
    ]
    fault = found.faults[0]
    assert "sigmoid shrinks the gradient" in fault.cause
    assert fault.cure == "nn.tanh with kernel_init=jinit.lecun_normal() instead of sigmoid"
    assert "ln 10" in found.notes[0]
    assert diagnose(*start(Deep(nn.tanh)), X).healthy


@pytest.mark.parametrize(
    ("phi", "kernel_init", "depth", "verdict", "cure"),
    [
        (nn.relu, jinit.lecun_normal(), 24, "vanishing", "kernel_init=jinit.he_normal()"),
        pytest.param(nn.relu, jinit.variance_scaling(4, "fan_in", "normal"), 24, "exploding",
                     "kernel_init=jinit.he_normal()", marks=SLOW),
        pytest.param(nn.tanh, jinit.variance_scaling(8, "fan_in", "normal"), 24, "chaotic",
                     "kernel_init=jinit.lecun_normal()", marks=SLOW),
        pytest.param(nn.gelu, jinit.lecun_normal(), 24, "vanishing",
                     "kernel_init=jinit.variance_scaling(1.976", marks=SLOW),
    ],
)  # fmt: skip
def test_gains_that_do_not_fit_are_found_by_what_they_do_together(
    phi, kernel_init, depth, verdict, cure
):
    found = diagnose(*start(Deep(phi, depth, kernel_init)), X)
    assert found.verdict == verdict
    assert found.faults[0].cure.startswith(cure)
    assert "gain" in found.faults[0].cause


def unscaled(params, x):
    for first, second in zip(params["first"], params["second"], strict=True):
        x = x + jax.nn.relu(x @ first) @ second
    return x @ params["first"][0]


def test_equal_units_stay_so_only_if_their_gradients_are_equal():
    def apply(params, x):
        return jnp.tanh(x @ params["w"]) @ params["out"]

    draw = jinit.lecun_normal()
    params = {"w": draw(KEY, (12, 12)), "out": draw(jax.random.key(3), (12, 4))}
    params["w"] = params["w"].at[:, 1].set(params["w"][:, 2])
    model = jinit.trace(apply, params, X)
    first = diagnose(model, params, X).layers[0]
    assert first.verdict == "symmetric"
    assert "until gradients part them" in first.cause
    assert (first.statistics["equal_units"], first.statistics["equal_unit_gradients"]) == (1, 0)
    params["out"] = params["out"].at[1].set(params["out"][2])
    first = diagnose(model, params, X).layers[0]
    assert "equal gradients keep them so" in first.cause
    assert (first.statistics["equal_units"], first.statistics["equal_unit_gradients"]) == (1, 1)


def test_residual_branches_that_are_not_scaled():
    def kernels(gain, seed):
        return list(gain * jax.random.normal(jax.random.key(seed), (8, 32, 32)) / 32**0.5)

    x = jax.random.normal(KEY, (16, 32))
    params = {"first": kernels(2**0.5, 1), "second": kernels(1.0, 2)}
    model = jinit.trace(unscaled, params, x)
    found = diagnose(model, params, x)
    assert found.verdict == "exploding"
    assert {fault.path for fault in found.faults} == {f"second/{n}" for n in range(8)}
    assert "residual" in found.faults[0].cause
    assert "1 / 8" in found.faults[0].cure
    ratios = [layer.statistics["branch_ratio"] for layer in found.layers]
    assert math.isnan(ratios[0])
    np.testing.assert_allclose(np.mean(ratios[1::2][:8]), 1.0, rtol=0.35)
    small = params | {"second": [each / 10 for each in params["second"]]}
    assert diagnose(model, small, x).healthy


@cache
def architecture(name):
    """Model, healthy parameters, and a batch."""
    if name == "transformer":
        x = jax.random.randint(KEY, (2, 8), 0, 50)
        model = jinit.linen.trace(gpt2.LinenGPT2(gpt2.Config(50, 16, 32, 4, 2, False)), x)
    else:
        x = jax.random.normal(KEY, (4, 32, 32, 3))
        model = jinit.linen.trace(resnet.LinenResNet(resnet.Config(10, 3, 16, (2, 1))), x)
    return model, jinit.recommend(model).init(KEY), x


PLACES = {
    "transformer": {
        "block_0/up/kernel": "block_1/up/kernel",
        "block_1/attention/value/kernel": "block_0/attention/value/kernel",
    },
    "resnet": {"block_0_1/conv_2/kernel": "block_0_0/conv_2/kernel"},
}
PLANTED = {
    "zeros": (lambda w, other: 0 * w, {"symmetric"}),
    "constant": (lambda w, other: 0 * w + 0.02, {"symmetric"}),
    "NaN": (lambda w, other: w.at[(1,) * w.ndim].set(jnp.nan), {"overflowing"}),
    "a key used twice": (lambda w, other: other, {"symmetric"}),
    "fifty times too large": (lambda w, other: 50 * w, {"exploding", "misscaled"}),
    "two equal units": (lambda w, other: w.at[..., 1].set(w[..., 2]), {"symmetric"}),
    "positive weights": (lambda w, other: abs(w), {"misscaled"}),
}


def planted(params, path, other, change):
    """The parameters with one kernel changed, given another one of its shape."""
    tree = {"params": jax.tree.map(lambda leaf: leaf, params["params"])} | {
        name: value for name, value in params.items() if name != "params"
    }
    *way, last = path.split("/")
    node = tree["params"]
    for name in way:
        node = node[name]
    source = params["params"]
    for name in other.split("/"):
        source = source[name]
    node[last] = change(node[last], source)
    return tree


@pytest.mark.parametrize("name", ["transformer", pytest.param("resnet", marks=SLOW)])
def test_faults_in_architectures_are_named_with_their_layer(name):
    model, params, x = architecture(name)
    assert diagnose(model, params, x).healthy
    for path, other in PLACES[name].items():
        for fault, (change, words) in PLANTED.items():
            found = diagnose(model, planted(params, path, other, change), x)
            named = {each.path: each for each in found.faults}
            twins = {f"params/{path}", f"params/{other}"}  # either may be the copy
            assert twins & set(named), (fault, path, found)
            assert found.verdict in words, (fault, path, found)
            assert all(each.cause and each.cure for each in found.faults)


class Stateful(nn.Module):
    dtype: object = jnp.float32

    @nn.compact
    def __call__(self, x, train=True):
        for _ in range(2):
            x = nn.Dense(16, dtype=self.dtype, kernel_init=jinit.he_normal())(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x))
            x = nn.Dropout(0.2, deterministic=not train)(x)
        return nn.Dense(3, dtype=self.dtype)(x)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, pytest.param(jnp.float32, marks=SLOW)])
def test_running_statistics_dropout_and_low_precision(dtype):
    model, params = start(Stateful(dtype), rngs={"dropout": KEY})
    found = diagnose(model, params, X, optimizer=optax.adam(1e-3))
    assert found.healthy, found
    assert len(found.layers) == 3
    ratio = found.layers[0].statistics["update_ratio"]
    rms = found.layers[0].statistics["weight_rms"]
    np.testing.assert_allclose(ratio, 1e-3 / rms, rtol=0.05)  # Adam's first step is its rate


def test_half_precision_that_overflows():
    class Half(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(3):
                x = nn.relu(nn.Dense(32, dtype=jnp.float16, kernel_init=jinit.normal(30.0))(x))
            return nn.Dense(3, dtype=jnp.float16)(x)

    found = diagnose(*start(Half()), X)
    assert found.verdict == "overflowing"
    assert "bfloat16" in found.faults[0].cure
    assert found.faults[0].path == "params/Dense_1/kernel"


def test_an_nnx_module_is_taken_as_it_is():
    class Small(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(12, 8, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.last = nnx.Linear(8, 3, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.tanh(self.norm(self.first(x))))

    model = jinit.nnx.trace(lambda rngs: Small(rngs), X)
    module = jinit.init(model, KEY)
    found = diagnose(model, module, X)
    assert [layer.path for layer in found.layers] == ["first/kernel", "last/kernel"]
    assert found.healthy
    assert diagnose(model, model.tree(module), X).to_dict() == found.to_dict()


def test_seeds_give_distributions():
    model, init, x = network("relu", 1, 16)
    found = diagnose(model, init, x, seeds=6, key=jax.random.key(9))
    each = [diagnose(model, init(key), x) for key in jax.random.split(jax.random.key(9), 6)]
    for number, layer in enumerate(found.layers):
        rms = [one.layers[number].statistics["rms"] for one in each]
        np.testing.assert_allclose(layer.statistics["rms"], np.median(rms), rtol=1e-4)
        low, high = (layer.statistics[f"rms_{part}%"] for part in (5, 95))
        assert min(rms) * (1 - 1e-4) <= low <= layer.statistics["rms"] <= high
        assert high <= max(rms) * (1 + 1e-4)
    assert found.shares == {"stable": 1.0}


def test_losses_that_targets_suggest():
    model, params = start(Deep(nn.tanh, 1))
    labels = jnp.arange(16) % 10
    logits = np.asarray(model.apply(params, X), np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    expected = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(16), labels]
    found = diagnose(model, params, X, labels)
    assert found.loss_name == "cross-entropy"
    np.testing.assert_allclose(found.loss, expected.mean(), rtol=1e-5)
    squared = diagnose(model, params, X, jnp.zeros((16, 10)))
    assert squared.loss_name == "mean squared error"
    np.testing.assert_allclose(squared.loss, (logits**2).sum(1).mean(), rtol=1e-5)
    own = diagnose(model, params, X, labels, loss=lambda outputs, targets: outputs[0, 0])
    np.testing.assert_allclose(own.loss, logits[0, 0], rtol=1e-4)
    assert diagnose(model, params).healthy  # inputs are drawn


def test_plain_data():
    model, params = start(Deep(nn.tanh, 2))
    data = json.loads(json.dumps(diagnose(model, params, X).to_dict()))
    assert data["verdict"] == "stable"
    assert data["layers"][0]["path"] == "params/Dense_0/kernel"
    assert data["layers"][2]["statistics"]["dead_fraction"] is None
    assert len(data["layers"][0]["predicted"]["second_moment"]) == 3


def test_bad_input():
    model, params = start(Deep(nn.tanh, 1))
    with pytest.raises(TypeError, match=r"expected a Model, got Deep; .*linen\.trace"):
        diagnose(Deep(), params, X)
    with pytest.raises(ValueError, match="expected parameters like the model's"):
        diagnose(model, params["params"], X)
    wrong = jax.tree.map(lambda leaf: leaf, params)
    wrong["params"]["Dense_0"]["bias"] = jnp.zeros(3)
    with pytest.raises(ValueError, match=r"Dense_0/bias: expected shape \(64,\), got \(3,\)"):
        diagnose(model, wrong, X)
    with pytest.raises(ValueError, match=r"input 0 has shape \(8, 12\).*traced with \(16, 12\)"):
        diagnose(model, params, X[:8])
    with pytest.raises(ValueError, match="do not say which loss is meant"):
        diagnose(model, params, X, jnp.zeros((16, 3)))
    with pytest.raises(ValueError, match="params must be a function key -> params"):
        diagnose(model, params, X, seeds=3)


@pytest.mark.parametrize(
    ("phi", "gain", "verdict"),
    [
        (jax.nn.sigmoid, 1, "vanishing"),
        pytest.param(jax.nn.relu, 2**0.5, "stable", marks=SLOW),
    ],
)
def test_layers_that_follow_each_other_in_a_loop(phi, gain, verdict):
    """A plain network as a scan over stacked kernels is judged like the same one written out."""
    kernels = gain * jax.random.normal(KEY, (12, 32, 32)) / 32**0.5
    x = jax.random.normal(jax.random.key(4), (16, 32))

    def looped(w, x):
        return jax.lax.scan(lambda h, each: (phi(h @ each), None), x, w)[0] @ w[0]

    def unrolled(w, x):
        for each in w:
            x = phi(x @ each)
        return x @ w[0]

    inside = diagnose(jinit.trace(looped, kernels, x), kernels, x)
    outside = diagnose(jinit.trace(unrolled, kernels, x), kernels, x)
    assert inside.verdict == outside.verdict == verdict
    # What the last round makes leaves the loop, where the chain begins anew.
    for one, other in zip(inside.layers[:11], outside.layers[:11], strict=True):
        assert one.verdict == other.verdict or verdict == "vanishing"
        np.testing.assert_allclose(
            one.predicted["second_moment"], other.predicted["second_moment"], rtol=1e-4
        )
        for name in ("rms", "gradient_rms", "correlation", "dead_fraction"):
            np.testing.assert_allclose(
                one.statistics[name], other.statistics[name], rtol=1e-4, atol=1e-5
            )
