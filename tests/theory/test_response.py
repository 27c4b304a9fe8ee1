"""Responses of layers: interpolated moments, correlation maps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import (
    activation_correlation,
    dual,
    layer_response,
    moments,
)

ACTIVATION_SAMPLE = [
    jax.nn.relu,
    jax.nn.leaky_relu,
    jnp.tanh,
    jax.nn.gelu,
    jax.nn.silu,
    jnp.sin,
    jnp.abs,
]


@pytest.mark.parametrize("phi", ACTIVATION_SAMPLE)
@pytest.mark.parametrize("q", [1e-9, 0.013, 1.0, 2.9, 1e5])
def test_interpolated_moments_are_within_two_percent(phi, q):
    exact, found = moments(phi, q), layer_response(phi, q)
    np.testing.assert_allclose(found.second, exact.second, rtol=0.02)
    np.testing.assert_allclose(found.slope2, exact.slope2, rtol=0.02)
    step = 1.001
    log_slope = np.log(moments(phi, q * step).second / exact.second) / np.log(step)
    np.testing.assert_allclose(found.log_slope, log_slope, atol=0.02)


@pytest.mark.parametrize("phi", ACTIVATION_SAMPLE)
@pytest.mark.parametrize("c", [-0.9, 0.0, 0.4, 0.97, 1.0])
def test_correlation_maps_against_dual_activations(phi, c):
    q = float(np.exp(0.25))  # a knot
    found = dual(phi, q, c * q, q)
    value, slope = activation_correlation(phi, c, q)
    second = moments(phi, q).second
    assert value == pytest.approx(found.value / second, abs=1e-3)
    if abs(c) < 0.95:  # the series of a kink's slope converges slowly near 1
        assert slope == pytest.approx(found.slope * q / second, abs=2e-2)


def test_fluctuations_of_relu_are_those_of_products_of_random_matrices():
    np.testing.assert_allclose(layer_response(jax.nn.relu, 7.0)[3:], 5.0, rtol=1e-9)


@pytest.mark.parametrize("phi", [jnp.abs, lambda x: jnp.exp(-x * x)])
def test_an_even_activation_ignores_the_sign_of_the_correlation(phi):
    assert activation_correlation(phi, -1.0, 20.0).value == pytest.approx(1.0, abs=1e-3)


def test_beyond_the_last_knot_the_signal_follows_a_power():
    assert layer_response(jax.nn.softplus, 1e-14).second == pytest.approx(
        math.log(2) ** 2, rel=1e-6
    )
    np.testing.assert_allclose(layer_response(jax.nn.relu, 1e-14).second, 5e-15, rtol=1e-6)


def test_an_activation_that_is_zero_is_refused():
    text = "activation zeros_like is zero for normal inputs of variance 1"
    with pytest.raises(ValueError, match=text):
        layer_response(jnp.zeros_like, 1.0)
    with pytest.raises(ValueError, match=text):
        activation_correlation(jnp.zeros_like, 0.5, 1.0)


@pytest.mark.parametrize("q", [0.0, -1.0, math.nan])
def test_a_variance_must_be_above_zero(q):
    text = "q: expected a finite variance above 0"
    with pytest.raises(ValueError, match=text):
        activation_correlation(jax.nn.relu, 0.5, q)
    with pytest.raises(ValueError, match=text):
        layer_response(jax.nn.relu, q)


@pytest.mark.parametrize("c", [1.5, math.nan])
def test_a_correlation_must_lie_between_minus_one_and_one(c):
    with pytest.raises(ValueError, match="c: expected a correlation from -1 to 1"):
        activation_correlation(jax.nn.relu, c, 1.0)


def test_a_mean_square_that_is_too_large_for_a_number_is_infinite():
    assert layer_response(lambda x: x**3, 1e250).second == math.inf


def test_a_steep_activation_has_a_response_where_its_mean_is_finite():
    response = layer_response(lambda x: jnp.exp(200 * x), 1e-4)
    np.testing.assert_allclose(response.second, math.exp(2 * 200**2 * 1e-4), rtol=0.3)
    assert response.gradient_fluctuation > 1e3


@pytest.mark.parametrize(
    "phi", [lambda z: jnp.sqrt(jax.nn.relu(z)), lambda z: jnp.abs(z) ** 0.25, jnp.tanh, jnp.abs]
)
@pytest.mark.parametrize("q", [1e-3, 1.0, 10.0])
def test_fluctuations_are_those_of_moments_even_where_these_are_infinite(phi, q):
    """E[φ⁴] >= E[φ²]² and E[φ'⁴] >= E[φ'²]², by Jensen's inequality."""
    found = layer_response(phi, q)
    assert found.signal_fluctuation >= 0
    assert found.gradient_fluctuation >= 2
