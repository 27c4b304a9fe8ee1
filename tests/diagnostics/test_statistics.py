"""Statistics of one layer, against NumPy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

from jinit.diagnostics.measuring import statistics

RNG = np.random.default_rng(0)


def test_preactivation_statistics_agree_with_numpy():
    h = RNG.normal(0.3, 2.0, (5, 4, 7))
    found = statistics.preactivation_statistics(jnp.asarray(h, jnp.float32), (2,))
    rows = h.reshape(20, 7)
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    correlations = (directions @ directions.T)[~np.eye(20, dtype=bool)]
    spectrum = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
    expected = {
        "mean": h.mean(),
        "second": (h**2).mean(),
        "largest": abs(h).max(),
        "nonfinite": 0.0,
        "decorrelation": 1 - correlations.mean(),
        "effective_rank": spectrum.sum() ** 2 / (spectrum**2).sum(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-4, err_msg=name)


@pytest.mark.few(1)
@pytest.mark.parametrize("units", [(0,), (1, 2), (0, 2)])
def test_units_may_lie_along_any_axes(units):
    h = jnp.asarray(RNG.normal(size=(4, 5, 6)), jnp.float32)
    others = [axis for axis in range(3) if axis not in units]
    moved = jnp.transpose(h, (*others, *units)).reshape(*(h.shape[axis] for axis in others), -1)
    expected = statistics.preactivation_statistics(moved, (moved.ndim - 1,))
    found = statistics.preactivation_statistics(h, units)
    for name in expected._fields:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-5, err_msg=name
        )


def test_many_rows_are_sampled_evenly():
    drift = np.linspace(0, np.pi, 5000)[:, None]
    h = np.cos(drift + np.linspace(0, 6, 40)[None])
    rows = h[:: 5000 // 127]
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    decorrelation = ((directions - directions.mean(0)) ** 2).sum() / (len(rows) - 1)
    found = statistics.preactivation_statistics(jnp.asarray(h, jnp.float32), (1,))
    np.testing.assert_allclose(found.decorrelation, decorrelation, rtol=0.02)
    np.testing.assert_allclose(found.second, (h**2).mean(), rtol=1e-5)


@pytest.mark.parametrize("decorrelation", [1e-3, 1e-6, 1e-9])
def test_correlations_near_one_keep_their_digits(decorrelation):
    """Vectors at the angle √(2·(1 - c)): float32 would round c itself to 1."""
    angle = np.sqrt(2 * decorrelation)
    rows = np.array([[1.0, 0.0], [1.0, angle]], np.float32)
    found = statistics.preactivation_statistics(jnp.asarray(rows), (1,))
    np.testing.assert_allclose(found.decorrelation, decorrelation, rtol=0.02)


def test_the_effective_rank_of_gaussian_rows():
    """The expected rank of N rows in d dimensions is dN/(d+N+1): 31.75 for 64 × 64."""
    rows = [normals(seed, (64, 64)) for seed in range(20)]
    ranks = [statistics.preactivation_statistics(h, (1,)).effective_rank for h in rows]
    np.testing.assert_allclose(np.mean(ranks), 31.75, rtol=0.03)


def test_input_statistics_agree_with_numpy():
    x = np.tanh(RNG.normal(0, 2, (6, 3, 3, 5)))
    x[..., 2] = 0
    found = statistics.input_statistics(jnp.asarray(x, jnp.float32), (3,), (-1.0, 1.0))
    np.testing.assert_allclose(found.second, (x**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.zero_fraction, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.dead_fraction, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.saturated_fraction, (abs(x) > 0.95).mean(), rtol=1e-5)


def test_gradients_are_rescaled_to_one_example():
    gradient = RNG.normal(size=(8, 5)) / 8
    found = statistics.gradient_statistics(jnp.asarray(gradient, jnp.float32), 8)
    np.testing.assert_allclose(found.second, (64 * gradient**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.total, 8 * (gradient**2).sum(), rtol=1e-5)


def test_underflow_is_counted_in_half_precision_only():
    gradient = jnp.asarray([1e-5, 1e-6, 1e-3, 0.0], jnp.float16)
    half = statistics.gradient_statistics(gradient, 1)
    single = statistics.gradient_statistics(gradient.astype(jnp.float32), 1)
    assert (float(half.underflow_fraction), float(single.underflow_fraction)) == (0.75, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_are_reported(value):
    array = jnp.ones((3, 3)).at[1, 1].set(value)
    assert float(statistics.preactivation_statistics(array, (1,)).nonfinite) == 1
    assert float(statistics.weight_statistics(array, jnp.ones((3, 3)), None).nonfinite) == 1
    assert float(statistics.gradient_statistics(array, 3).nonfinite) == 1
