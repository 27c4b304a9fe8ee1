"""What layers do to signals: interpolated moments, maps of cosines, steady points."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import ACTIVATIONS, cosine_map, dual, fixed_point, moments, response, steady

BENT = [jax.nn.relu, jax.nn.leaky_relu, jnp.tanh, jax.nn.gelu, jax.nn.silu, jnp.sin, jnp.abs]


def slow(*names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("phi", BENT)
@pytest.mark.parametrize("q", [1e-9, 0.013, 1.0, 2.9, 1e5])
def test_interpolated_moments(phi, q):
    """Between knots of a quarter of a unit of ln q, lines are within two percent."""
    exact, found = moments(phi, q), response(phi, q)
    np.testing.assert_allclose(found.second, exact.second, rtol=0.02)
    np.testing.assert_allclose(found.slope2, exact.slope2, rtol=0.02)
    step = 1.001
    power = np.log(moments(phi, q * step).second / exact.second) / np.log(step)
    np.testing.assert_allclose(found.power, power, atol=0.02)


@pytest.mark.parametrize("phi", BENT)
@pytest.mark.parametrize("c", [-0.9, 0.0, 0.4, 0.97, 1.0])
def test_cosines_against_dual_activations(phi, c):
    q = float(np.exp(0.25))  # a knot
    found = dual(phi, q, c * q, q)
    value, slope = cosine_map(phi, q, c)
    second = moments(phi, q).second
    assert value == pytest.approx(found.value / second, abs=1e-3)
    if abs(c) < 0.95:  # the slopes of what is left of a kink's series come slowly
        assert slope == pytest.approx(found.slope * q / second, abs=2e-2)


def test_spreads_of_relu_are_those_of_products_of_random_matrices():
    np.testing.assert_allclose(response(jax.nn.relu, 7.0)[3:], 5.0, rtol=1e-9)


@pytest.mark.parametrize("name", ["relu", "sin", *slow("tanh", "gelu", "elu", "hard_tanh")])
def test_steady_points_are_critical_and_keep_the_signal(name):
    phi = ACTIVATIONS[name]
    sigma_w2, sigma_b2 = steady(phi)
    assert fixed_point(phi, sigma_w2, sigma_b2).chi_1 == pytest.approx(1.0, abs=1e-3)
    q = 1.0
    for _ in range(20):
        q = sigma_w2 * moments(phi, q).second + sigma_b2
    assert 1 / 200 < q < 10


@pytest.mark.parametrize("name", ["sigmoid", *slow("softplus")])
def test_what_has_no_steady_point(name):
    assert steady(ACTIVATIONS[name]) is None


@pytest.mark.parametrize("phi", [jnp.abs, lambda x: jnp.exp(-x * x)])
def test_an_even_activation_sees_no_sign(phi):
    assert cosine_map(phi, 20.0, -1.0)[0] == pytest.approx(1.0, abs=1e-3)


def test_beyond_the_last_knot_the_signal_goes_on_as_it_did():
    assert response(jax.nn.softplus, 1e-14).second == pytest.approx(math.log(2) ** 2, rel=1e-6)
    np.testing.assert_allclose(response(jax.nn.relu, 1e-14).second, 5e-15, rtol=1e-6)
    with pytest.raises(ValueError, match="is zero for"):
        response(jnp.zeros_like, 1.0)
    with pytest.raises(ValueError, match="is zero for"):
        cosine_map(jnp.zeros_like, 1.0, 0.5)


@pytest.mark.parametrize(("q", "c"), [(0.0, 0.5), (-1.0, 0.5), (1.0, 1.5), (1.0, float("nan"))])
def test_bad_input(q, c):
    with pytest.raises(ValueError, match="expected q above 0 and c within 1"):
        cosine_map(jax.nn.relu, q, c)
    if q <= 0:
        with pytest.raises(ValueError, match="above zero"):
            response(jax.nn.relu, q)
