"""Activations in words, and the constants before and after them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats

import jinit
from jinit.gains import activation_name

W, X = floats(8, 8), floats(4, 8)
POINTS = jnp.linspace(-3, 3, 13)


@pytest.fixture(autouse=True)
def rank_promotion():
    """Users rely on it."""
    with jax.numpy_rank_promotion("allow"):
        yield


def activation_of(function):
    """Return the activation between a kernel and itself."""
    return jinit.trace(lambda w, x: function(x @ w) @ w, W, X).leaves[0].activation


def standardize(z, axis):
    return (z - z.mean(axis, keepdims=True)) / jnp.sqrt(z.var(axis, keepdims=True) + 1e-5)


def root_mean_square(z):
    return z / jnp.sqrt((z**2).mean(-1, keepdims=True) + 1e-6)


SCALED = {
    "tanh": (jnp.tanh, 1, 1, "tanh"),
    "10 x, then tanh": (lambda z: jnp.tanh(10 * z), 10, 1, "tanh"),
    "30 x, then sin": (lambda z: jnp.sin(30 * z), 30, 1, "sin"),
    "0.5 x, then sin": (lambda z: jnp.sin(z / 4 * 2), 0.5, 1, "sin"),
    "relu, times 1.414": (lambda z: 2**0.5 * jax.nn.relu(z), 1, 2**0.5, "relu"),
    "2 x, then gelu, times 1.7": (lambda z: 1.7 * jax.nn.gelu(2 * z), 2, 1.7, "gelu"),
    "6 x": (lambda z: 2 * z * 3, 6, 1, "identity"),
    "2 x, then neg erf": (lambda z: jax.lax.erf(-2 * z), 2, 1, None),
    "selu": (jax.nn.selu, 1, 1, "selu"),
    "hard_sigmoid": (jax.nn.hard_sigmoid, 1, 1, "hard_sigmoid"),
    "squareplus": (jax.nn.squareplus, 1, 1, "squareplus"),
    "quick_gelu": (lambda z: z * jax.nn.sigmoid(1.702 * z), 1, 1, None),
}
NAMES = {
    "BatchNorm, then gelu": lambda z: jax.nn.gelu(standardize(z, 0)),
    "LayerNorm, then relu": lambda z: jax.nn.relu(standardize(z, -1)),
    "LayerNorm": lambda z: standardize(z, -1),
    "RMSNorm, then silu": lambda z: jax.nn.silu(root_mean_square(z)),
    "L2 normalization": lambda z: z / jnp.linalg.norm(z, axis=-1, keepdims=True),
    "LayerNorm, then 10 x, then tanh": lambda z: jnp.tanh(10 * standardize(z, -1)),
    "GroupNorm, then relu": lambda z: jax.nn.relu(
        standardize(z.reshape(4, 2, 4, 1), (2, 3)).reshape(4, 8)
    ),
    "squared relu": lambda z: jnp.square(jax.nn.relu(z)),
}


@pytest.mark.parametrize("description", SCALED)
def test_constants_are_apart_from_the_function(description):
    function, input_scale, output_scale, name = SCALED[description]
    activation = activation_of(function)
    assert repr(activation) == f"{description} → product"
    assert activation.input_scale == pytest.approx(input_scale)
    assert activation.output_scale == pytest.approx(output_scale)
    assert activation_name(activation.unscaled) == name
    parts = activation.output_scale * activation.unscaled(activation.input_scale * POINTS)
    np.testing.assert_allclose(parts, function(POINTS), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(activation(POINTS), function(POINTS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("description", NAMES)
def test_normalizations_and_functions_are_named(description):
    assert activation_of(NAMES[description]).description == description


def test_a_mean_at_the_end_is_no_normalization():
    (leaf,) = jinit.trace(lambda w, x: (2 * jax.nn.gelu(x @ w)).mean(0), W, X).leaves
    assert repr(leaf.activation) == "gelu, times 2, then mean → output"
    assert leaf.activation.output_scale == 1


def test_biases_do_not_hide_a_constant():
    params = {"w": W, "b": floats(8)}
    model = jinit.trace(lambda p, x: jnp.tanh(5 * (x @ p["w"] + p["b"])), params, X)
    assert model.leaf("w").activation.input_scale == pytest.approx(5)


def test_a_gated_unit_has_the_constant_on_its_own_argument():
    def apply(p, x):
        return (2 * jax.nn.silu(3 * (x @ p["gate"])) * (x @ p["up"])) @ p["down"]

    model = jinit.trace(apply, {"gate": W, "up": W, "down": W}, X)
    gate, up = (model.leaf(path).activation for path in ("gate", "up"))
    assert (round(gate.input_scale, 6), up.input_scale) == (3, 1)
    assert gate.output_scale == up.output_scale == 2
    assert {activation_name(part.unscaled) for part in (gate, up)} == {"swiglu"}
