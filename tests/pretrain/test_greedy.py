"""Greedy pre-training of networks: what is written where, and what is left alone."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from jinit import linen as jinit_linen
from jinit import nnx as jinit_nnx
from jinit.calibrate import read_batches
from jinit.calibrate.layers import read_sites
from jinit.model import trace
from jinit.pretrain import AutoencoderTrainer, RbmTrainer, autoencoder, greedy, rbm
from jinit.pretrain.layer_inputs import PlainLayer, lies_in_unit_interval

SHORT = {"epochs": 1, "batch_size": 50}


def digits(count=200) -> np.ndarray:
    return (load_digits(return_X_y=True)[0][:count] / 16).astype(np.float32)


def network(params, x):
    for weights, bias in params[:-1]:
        x = jax.nn.sigmoid(x @ weights + bias[None])
    return x @ params[-1][0] + params[-1][1][None]


def parameters(*sizes):
    keys = jax.random.split(jax.random.key(0), len(sizes))
    pairs = zip(keys, sizes, sizes[1:], strict=False)
    return [(jax.random.normal(k, (n, m)), jnp.ones(m)) for k, n, m in pairs]


@pytest.mark.slow
def test_each_layer_is_trained_on_the_mean_activations_of_those_below():
    params, x = parameters(64, 12, 7, 10), digits()
    model = trace(network, params, x)
    found, report = rbm(model, params, x, jax.random.key(3), **SHORT)
    inputs = jnp.asarray(x)
    for number in range(2):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(3), number))
        trainer = RbmTrainer(visible="bernoulli", **SHORT)
        expected = trainer.train(inputs, len(params[number][1]), keys[1])
        np.testing.assert_allclose(found[number][0], expected.weights, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found[number][1], expected.bias, rtol=1e-3, atol=1e-5)
        inputs = jax.nn.sigmoid(inputs @ found[number][0] + found[number][1][None])
    np.testing.assert_array_equal(found[2][0], params[2][0])
    assert report.skipped == {"2/0": "it computes the outputs; name it in layers to train it"}
    assert set(report.history) == {
        f"{place}/0 {name}"
        for place in range(2)
        for name in ("reconstruction error", "pseudo-log-likelihood")
    }
    assert report.passes > 2
    assert np.isfinite(report.statistics["reconstruction error"][:2]).all()


@pytest.mark.slow
def test_linen_nnx_and_pure_functions_get_the_same_weights():
    class Linen(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10)(nn.sigmoid(nn.Dense(12)(x)))

    class Nnx(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(64, 12, rngs=rngs), nnx.Linear(12, 10, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.sigmoid(self.first(x)))

    x, kernels = digits(), []
    models = (jinit_linen.trace(Linen(), x), jinit_nnx.trace(lambda rngs: Nnx(rngs), x))
    for model in (*models, trace(network, parameters(64, 12, 10), x)):
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), model.params)
        found, _ = rbm(model, zeros, x, jax.random.key(0), **SHORT)
        arrays = model.by_path(found)
        name = model.layer_names[0]
        kernels.append(np.asarray(arrays[name]))
        assert not np.asarray(arrays[model.layer_names[1]]).any()
        assert np.asarray(arrays[model.leaf(name).bias_path]).any()
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kernels[2], kernels[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_transposed_kernel_in_half_precision_and_a_scaled_bias():
    def plain(p, x):
        return jax.nn.sigmoid(x @ p["w"] + p["b"]) @ p["v"]

    def changed(p, x):
        kernel = p["w"].astype(jnp.float32).T
        return plain({"w": kernel, "b": 0.5 * p["b"], "v": p["v"]}, x)

    x = digits()
    params = {"w": jnp.zeros((64, 12)), "b": jnp.zeros((1, 12)), "v": jnp.ones((12, 3))}
    others = params | {"w": jnp.zeros((12, 64), jnp.bfloat16)}
    expected, _ = rbm(trace(plain, params, x), params, x, **SHORT)
    found, _ = rbm(trace(changed, others, x), others, x, **SHORT)
    assert found["w"].dtype == jnp.bfloat16
    kernel = found["w"].astype(jnp.float32).T
    np.testing.assert_allclose(kernel, expected["w"], rtol=5e-3, atol=1e-5)
    np.testing.assert_allclose(0.5 * found["b"], expected["b"], rtol=1e-3, atol=1e-5)


def convolution(strides=(1, 1), padding="SAME", dilation=(1, 1)):
    def apply(params, x):
        kernel, bias, last = params
        y = jax.lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            rhs_dilation=dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jax.nn.sigmoid(y + bias).mean((1, 2)) @ last

    return apply


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "options",
    [{"strides": (2, 1)}, {"padding": "VALID"}, {"dilation": (2, 2), "strides": (1, 2)}],
)
def test_patches_times_weights_are_the_convolution(options):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (3, 7, 6, 2))
    kernel = jax.random.normal(keys[1], (3, 2, 2, 5))
    params = (kernel, jnp.zeros((1, 1, 1, 5)), jnp.ones((5, 2)))
    model = trace(convolution(**options), params, x)
    layer = PlainLayer(model, read_sites(model)[0])
    _, batches = read_batches("test", model, x)
    rows = layer.inputs(params, batches, keys[0], 10**6)
    weights = jax.random.normal(keys[0], (12, 5))
    settings = {"strides": (1, 1), "padding": "SAME", "dilation": (1, 1)} | options
    expected = jax.lax.conv_general_dilated(
        x,
        layer.kernel(weights),
        settings["strides"],
        settings["padding"],
        rhs_dilation=settings["dilation"],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    np.testing.assert_allclose(rows @ weights, expected.reshape(-1, 5), rtol=1e-4, atol=1e-4)


def test_rows_are_chosen_at_random_from_every_batch():
    x = [np.full((6, 4), float(number), np.float32) for number in range(3)]
    params = parameters(4, 3, 2)
    model, batches = read_batches("test", trace(network, params, x[0]), x)
    rows = PlainLayer(model, read_sites(model)[0]).inputs(params, batches, jax.random.key(0), 7)
    assert sorted(rows[:, 0].tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "method", [rbm(**SHORT), pytest.param(autoencoder(**SHORT), marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_convolutional_network_is_trained(method):
    class Cnn(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.sigmoid(nn.Conv(6, (3, 3), strides=2)(x))
            x = nn.relu(nn.Conv(5, (2, 2))(x)).reshape(len(x), -1)
            x = nn.relu(nn.Dense(12)(x))
            return nn.Dense(10)(x)

    x = digits(100).reshape(-1, 8, 8, 1)
    model = jinit_linen.trace(Cnn(), x)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), model.params)
    found, report = method(model, zeros, x)
    changed = {path: bool(np.asarray(leaf).any()) for path, leaf in model.by_path(found).items()}
    assert changed == {path: "Dense_1" not in path for path in model.paths}
    assert list(report.skipped) == ["params/Dense_1/kernel"]


@pytest.mark.slow
def test_standardization_is_folded_into_kernel_and_bias():
    params = parameters(4, 6, 2)
    x = np.random.default_rng(0).normal(5, 3, (300, 4)).astype(np.float32)
    scaled = (x - x.mean(0)) / x.std(0)
    model, method = trace(network, params, x), rbm(**SHORT)
    found, _ = method(model, params, x, jax.random.key(1))
    standard, _ = method(model, params, scaled, jax.random.key(1))
    left = x @ np.asarray(found[0][0]) + np.asarray(found[0][1])
    right = scaled @ np.asarray(standard[0][0]) + np.asarray(standard[0][1])
    np.testing.assert_allclose(left, right, atol=2e-3)


def test_a_sigmoid_surely_lies_in_the_unit_interval():
    model = trace(network, parameters(64, 5, 5, 2), digits())
    assert [lies_in_unit_interval(model, site) for site in read_sites(model)] == [False, True, True]


@pytest.mark.slow
def test_find_can_be_vmapped_over_keys():
    params, x = parameters(64, 6, 5, 2), digits(100)
    model, batches = read_batches("test", trace(network, params, x), x)
    method = rbm(**SHORT)
    keys = jax.random.split(jax.random.key(0), 2)
    stacked, _ = jax.jit(jax.vmap(lambda key: method.find(model, params, batches, key)))(keys)
    for place in range(2):
        single, _ = method(model, params, x, keys[place])
        np.testing.assert_allclose(stacked[1][0][place], single[1][0], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_trainers_and_layers_are_chosen_by_path():
    params, x = parameters(64, 6, 5, 2), digits(100)
    model = trace(network, params, x)
    trainers = {"1/0": AutoencoderTrainer(**SHORT), "0/*": RbmTrainer(**SHORT)}
    found, report = greedy(model, params, x, trainers=trainers, layers=["1/0", "2/0"])
    assert report.skipped == {
        "0/0": "it is not among the chosen layers",
        "2/0": "no trainer is given for it",
    }
    assert "1/0 loss" in report.history
    np.testing.assert_array_equal(found[0][0], params[0][0])


def recurrent(p, x):
    def step(h, row):
        return jax.nn.sigmoid(row @ p["in"] + h @ p["rec"] + p["b"]), None

    first = jnp.zeros((x.shape[1], 4))
    return jax.lax.scan(step, first, x)[0] @ p["out"]


def tied(p, x):
    h = jax.nn.sigmoid(x @ p["w"] + p["b"])
    return jax.nn.sigmoid(h @ p["w"] + p["b"]) @ p["out"]


def unbiased(p, x):
    return jax.nn.sigmoid(x @ p["w"]) @ p["out"]


def grouped(p, x):
    y = jax.lax.conv_general_dilated(
        x, p["w"], (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"), feature_group_count=2
    )
    return jax.nn.sigmoid(y + p["b"]).mean(1) @ p["out"]


def ensemble(p, x):
    return jax.nn.sigmoid(jnp.einsum("ebi,eio->ebo", x, p["w"]) + p["b"]) @ p["out"]


RECURRENT = {"in": (4, 4), "rec": (4, 4), "b": (1, 4), "out": (4, 2)}
SKIPPED = [
    (
        recurrent,
        {"in": (4, 4), "rec": (4, 4), "b": (1, 4), "out": (4, 2)},
        (3, 8, 4),
        "in",
        "a loop",
    ),
    (tied, {"w": (4, 4), "b": (1, 4), "out": (4, 2)}, (8, 4), "w", "several places"),
    (unbiased, {"w": (4, 4), "out": (4, 2)}, (8, 4), "w", "no bias"),
    (grouped, {"w": (3, 2, 4), "b": (1, 1, 4), "out": (4, 2)}, (8, 5, 4), "w", "groups"),
    (ensemble, {"w": (3, 4, 4), "b": (3, 1, 4), "out": (4, 2)}, (3, 8, 4), "w", "ensemble"),
]


@pytest.mark.parametrize(("apply", "shapes", "shape", "path", "reason"), SKIPPED)
def test_layers_that_cannot_be_trained_are_named(apply, shapes, shape, path, reason):
    params = {name: jnp.full(size, 0.1) for name, size in shapes.items()}
    x = jnp.ones(shape)
    found, report = rbm(trace(apply, params, x), params, x, **SHORT)
    assert reason in report.skipped[path]
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(left, right)


def test_embeddings_and_attention_are_named():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.MultiHeadDotProductAttention(2)(nn.Embed(5, 8)(x)))

    x = np.zeros((4, 6), int)
    model = jinit_linen.trace(Net(), x)
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), model.params)
    _, report = rbm(model, params, x, **SHORT)
    reasons = {path.split("/")[-2]: reason for path, reason in report.skipped.items()}
    assert "looked up" in reasons["Embed_0"]
    assert "query of attention" in reasons["query"]


def test_wrong_options_are_refused():
    x, params = digits(20), parameters(64, 3, 2)
    model = trace(network, params, x)
    with pytest.raises(TypeError, match="rbm: unknown option 'epoch'; did you mean 'epochs'"):
        rbm(epoch=3)
    with pytest.raises(TypeError, match=r"trainer of '\*\*' is .*expected a Trainer"):
        greedy(trainers=SimpleNamespace())
    with pytest.raises(ValueError, match="greedy: rows=0"):
        greedy(rows=0)
    with pytest.raises(ValueError, match=r"'4/0' matches the kernel of no layer.*0/0"):
        greedy(model, params, x, layers=["4/0"])


def test_the_method_is_a_value():
    assert rbm(epochs=3) == rbm(epochs=3) != rbm(epochs=4)
    assert hash(autoencoder()) == hash(autoencoder())
