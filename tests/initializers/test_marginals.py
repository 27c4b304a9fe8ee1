"""The law that an initializer states is the law that it draws."""

import jax
import numpy as np
import pytest
import scipy.integrate

from jinit.initializers import CATALOG

KEY = jax.random.key(7)
SHAPE = (5, 4, 30, 40)
STATED = [entry for entry in CATALOG if entry.example.marginal(SHAPE) is not None]


def cumulated(law, grid):
    """The distribution function on a grid that begins below every draw."""
    return scipy.integrate.cumulative_simpson(law.density(grid), x=grid, initial=0)


@pytest.mark.parametrize("entry", STATED, ids=lambda entry: entry.name)
def test_draws_follow_the_stated_law(entry):
    law = entry.example.marginal(SHAPE)
    drawn = np.sort(np.ravel(np.asarray(entry.example(KEY, SHAPE), np.float64)))
    spread = max(np.abs(drawn).max(), 1e-30) * 1.001
    low, high = max(law.low, -spread), min(law.high, spread)
    assert low <= drawn[0]
    assert drawn[-1] <= high
    grid = np.linspace(low, high, 20_001)
    expected = np.interp(drawn, grid, cumulated(law, grid))
    distance = np.abs(expected - (np.arange(len(drawn)) + 0.5) / len(drawn)).max()
    # Dvoretzky, Kiefer, Wolfowitz: above this once in 10⁸. Entries of a frame depend on each other,
    # which only makes them more even.
    assert distance < np.sqrt(np.log(2e8) / (2 * len(drawn)))
    error = 6 * law.std / np.sqrt(len(drawn))
    assert abs(drawn.mean() - law.mean) < error
    assert abs(drawn.std() - law.std) < error


def test_who_states_a_law():
    families = {entry.family for entry in STATED}
    assert {"random", "variance", "orthogonal", "periodic"} <= families
    assert len(STATED) >= 20


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_a_law_comes_with_a_rule(entry):
    assert entry.example.marginal(SHAPE) is None or entry.example.variance_rule()
