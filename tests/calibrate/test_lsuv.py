"""LSUV leaves every layer with unit variance, by a plain evaluation of the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calibrate.networks import (
    Attention,
    Mlp,
    Recurrent,
    Residual,
    Scanned,
    Shared,
    Twin,
    inputs,
    layer_variances,
    relu_mlp,
)
from flax import linen as nn

import jinit
from jinit.calibrate import lsuv, read_batches
from jinit.hooks import as_model

X = inputs()
KEY = jax.random.key(0)


def network(module):
    model = as_model(module, X)
    return model, model.unwrap(model.init(KEY))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "module",
    [Mlp(), *(pytest.param(each, marks=pytest.mark.slow) for each in (Residual(), Attention())),
     lambda rngs: Twin(rngs)],
    ids=["mlp", "convolutions", "attention", "nnx"],
)  # fmt: skip
def test_every_layer_has_unit_variance(module):
    model, params = network(module)
    scaled, report = lsuv(model, params, X)
    np.testing.assert_allclose(layer_variances(model, scaled, X), 1, rtol=1e-3)
    np.testing.assert_allclose(
        report.statistics["variance before"], layer_variances(model, params, X), rtol=1e-4
    )
    assert report.passes == 3
    assert report.skipped == {}
    again, _ = lsuv(model, scaled, X)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), again, scaled))


def test_one_pass_scales_a_chain_without_biases_as_layer_after_layer():
    """Var(W x) = 1 by NumPy, each layer on the scaled outputs of those before it."""
    apply, params = relu_mlp((9, 12, 12, 4))
    model = jinit.trace(apply, params, X)
    signal = np.asarray(X, np.float64)
    scaled, _ = lsuv(model, params, X)
    for before, after in zip(params, scaled, strict=True):
        expected = before / (signal @ np.float64(before)).std()
        np.testing.assert_allclose(after, expected, rtol=1e-5)
        signal = np.maximum(signal @ expected, 0)


def test_iterations_of_a_loop_and_members_of_an_ensemble_are_layers_of_their_own():
    model, params = network(Scanned())
    scaled, _ = lsuv(model, params, X)
    np.testing.assert_allclose(layer_variances(model, scaled, X)[:3], 1, rtol=1e-3)
    kernel, bias = (scaled["params"]["VmapDense_0"][name] for name in ("kernel", "bias"))
    x = np.asarray(X)
    loop = scaled["params"]["ScanBody_0"]["Dense_0"]
    for i in range(3):
        x = np.tanh(x @ np.asarray(loop["kernel"][i]) + np.asarray(loop["bias"][i]))
    members = [np.var(x @ np.asarray(kernel[i]) + np.asarray(bias[i])) for i in range(2)]
    np.testing.assert_allclose(members, 1, rtol=1e-3)


@pytest.mark.slow
def test_shared_kernels_have_unit_variance_in_the_mean():
    model, params = network(Shared())
    scaled, report = lsuv(model, params, X, tolerance=1e-3)
    variances = layer_variances(model, scaled, X)
    assert np.mean(variances[:2]) == pytest.approx(1, abs=2e-3)
    assert variances[2] == pytest.approx(1, abs=2e-3)
    assert 3 < report.passes <= 20


@pytest.mark.slow
def test_a_recurrent_kernel_is_scaled_over_its_steps():
    model, params = network(Recurrent())
    _, report = lsuv(model, params, X, tolerance=0.01)
    np.testing.assert_allclose(report.statistics["variance after"], 1, rtol=0.02)
    assert report.skipped == {}


@pytest.mark.slow
def test_batches_are_pooled():
    model, params = network(Mlp(2))
    whole, _ = lsuv(model, params, X)
    targets = jnp.zeros(16)
    for data in ([X[:32], X[32:]], ((X[i : i + 16], targets) for i in range(0, 64, 16))):
        parts, _ = lsuv(model, params, data)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), parts, whole)


@pytest.mark.slow
def test_seeds_can_be_vmapped():
    model, _ = network(Mlp(2))
    method = lsuv()
    model, batches = read_batches("lsuv", model, X)
    keys = jax.random.split(KEY, 3)

    def start(key):
        return method.apply(model, model.unwrap(model.init(key)), batches, key)

    together = jax.vmap(start)(keys)
    alone = [start(key) for key in keys]
    jax.tree.map(
        lambda a, *b: np.testing.assert_allclose(a, np.stack(b), rtol=1e-5), together, *alone
    )


def test_a_kernel_in_half_precision_is_scaled():
    model = as_model(nn.Dense(8, param_dtype=jnp.bfloat16), X.astype(jnp.bfloat16))
    scaled, report = lsuv(model, model.init(KEY), X.astype(jnp.bfloat16))
    assert report.statistics["variance after"][0] == pytest.approx(1, abs=0.02)
    assert jax.tree.leaves(scaled)[0].dtype == jnp.bfloat16


@pytest.mark.slow
def test_what_cannot_be_scaled_is_named():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x):
            dead = nn.Dense(5, kernel_init=nn.initializers.zeros)(x)
            loud = nn.Dense(5, bias_init=nn.initializers.normal(3.0))(x)
            return nn.WeightNorm(nn.Dense(5))(x) + dead + loud

    model, params = network(Network())
    scaled, report = lsuv(model, params, X)
    reasons = "\n".join(f"{name}: {reason}" for name, reason in report.skipped.items())
    assert "params/Dense_0/kernel: its outputs have no variance" in reasons
    assert "params/Dense_1/kernel: its bias alone has a variance above 1" in reasons
    assert "weight normalization removes its scale" in reasons
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), scaled, params))
    assert "skipped params/Dense_0/kernel" in str(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0}, "lsuv: target=0, expected a number above 0"),
        ({"tolerance": "x"}, "lsuv: tolerance='x', expected a number above 0"),
        ({"passes": 1}, "lsuv: passes=1, expected an integer of at least 3"),
        ({"init": "he_norml"}, "did you mean 'he_normal'"),
    ],
)
def test_options_are_checked_when_they_are_given(options, message):
    with pytest.raises(ValueError, match=message):
        lsuv(**options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (jnp.ones((4, 3)), r"input 0 has the shapes \[\(4, 3\)\], and the model was traced with"),
        ([], "the data has no batch"),
        ([X[:8], X[:4]], "batches must have equal shapes"),
        (X.at[0, 0].set(jnp.nan), "input 0 has NaN or infinity"),
        (3, "the data must be an array, a batch"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, message):
    model, params = network(Mlp(1))
    with pytest.raises(ValueError, match=message):
        lsuv(model, params, data)


def test_a_call_without_data_is_explained():
    model, params = network(Mlp(1))
    with pytest.raises(TypeError, match=r"lsuv: expected lsuv\(model, params, data, key\), got no"):
        lsuv(model, params)
    with pytest.raises(TypeError, match="lsuv: expected a Model, got Mlp"):
        lsuv(Mlp(), params, X)


def test_the_report_is_shown(tmp_path):
    model, params = network(Mlp(2))
    _, report = lsuv(model, params, X)
    assert report.table().row_count == 3
    report.plot(tmp_path / "lsuv.png")
    assert (tmp_path / "lsuv.png").stat().st_size > 1000
    assert report.to_dict()["layers"] == list(model.layer_names)
    page = report._repr_html_()
    assert page.startswith("<pre")
    assert model.layer_names[0] in page
