"""Initializers draw the distribution that they state."""

import jax
import numpy as np
import pytest
import scipy.integrate

import jinit
from jinit.initializers import CATALOG

KEY = jax.random.key(7)
SHAPE = (5, 4, 30, 40)
STATED = [entry for entry in CATALOG if entry.example.marginal(SHAPE) is not None]


def distribution_function(marginal, grid):
    """The distribution function on a grid that begins below every draw."""
    return scipy.integrate.cumulative_simpson(marginal.density(grid), x=grid, initial=0)


@pytest.mark.few(12)
@pytest.mark.parametrize("entry", STATED, ids=lambda entry: entry.name)
def test_draws_follow_the_stated_distribution(entry):
    marginal = entry.example.marginal(SHAPE)
    values = np.sort(np.ravel(np.asarray(entry.example(KEY, SHAPE), np.float64)))
    largest = max(np.abs(values).max(), 1e-30) * 1.001
    low, high = max(marginal.low, -largest), min(marginal.high, largest)
    assert low <= values[0]
    assert values[-1] <= high
    grid = np.linspace(low, high, 20_001)
    expected = np.interp(values, grid, distribution_function(marginal, grid))
    distance = np.abs(expected - (np.arange(len(values)) + 0.5) / len(values)).max()
    # Bound of Dvoretzky, Kiefer and Wolfowitz, exceeded with probability 1e-8. Entries of an
    # orthogonal matrix depend on each other, which only makes them more even.
    assert distance < np.sqrt(np.log(2e8) / (2 * len(values)))
    error = 6 * marginal.std / np.sqrt(len(values))
    assert abs(values.mean() - marginal.mean) < error
    assert abs(values.std() - marginal.std) < error


def test_most_families_state_a_distribution():
    families = {entry.family for entry in STATED}
    assert {"random", "variance", "orthogonal", "periodic"} <= families
    assert len(STATED) >= 20


@pytest.mark.parametrize("entry", STATED, ids=lambda entry: entry.name)
def test_a_stated_distribution_has_a_variance_formula(entry):
    assert entry.example.variance_with_options()


def test_a_scaled_initializer_states_the_scaled_distribution():
    base, factor = jinit.random_uniform(1.0, 3.0), -2.0
    marginal = jinit.scaled(base, factor).marginal((5,))
    assert (marginal.low, marginal.high, marginal.mean) == (-6.0, -2.0, -4.0)
    np.testing.assert_allclose(marginal.density(np.array([-5.0, 0.0])), [0.25, 0.0])
    assert jinit.scaled(base, 0.0).marginal((5,)) is None
    assert jinit.scaled(jax.nn.initializers.ones, 2.0).marginal((5,)) is None
