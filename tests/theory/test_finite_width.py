"""Finite-width fluctuations, against exact published numbers and random relu layers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import finite_width

# Exact mean and variance of ln(q'/q) for one layer.
KNOWN = [
    (32, -0.08254021, 0.17749778),
    (100, -0.02542089, 0.05193999),
    (128, -0.01978640, 0.04023400),
    (512, -0.00489848, 0.00983684),
]


@pytest.mark.parametrize(("width", "mean", "variance"), KNOWN)
def test_one_layer_has_the_known_moments(width, mean, variance):
    found = finite_width([width])
    assert found.log_mean == pytest.approx(mean, abs=1e-8)
    assert found.log_var == pytest.approx(variance, abs=1e-8)
    assert found.moment_ratio == pytest.approx(1 + 5 / width)


def test_layers_add_up_and_an_empty_network_changes_nothing():
    found = finite_width([100] * 50)
    assert found.log_mean == pytest.approx(-1.271, abs=5e-4)
    assert found.log_var == pytest.approx(2.597, abs=5e-4)
    assert finite_width([100] * 10).moment_ratio == pytest.approx(1.6288946)
    assert finite_width([]) == (0.0, 0.0, 1.0)
    assert finite_width([32, 512]).log_mean == pytest.approx(-0.08254021 - 0.00489848)


def test_width_one_is_a_chi_square_of_one_degree():
    """If its one unit is active, q'/q = 2 χ²_1, and E ln χ²_1 = -γ - ln 2."""
    found = finite_width([1])
    assert found.log_mean == pytest.approx(-np.euler_gamma)
    assert found.log_var == pytest.approx(math.pi**2 / 2)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "widths", [[16, 16, 16], [8, 32], pytest.param([48] * 4, marks=pytest.mark.slow)]
)
def test_random_relu_networks_have_these_moments(widths):
    """Mean of ln(q_L / q_0) within 5 standard errors (1e-6 per case), variance within 15 %."""

    def log_ratio(key):
        signal = jnp.ones(widths[0])
        for width, layer in zip(widths, jax.random.split(key, len(widths)), strict=True):
            weights = jax.random.normal(layer, (width, signal.size)) * jnp.sqrt(2 / signal.size)
            signal = jax.nn.relu(weights @ signal)
        return jnp.log(jnp.mean(signal**2))

    logs = np.asarray(jax.jit(jax.vmap(log_ratio))(jax.random.split(jax.random.key(0), 4_000)))
    logs = logs[np.isfinite(logs)]
    found = finite_width(widths)
    assert abs(logs.mean() - found.log_mean) < 5 * math.sqrt(found.log_var / len(logs))
    assert logs.var() == pytest.approx(found.log_var, rel=0.15)


@pytest.mark.parametrize("widths", [[0], [8, -1], [2.5]])
def test_a_width_that_is_not_a_positive_integer(widths):
    with pytest.raises(ValueError, match=r"expected integer widths of at least 1, got (0|-1|2.5)"):
        finite_width(widths)
