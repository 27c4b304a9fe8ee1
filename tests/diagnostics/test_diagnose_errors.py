"""Mistakes in calls of `diagnose`, and what the messages say."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import jinit
from jinit import diagnose

X = jnp.asarray(np.random.default_rng(0).standard_normal((32, 16), np.float32))
LABELS = jnp.arange(32) % 4
NETWORK = nn.Sequential([nn.Dense(32), nn.relu, nn.Dense(4)])
MODEL = jinit.linen.trace(NETWORK, X)
PARAMS = jinit.init(MODEL, jax.random.key(1))
SQUARE = jnp.asarray(np.random.default_rng(1).standard_normal((16, 16), np.float32))


def with_params(change):
    """The parameters with every leaf changed."""
    return jax.tree.map(change, PARAMS)


def with_wrong_bias():
    params = jax.tree.map(lambda leaf: leaf, PARAMS)
    params["params"]["layers_0"]["bias"] = jnp.zeros(3)
    return params


def diagnose_function(apply, params=SQUARE, x=X):
    return diagnose(jinit.trace(apply, params, x), params, x)


def one_output():
    model = jinit.linen.trace(nn.Dense(1), X)
    return diagnose(model, jinit.init(model, jax.random.key(1)), X, LABELS)


def empty_batch():
    model = jinit.linen.trace(NETWORK, X[:0])
    return diagnose(model, PARAMS, X[:0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: diagnose(sum, PARAMS, X), TypeError, r"a Model, .*, got builtin.*jinit.trace"),
        (lambda: diagnose(nn.Dense, PARAMS, X), TypeError, r"class Dense; call it, such as Dense"),
        (lambda: jinit.audit(NETWORK, PARAMS), TypeError, "audit: expected a Model"),
        (lambda: diagnose(MODEL, PARAMS["params"], X), ValueError, "parameters like the model's"),
        (
            lambda: diagnose(MODEL, with_wrong_bias(), X),
            ValueError,
            r"layers_0/bias: expected shape \(32,\), got \(3,\)",
        ),
        (
            lambda: diagnose(MODEL, with_params(lambda leaf: leaf.astype("float16")), X),
            ValueError,
            "is float16, but the model was traced with float32; trace the model with these param",
        ),
        (lambda: diagnose(MODEL, PARAMS, X[:, :8]), ValueError, r"\(32, 8\).*traced with"),
        (empty_batch, ValueError, "at least one example"),
        (lambda: diagnose(MODEL, PARAMS, X, LABELS + 4), ValueError, "go from 4 to 7, but"),
        (lambda: diagnose(MODEL, PARAMS, X, LABELS - 1), ValueError, "4 classes, from 0 to 3"),
        (lambda: diagnose(MODEL, PARAMS, X, jnp.zeros((32, 3))), ValueError, "do not say which"),
        (one_output, ValueError, "do not say which"),
        (
            lambda: diagnose(MODEL, PARAMS, X, LABELS, loss=lambda outputs, _: outputs[:, 0]),
            ValueError,
            "one number",
        ),
        (
            lambda: diagnose(MODEL, PARAMS, X, loss="nope"),
            TypeError,
            r"loss: expected a function loss\(outputs, \*targets\), such as lambda .*, got 'nope'",
        ),
        (lambda: diagnose(MODEL, PARAMS, X, key=3), TypeError, "expected a random key"),
        (
            lambda: diagnose(MODEL, PARAMS, X, optimizer="adam"),
            TypeError,
            r"expected an optax transformation, such as optax.adam\(1e-3\), got 'adam'",
        ),
        (lambda: diagnose(MODEL, PARAMS, X, optimizer=optax.adam), TypeError, "such as optax.adam"),
        (
            lambda: diagnose(MODEL, None, X, seeds=0),
            ValueError,
            "seeds: expected a number of initializations, at least 1, got 0",
        ),
        (lambda: diagnose(MODEL, None, X, seeds=2.5), ValueError, "at least 1, got 2.5"),
        (
            lambda: diagnose(MODEL, PARAMS, X, seeds=3),
            ValueError,
            "params must be a function key -> params",
        ),
        (
            lambda: diagnose(MODEL, lambda key: PARAMS["params"], X, seeds=2),
            ValueError,
            "parameters like the model's",
        ),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def while_loop(w, x):
    return jax.lax.while_loop(lambda h: h.sum() < 0, lambda h: h @ w, x) @ w


def callback(w, x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(np.asarray, shape, x @ w, vmap_method="sequential") @ w


def pallas_kernel(w, x):
    pallas = pytest.importorskip("jax.experimental.pallas")

    def double(source, target):
        target[...] = 2 * source[...]

    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return pallas.pallas_call(double, out_shape=shape, interpret=True)(x @ w)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (
            while_loop,
            r"it contains a while_loop.*; use jax\.lax\.scan, or jax\.lax\.fori_loop with",
        ),
        (
            callback,
            r"it contains a callback into Python; give it a derivative with jax\.custom_vjp",
        ),
        (pallas_kernel, r"such as a Pallas kernel; give it a derivative with jax\.custom_vjp"),
    ],
)
def test_operations_without_a_derivative_are_named(apply, message):
    with pytest.raises(
        ValueError, match=f"diagnose: the model cannot be differentiated: .*{message}"
    ):
        diagnose_function(apply)


def test_parameters_and_signals_that_cannot_be_measured_are_named():
    complex_weights = jnp.ones((16, 3)) + 1j
    with pytest.raises(ValueError, match="the parameter 'w' is complex, but the theory is about"):
        diagnose_function(lambda p, x: jnp.abs(x @ p["w"]), {"w": complex_weights})
    empty = {"w": SQUARE, "empty": jnp.zeros((16, 0))}
    with pytest.raises(ValueError, match=r"'empty' has shape \(16, 0\) and so no entries"):
        diagnose_function(lambda p, x: x @ p["w"] + (x @ p["empty"]).sum(), empty)
    with pytest.raises(ValueError, match="the model returns no array"):
        diagnose_function(lambda w, x: ())
