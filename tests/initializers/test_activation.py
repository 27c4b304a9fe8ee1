"""activation_scaled keeps the second moment of signals and gradients of wide layers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.initializers.activation import ACTIVATIONS

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("phi", "mode", "same"),
    [
        ("relu", "forward", jinit.he_normal()),
        ("identity", "average", jinit.xavier_normal()),
        ("identity", "forward", jinit.lecun_normal()),
        ("relu", "backward", jinit.variance_scaling(2.0, "fan_out", "truncated_normal")),
    ],
)
def test_relu_and_the_identity_give_the_classical_initializers(phi, mode, same):
    values = jinit.activation_scaled(phi, mode)(KEY, (30, 40))
    np.testing.assert_allclose(values, same(KEY, (30, 40)), rtol=1e-6)


@pytest.mark.parametrize("phi", [jax.nn.gelu, jax.nn.silu, jnp.tanh, jax.nn.mish, jax.nn.relu6])
def test_forward_keeps_the_second_moment(phi):
    w = jinit.activation_scaled(phi)(KEY, (2048, 512))
    h = jax.random.normal(jax.random.key(1), (64, 2048))
    assert float(((phi(h) @ w) ** 2).mean()) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("phi", [jax.nn.softplus, jax.nn.sigmoid, jnp.tanh])
def test_backward_keeps_the_gradient(phi):
    """∂/∂h of φ(h) W, with independent gradients of the 2048 outputs."""
    w = jinit.activation_scaled(phi, "backward")(KEY, (512, 2048))
    h = jax.random.normal(jax.random.key(1), (64, 512))
    output_gradients = jax.random.normal(jax.random.key(2), (64, 2048))
    _, pull_back = jax.vjp(lambda h: phi(h) @ w, h)
    assert float((pull_back(output_gradients)[0] ** 2).mean()) == pytest.approx(1, rel=0.05)


def test_gated_units_count_their_products():
    gate = jinit.activation_scaled(lambda a, b: a * jax.nn.silu(b))
    a, b = jax.random.normal(KEY, (2, 64, 2048))
    y = (a * jax.nn.silu(b)) @ gate(jax.random.key(1), (2048, 512))
    assert float((y**2).mean()) == pytest.approx(1, rel=0.05)
    assert gate.variance((100, 7)) == jinit.activation_scaled("swiglu").variance((100, 7))


def test_the_average_mode_gives_the_harmonic_mean_of_the_variances():
    forward, backward, average = (
        jinit.activation_scaled("tanh", mode).variance((50, 20))
        for mode in ("forward", "backward", "average")
    )
    assert 2 / average == pytest.approx(1 / forward + 1 / backward)


def test_a_known_function_is_kept_by_its_name():
    assert jinit.activation_scaled(jax.nn.gelu) == jinit.activation_scaled("gelu")
    assert jinit.activation_scaled(jax.nn.tanh) == jinit.activation_scaled(jnp.tanh)
    cubic = jinit.activation_scaled(lambda x: x**3)
    assert "lambda" in repr(cubic)
    assert cubic.variance((10, 1)) == pytest.approx(1 / 150)
    with pytest.raises(TypeError, match="is a function, not one of jinit's values"):
        cubic.to_spec()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_name_has_a_gain(name):
    for mode in ("forward", "backward", "average"):
        assert 0 < jinit.activation_scaled(name, mode).variance((64, 64)) < 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (("rellu",), ValueError, "unknown activation 'rellu'; did you mean 'relu'"),
        (("relu", "fan_in"), ValueError, "unknown mode 'fan_in'; expected one of: forward"),
        (("relu", "forward", "gaussian"), ValueError, "unknown distribution 'gaussian'"),
        ((3,), TypeError, "phi: expected an activation, such as jax.nn.gelu or its name, got 3"),
        ((jax.nn.softmax,), TypeError, "a map of a whole layer, such as a softmax, has no gain"),
        ((jnp.sign, "backward"), ValueError, 'no gradient passes through it; use mode="forward"'),
    ],
)
def test_mistakes_are_named_when_the_initializer_is_built(options, error, text):
    with pytest.raises(error, match=text):
        jinit.activation_scaled(*options)


def test_a_shape_without_entries_is_drawn():
    assert jinit.activation_scaled("gelu")(KEY, (0, 4)).shape == (0, 4)
    assert not math.isnan(jinit.activation_scaled("gelu").variance((0, 4)))
