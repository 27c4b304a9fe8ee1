"""Faults of inputs, targets, loss and whole networks: each has a layer, a cause and a cure."""

import warnings

import jax
import jax.numpy as jnp
import pytest
from arrays import normals
from diagnostics.mixing import layer_norm

import jinit
from jinit import diagnose

SLOW = pytest.mark.slow
KEYS = jax.random.split(jax.random.key(0), 3)
X = normals(1, (32, 16))
LABELS = jnp.arange(32) % 4
TARGETS = normals(2, (32, 4))
PARAMS = {
    "first": jinit.he_normal()(KEYS[0], (16, 48)),
    "second": jinit.he_normal()(KEYS[1], (48, 48)),
    "head": jinit.lecun_normal()(KEYS[2], (48, 4)),
}


def mlp(p, x):
    return jax.nn.relu(jax.nn.relu(x @ p["first"]) @ p["second"]) @ p["head"]


MODEL = jinit.trace(mlp, PARAMS, X)


def judge(*batch, params=PARAMS, model=MODEL, **options):
    """Return the diagnosis, after a check that every fault is explained."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        diagnosis = diagnose(model, params, *batch, **options)
    assert (diagnosis.verdict == "stable") == (not diagnosis.faults)
    assert all(fault.cause and fault.cure for fault in diagnosis.faults)
    return diagnosis


def pixels(size=1.0):
    return size * jnp.minimum(abs(X) / 3, 1)


INPUTS = {
    "as usual": (X, "stable", ""),
    "pixels": (pixels(), "stable", ""),
    "one-hot": (jax.nn.one_hot(LABELS, 16), "stable", ""),
    "bytes": (pixels(255), "misscaled", "the inputs are too large: input 0 has RMS"),
    "seventy": (70 * X, "misscaled", "the inputs are too large: input 0 has RMS"),
    "ten": (10 * X, "misscaled", "times that of a uniform guess"),
    "tiny": (1e-4 * X, "misscaled", "the inputs are too small: input 0 has RMS 0.0001"),
    "a column": (X.at[:, 3].mul(1e4), "misscaled", "x[..., 3] of input 0 has RMS"),
    "a year": (X.at[:, 3].add(2000), "misscaled", "x[..., 3] of input 0 has RMS"),
    "huge": (1e30 * X, "overflowing", "are finite, but too large to be squared in float32"),
    "NaN": (
        X.at[3, 2].set(jnp.nan).at[4, 4].set(jnp.inf),
        "overflowing",
        "input 0: 2 of its 512 entries are NaN or infinite",
    ),
    "zero": (0 * X, "dead", "input 0 is zero for every example"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_out_of_scale_are_blamed_and_not_the_weights(name):
    x, verdict, cause = INPUTS[name]
    diagnosis = judge(x, LABELS)
    assert diagnosis.verdict == verdict, str(diagnosis)
    if verdict != "stable":
        (fault,) = [each for each in diagnosis.faults if each.verdict == verdict]
        assert (fault.path, fault.source) == ("first", "inputs")
        assert cause in fault.cause
        assert "jinit" not in fault.cure
        assert ("x / 255" in fault.cure) == (name in ("bytes", "seventy"))


def test_inputs_of_rms_ten_are_noted_where_no_loss_shows_it():
    diagnosis = judge(10 * X, TARGETS)
    assert diagnosis.verdict == "stable"
    assert "the inputs have RMS" in diagnosis.notes[0]


def test_a_network_may_scale_its_inputs_itself():
    model = jinit.trace(lambda p, x: mlp(p, x / 255), PARAMS, X)
    assert judge(pixels(255), LABELS, model=model).verdict == "stable"


@pytest.mark.slow
def test_the_input_that_is_out_of_scale_is_named():
    def apply(p, x, z):
        return mlp(p, x) + z @ p["head"][:8]

    model = jinit.trace(apply, PARAMS, X, X[:, :8])
    (fault,) = judge(X, 1e3 * X[:, :8], LABELS, model=model).faults
    assert "input 1 has RMS" in fault.cause
    assert judge(X, 0 * X[:, :8], LABELS, model=model).verdict == "stable"
    integers = jnp.asarray(pixels(255), jnp.uint8)
    model = jinit.trace(lambda p, x: mlp(p, x.astype(jnp.float32)), PARAMS, integers)
    (fault,) = judge(integers, LABELS, model=model).faults
    assert (fault.source, fault.cure[:7]) == ("inputs", "x / 255")


@pytest.mark.parametrize(
    ("targets", "verdict", "cause"),
    [
        (TARGETS, "stable", ""),
        (1e3 * TARGETS, "misscaled", "the targets are too large: target 0 has RMS"),
        (TARGETS + 2000, "misscaled", "the targets are too large: target 0 has RMS 2e+03"),
        (TARGETS.at[3].set(jnp.nan), "overflowing", "target 0: 4 of its 128 entries are NaN"),
    ],
)
def test_targets_of_a_regression(targets, verdict, cause):
    diagnosis = judge(X, targets)
    assert diagnosis.verdict == verdict
    if verdict != "stable":
        (fault,) = diagnosis.faults
        assert (fault.path, fault.source) == ("head", "targets")
        assert fault.cause.startswith(cause)


LOSSES = {
    "not finite": (
        lambda o, _: jnp.log(0.0) + o.mean(),
        "overflowing",
        "log, between head and the loss",
    ),
    "times zero": (lambda o, _: 0.0 * o.sum(), "vanishing", "the factor 0, between head"),
    "accuracy": (lambda o, t: (o.argmax(-1) != t).mean(), "vanishing", "argmax over axis"),
}


@pytest.mark.parametrize("name", ["not finite", "accuracy", pytest.param("times zero", marks=SLOW)])
def test_losses_without_a_number_or_a_gradient(name):
    loss, verdict, cause = LOSSES[name]
    (fault,) = judge(X, LABELS, loss=loss).faults
    assert (fault.path, fault.source, fault.verdict) == ("head", "loss", verdict)
    assert fault.cause.startswith(cause)


@pytest.mark.parametrize(
    "function",
    [
        lambda p, x: mlp(p, x).astype(jnp.int8).astype(jnp.float32),
        pytest.param(lambda p, x: mlp(p, x) * 0, marks=SLOW),
        pytest.param(lambda p, x: jnp.round(mlp(p, x)), marks=SLOW),
    ],
)
def test_outputs_without_a_gradient(function):
    diagnosis = judge(X, LABELS, model=jinit.trace(function, PARAMS, X))
    (fault,) = diagnosis.faults
    assert (diagnosis.verdict, fault.path) == ("vanishing", "head")
    assert "between head and the loss, lets no gradient pass to head" in fault.cause


def test_a_network_without_layers_has_faults_too():
    scale = jnp.ones(4)
    model = jinit.trace(lambda s, x: x * s[None], scale, TARGETS)
    diagnosis = judge(TARGETS, model=model, params=scale, loss=lambda outputs: 0.0 * outputs.sum())
    (fault,) = diagnosis.faults
    assert (fault.path, fault.verdict, fault.shape) == ("loss", "vanishing", ())
    assert "where  loss" in str(diagnosis)
    assert diagnosis.to_dict()["faults"] == diagnosis.to_dict()["other_faults"]


def test_finite_weights_are_not_called_nan():
    (fault,) = judge(X, LABELS, params=PARAMS | {"second": 1e20 * PARAMS["second"]}).faults
    assert (fault.path, fault.verdict) == ("second", "overflowing")
    assert fault.cause.endswith("are finite, but too large to be squared in float32")
    assert fault.cure == "kernel_init=jinit.he_normal()"
    broken = PARAMS | {"second": PARAMS["second"].at[2, 2].set(jnp.nan)}
    (fault,) = judge(X, LABELS, params=broken).faults
    assert fault.cause == "some of its weights are NaN or infinite"


def test_a_factor_after_the_last_layer_is_blamed_for_a_large_loss():
    model = jinit.trace(lambda p, x: 1e3 * mlp(p, x), PARAMS, X)
    diagnosis = judge(X, LABELS, model=model)
    (fault,) = diagnosis.faults
    assert (fault.path, fault.source, fault.verdict) == ("head", "loss", "misscaled")
    assert fault.cure.startswith("divide the logits by ")
    assert "far above" not in " ".join(diagnosis.notes)


def test_gains_that_do_not_reach_the_outputs_are_not_blamed_for_a_large_loss():
    """A normalization removes the gain of the first kernel, a softmax that of the second."""

    def apply(p, x):
        h = layer_norm(x @ p["first"])
        return 200 * ((h * jax.nn.softmax(h @ p["second"])) @ p["head"])

    params = PARAMS | {name: 3 * PARAMS[name] for name in ("first", "second")}
    diagnosis = judge(X, LABELS, model=jinit.trace(apply, params, X), params=params)
    large = [fault for fault in diagnosis.faults if "uniform guess" in fault.cause]
    assert [fault.source for fault in large] == ["loss"], str(diagnosis)


@pytest.mark.slow
def test_a_large_loss_of_a_deep_network_names_a_gain():
    draw, size = jinit.he_normal(), 48
    params = [draw(key, (size, size)) for key in jax.random.split(KEYS[0], 20)]

    def apply(p, x):
        for kernel in p:
            x = jax.nn.selu(x @ kernel)
        return x @ p[0][:, :10]

    x = normals(KEYS[1], (64, size))
    model = jinit.trace(apply, params, x)
    fault = judge(x, jnp.arange(64) % 10, model=model, params=params).faults[0]
    assert "times that of a uniform guess" in fault.cause
    assert "is what the first of 21 layers of selu needs" in fault.cause
