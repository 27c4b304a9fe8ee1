"""Mean-field theory: published tables, closed forms, and wide random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jinit.theory import (
    c_map,
    critical_point,
    critical_sigma_w2,
    fixed_point,
    moments,
    q_map,
)

ERF = jax.scipy.special.erf


def relu_correlation(c):
    return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi


# (σ_w, σ_b): q*, χ₁, c*, χ_c, ξ_q, ξ_c, ξ_∇ of tanh.
POINTS = {
    (1.3, 0.3): (0.60704679, 0.93980743, 1, 0.93980743, 1.33767, 16.10817, 16.10817),
    (2.5, 0.3): (4.07912388, 1.58522477, 0.12210375, 0.82222917, 0.68834, 5.10892, 2.17049),
    (4.0, 0.3): (12.6041495, 2.36726104, 0.02969592, 0.75974361, 0.49029, 3.63935, 1.16045),
    (1.5**0.5, 0.05**0.5): (0.41803720, 0.93863627, 1, 0.93863627, 1.68283, 15.79099, 15.79099),
    (5 / 3, 0): (1.17848049, 1.20983132, 0, 0.92079065, 1.18782, 12.1179, 5.24987),
}


@pytest.mark.parametrize("sigmas", POINTS)
def test_fixed_points_of_tanh(sigmas):
    q, chi_1, c, chi_c, xi_q, xi_c, xi_grad = POINTS[sigmas]
    found = fixed_point(jnp.tanh, sigmas[0] ** 2, sigmas[1] ** 2)
    np.testing.assert_allclose(found[:4], (q, c, chi_1, chi_c), atol=6e-9, rtol=2e-9)
    np.testing.assert_allclose(found[4:7], (xi_q, xi_c, xi_grad), atol=6e-6)
    assert found.phase == ("ordered" if chi_1 < 1 else "chaotic")


def test_critical_line_of_tanh():
    points = (
        (0.01, 1.01971076, 1.2580e-6),
        (0.1, 1.17756910, 8.322804e-4),
        (0.5, 1.68797512, 0.0380412011),
        (1, 2.15330265, 0.1509646294),
        (3, 3.42445663, 0.9814914177),
    )
    for q, sigma_w2, sigma_b2 in points:
        found = critical_point(jnp.tanh, q)
        np.testing.assert_allclose(found, (sigma_w2, sigma_b2), atol=6e-9)
        assert fixed_point(jnp.tanh, *found).phase == "critical"
    for sigma_b2, sigma_w2 in ((0.01, 1.42420529), (0.05, 1.76095464), (0.25, 2.40148924)):
        assert critical_sigma_w2(jnp.tanh, sigma_b2) == pytest.approx(sigma_w2, abs=6e-9)
    assert critical_sigma_w2(jnp.tanh, 2.01052e-5) == pytest.approx(1.05, abs=1e-6)
    assert critical_sigma_w2(jnp.tanh, 0.1037798052) == pytest.approx(2, abs=1e-9)
    assert critical_sigma_w2(jnp.tanh) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("q", [1e-9, 0.5, 1.0, 1e4])
def test_critical_line_of_erf(q):
    sigma_w2 = math.pi / 4 * math.sqrt(1 + 4 * q)
    sigma_b2 = q - sigma_w2 * 2 / math.pi * math.asin(2 * q / (1 + 2 * q))
    np.testing.assert_allclose(critical_point(ERF, q), (sigma_w2, sigma_b2), rtol=1e-8, atol=1e-17)


def test_relu_is_critical_at_two_only():
    assert critical_sigma_w2(jax.nn.relu) == pytest.approx(2, rel=1e-12)
    leaky = critical_sigma_w2(lambda x: jax.nn.leaky_relu(x, 0.2))
    assert leaky == pytest.approx(2 / 1.04, rel=1e-12)
    assert fixed_point(jax.nn.relu, 2.0)[:4] == pytest.approx((1, 1, 1, 1))
    assert fixed_point(jax.nn.relu, 1.9).q == 0
    assert fixed_point(jax.nn.relu, 2.1).q == math.inf
    assert fixed_point(jax.nn.relu, 1.5, 0.5).q == pytest.approx(2)
    with pytest.raises(ValueError, match="does not reach"):
        critical_sigma_w2(jax.nn.relu, 0.1)
    with pytest.raises(ValueError, match="would need biases of variance -"):
        critical_point(lambda x: jnp.maximum(x, 0) + 1.0, 1.0)


def test_variances_over_depth_are_those_published():
    q, found = 1.0, []
    for _ in range(100):
        q = q_map(jnp.tanh, q, 1.0)
        found.append(q)
    expected = (0.3942944904, 0.2364504105, 0.0522000828, 0.0050690192)
    np.testing.assert_allclose([found[i] for i in (0, 1, 9, 99)], expected, atol=6e-11)


@pytest.mark.slow
def test_correlations_over_depth_are_those_published():
    c, found = 0.0, []
    for _ in range(100):
        c = c_map(jax.nn.relu, c, 1.0, 2.0)
        found.append(c)
    expected = (0.3183098862, 0.4937310902, 0.8715355160, 0.9484284792, 0.9964231467)
    np.testing.assert_allclose([found[i] for i in (0, 1, 9, 19, 99)], expected, atol=6e-11)


@pytest.mark.parametrize("c", [-1, -0.999, 0, 0.5, 0.999999, 1 - 1e-12, 1])
@pytest.mark.parametrize("q", [1e-12, 1e6, pytest.param(1.0, marks=pytest.mark.slow)])
def test_correlations_against_closed_forms(c, q):
    assert c_map(jax.nn.relu, c, q, 2.0) == pytest.approx(relu_correlation(c), abs=1e-13)
    erf = 2 / math.pi * math.asin(2 * c * q / (1 + 2 * q))
    most = 2 / math.pi * math.asin(2 * q / (1 + 2 * q))
    assert c_map(ERF, c, q, 1.0) == pytest.approx(erf / most, abs=1e-12)


def test_kinks_at_unknown_places_are_found():
    """|x - a| = relu(x - a) + relu(a - x), whose moments are known in closed form."""
    for a in (0.3456789, -2.0, 1e-3):
        q = 1.7
        std = math.sqrt(q)
        normal = math.exp(-((a / std) ** 2) / 2) / math.sqrt(2 * math.pi)
        mean = 2 * std * normal + a * math.erf(a / std / math.sqrt(2))
        assert q_map(lambda x, a=a: jnp.abs(x - a), q, 1.0) == pytest.approx(q + a * a, rel=1e-13)
        product = c_map(lambda x, a=a: jnp.abs(x - a), 0.0, q, 1.0)
        assert product * (q + a * a) == pytest.approx(mean**2, rel=1e-12)


def test_a_wide_network_has_the_predicted_variances_and_correlations():
    """Two inputs in six tanh layers of 400,000 units; five standard errors, which accumulate."""
    width, sigma_w2, sigma_b2 = 400_000, 2.0, 0.1
    rng = np.random.default_rng(0)
    q, c = 1.0, 0.3
    h = rng.normal(size=(2, width))
    h[1] = c * h[0] + math.sqrt(1 - c * c) * h[1]
    for layer in range(6):
        q, c = q_map(jnp.tanh, q, sigma_w2, sigma_b2), c_map(jnp.tanh, c, q, sigma_w2, sigma_b2)
        # By symmetry W φ(h) has the covariance of φ(h) in every unit, drawn here directly.
        gram = sigma_w2 * np.tanh(h) @ np.tanh(h).T / width + sigma_b2
        h = np.linalg.cholesky(gram) @ rng.normal(size=(2, width))
        tolerance = 5 * math.sqrt((layer + 1) * 2 / width)
        assert h.var(axis=1) == pytest.approx(q, rel=tolerance)
        assert np.corrcoef(h)[0, 1] == pytest.approx(c, abs=tolerance)


@pytest.mark.parametrize("sigma_b2", [1e-12, 5e-12, 2e-11, 1e-6])
def test_critical_weights_for_the_smallest_biases(sigma_b2):
    """The critical line of erf is known in closed form."""

    def weights(q):
        return math.pi / 4 * math.sqrt(1 + 4 * q)

    def biases(log_q):
        q = math.exp(log_q)
        return q - weights(q) * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) - sigma_b2

    q = math.exp(optimize.brentq(biases, math.log(1e-7), 0, xtol=1e-13))
    found = critical_sigma_w2(ERF, sigma_b2)
    assert found == pytest.approx(weights(q), rel=1e-9)


@pytest.mark.parametrize("phi", [lambda x: x**3, lambda x: jax.nn.relu(x) ** 2, jnp.sign])
def test_activations_without_a_critical_line_are_refused(phi):
    with pytest.raises(ValueError, match="no σ_w² makes χ₁ = 1"):
        critical_sigma_w2(phi)


def test_the_fixed_correlation_close_to_one():
    """hard_tanh slightly inside the chaotic phase; figures from 30-digit arithmetic."""
    found = fixed_point(jax.nn.hard_tanh, 1.4122525557511134, 0.2010941741955835)
    assert 1 - found.c == pytest.approx(1.6911e-7, rel=1e-3)
    assert found.chi_c < 1
    assert found.xi_c == pytest.approx(2e4, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: q_map(jnp.tanh, 0.0, 1.0), ValueError, "q: expected a finite variance above 0"),
        (lambda: q_map(jnp.tanh, 1.0, -1.0), ValueError, "sigma_w2: expected a finite variance"),
        (lambda: fixed_point(jnp.tanh, 1.0, -1.0), ValueError, "sigma_b2: expected"),
        (lambda: c_map(jnp.tanh, 1.5, 1.0, 1.0), ValueError, "c: expected a correlation"),
        (lambda: q_map(jax.nn.glu, 1.0, 1.0), TypeError, "takes two numbers"),
        (lambda: q_map(jnp.exp, 1e6, 1.0), ValueError, "exp with q=1e\\+06: it is not finite"),
        (lambda: q_map(lambda x: jnp.exp(x * x), 1.0, 1.0), ValueError, "grows too fast"),
        (
            lambda: q_map(lambda x: jnp.floor(3 * x), 1e8, 1.0),
            ValueError,
            "a pole or more than 16384 kinks or jumps",
        ),
    ],
)
def test_wrong_arguments_are_named(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def threshold(x):
    return jnp.where(x > 1, x, 0.0)


def small_jump(x):
    return jnp.tanh(x) + jnp.where(x > 0, 1e-3, 0.0)


@pytest.mark.parametrize("phi", [jnp.sign, lambda x: jnp.where(x > 0, 1.0, 0.0), threshold])
def test_activations_that_jump_are_chaotic(phi):
    """The fixed point is one of the correlation map, with the slope of the map there."""
    sigmas = 1.5, 0.1
    found = fixed_point(phi, *sigmas)
    assert (found.chi_1, found.phase, found.xi_grad) == (math.inf, "chaotic", 0)
    step = 1e-4 * (1 - found.c)
    low, middle, high = (
        c_map(phi, found.c + change, found.q, *sigmas) for change in (-step, 0, step)
    )
    assert middle == pytest.approx(found.c, abs=1e-12)
    assert found.chi_c == pytest.approx((high - low) / (2 * step), rel=1e-6)


def test_the_fixed_point_of_sign_is_that_of_its_arc_sine_law():
    def change(c):
        return (1.5 * 2 / math.pi * math.asin(c) + 0.1) / 1.6 - c

    found = fixed_point(jnp.sign, 1.5, 0.1)
    assert found.c == pytest.approx(optimize.brentq(change, 0, 0.9, xtol=1e-14), abs=1e-12)
    assert found.c == pytest.approx(0.155968, abs=1e-6)


def test_a_small_jump_parts_close_inputs_only():
    """1 - c = K √(1 - c) + χ (1 - c), where the jump gives K and the slopes χ."""
    height, sigma_w2 = 1e-3, 1.5
    found = fixed_point(small_jump, sigma_w2, 0.1)
    gap = 1 - found.c
    chi = sigma_w2 * moments(small_jump, found.q).slope2
    jump = sigma_w2 * height**2 * math.sqrt(2) / (2 * math.pi * found.q)
    assert gap == pytest.approx((jump / (1 - chi)) ** 2, rel=0.01)


@pytest.mark.parametrize("phi", [jnp.sign, threshold, jnp.floor, lambda x: x + (x > 0.3)])
def test_activations_that_jump_have_no_critical_point(phi):
    for call in (lambda: critical_point(phi, 1.0), lambda: critical_sigma_w2(phi, 0.1)):
        with pytest.raises(ValueError, match="χ₁ is infinite for every σ_w² because it jumps at"):
            call()


def test_correlation_maps_are_exactly_one_on_the_diagonal():
    for phi in (jnp.sign, jnp.tanh, jax.nn.elu, threshold):
        assert c_map(phi, 1.0, 0.7, 1.5, 0.1) == 1.0


def test_fast_oscillations():
    """sin(30 x) with q = 0.85 is uncorrelated, as E[sin u sin v] = exp(-900 q) sinh(900 q c)."""
    found = fixed_point(lambda x: jnp.sin(30 * x), 1.5, 0.1)
    assert found[:2] == pytest.approx((0.85, 0.1 / 0.85), abs=1e-9)


@pytest.mark.parametrize(
    ("phi", "sigma_w2"),
    [
        (jax.nn.elu, 1.0),
        (jax.nn.gelu, 4.0),
        (jax.nn.soft_sign, 1.0),
        (lambda x: jnp.tanh(1e5 * x), 1e-10),
    ],
)
def test_without_biases_the_slope_at_zero_decides(phi, sigma_w2):
    assert critical_sigma_w2(phi) == pytest.approx(sigma_w2, rel=1e-9)
