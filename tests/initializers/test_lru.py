"""LRU and RG-LRU: the eigenvalues implied by the parameters are uniform on the ring.

False-alarm probability: 6 Kolmogorov-Smirnov tests at 1e-8 each; seeds are fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jinit.initializers import lru
from jinit.initializers.lru import lru_log_decay, lru_log_gain, lru_log_phase, rg_lru_decay

KEY, OTHER = jax.random.split(jax.random.key(14))
COUNT = 20_000
LEVEL = 1e-8  # false-alarm probability of each Kolmogorov-Smirnov test


def sample(initializer, key=KEY):
    """Draw COUNT float32 values, returned in double precision."""
    return np.asarray(initializer(key, (COUNT,)), np.float64)


def double_sample(initializer, key=KEY):
    """Draw COUNT values in double precision."""
    with jax.enable_x64(True):
        return np.asarray(initializer(key, (COUNT,)))


def softplus(values):
    return np.logaddexp(0, values)


def is_uniform(values, low, high) -> bool:
    distribution = scipy.stats.uniform(low, high - low)
    return scipy.stats.kstest(values, distribution.cdf).pvalue > LEVEL


def test_lru_eigenvalues_are_uniform_on_the_ring():
    inner, outer = 0.4, 0.9
    modulus = np.exp(-np.exp(sample(lru_log_decay(inner, outer))))
    phase = np.exp(sample(lru_log_phase(1.5), OTHER))
    assert is_uniform(modulus**2, inner**2, outer**2)
    assert is_uniform(phase, 0, 1.5)


def test_lru_eigenvalues_are_uniform_on_the_disk():
    """The real part of a point uniform on the unit disk has Wigner's semicircle distribution."""
    modulus = np.exp(-np.exp(sample(lru_log_decay())))
    phase = np.exp(sample(lru_log_phase(), OTHER))
    semicircle = scipy.stats.semicircular()
    assert scipy.stats.kstest(modulus * np.cos(phase), semicircle.cdf).pvalue > LEVEL
    assert scipy.stats.kstest(modulus * np.sin(phase), semicircle.cdf).pvalue > LEVEL


def test_rg_lru_decays_are_uniform_on_the_ring():
    r = np.exp(-softplus(sample(rg_lru_decay())))
    assert is_uniform(r**2, 0.9**2, 0.999**2)
    assert is_uniform(np.exp(-softplus(double_sample(rg_lru_decay(0.0, 1.0)))) ** 2, 0, 1)


def test_both_recurrences_draw_the_same_modulus():
    """With one key both have the same modulus, in double precision."""
    decay = np.exp(double_sample(lru_log_decay(0.2, 1.0)))
    np.testing.assert_allclose(softplus(double_sample(rg_lru_decay(0.2, 1.0))), decay, rtol=1e-13)


@pytest.mark.parametrize("build", [lru_log_decay, rg_lru_decay])
def test_moduli_near_one_are_distinct(build):
    """Between 0.99999 and 1 there are only 168 floats, but the parameters resolve more moduli."""
    assert len(np.unique(sample(build(0.99999, 1.0)))) > 0.95 * COUNT


@pytest.mark.parametrize("radii", [(0.0, 1.0), (0.0, 0.72), (0.0, 1e-6), (0.999999, 1.0)])
@pytest.mark.parametrize("edge", ["low", "high"])
def test_the_extreme_draws_are_finite(monkeypatch, radii, edge):
    """The parameters are finite at the smallest and at the largest uniform value."""

    def extreme(key, shape, dtype, low, high):
        value = low if edge == "low" else np.nextafter(dtype.type(high), dtype.type(0))
        return jnp.full(shape, value, dtype)

    monkeypatch.setattr(lru, "draw_uniform", extreme)
    # No other test draws these shapes, so no compiled function without the patch is reused.
    shape = (1, 1, 1, 1, 3 if edge == "low" else 5)
    for build in (lru_log_decay, rg_lru_decay):
        assert np.isfinite(build(*radii)(KEY, shape)).all()
    assert np.isfinite(lru_log_phase()(KEY, shape)).all()


def test_lru_gain_is_accurate_for_moduli_near_one():
    """The reference is `log √(1 - |λ|²)` in extended precision, for memories of up to 10⁷ steps."""
    log_decay = np.linspace(-16, 3, 200, dtype=np.float32)
    exact = np.log(-np.expm1(-2 * np.exp(log_decay.astype(np.longdouble)))) / 2
    gain = np.asarray(lru_log_gain(log_decay))
    assert gain.dtype == np.float32
    np.testing.assert_allclose(gain, exact.astype(np.float64), rtol=1e-6, atol=1e-7)
    with jax.enable_x64(True):
        gain = np.asarray(lru_log_gain(log_decay.astype(np.float64)))
    np.testing.assert_allclose(gain, exact.astype(np.float64), rtol=1e-14, atol=1e-15)
    assert lru_log_gain(jnp.zeros(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_gain_gives_the_state_unit_variance():
    """The variance of `h' = λ h + γ x` with white x converges to `γ² / (1 - |λ|²)`."""
    log_decay = sample(lru_log_decay(0.1, 0.99))[:50]
    modulus = np.exp(-np.exp(log_decay))
    gain = np.exp(np.asarray(lru_log_gain(log_decay.astype(np.float32)), np.float64))
    variance = np.zeros(50)
    for _ in range(3000):
        variance = modulus**2 * variance + gain**2
    np.testing.assert_allclose(variance, 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: lru_log_decay(0.9, 1.1), ValueError, "r_max=1.1: these are radii, and a state ex"),
        (lambda: lru_log_decay(0.9, 0.5), ValueError, "expected r_min < r_max, got 0.9 >= 0.5"),
        (lambda: rg_lru_decay(-0.1, 0.5), ValueError, "expected 0 <= r_min < r_max <= 1"),
        (lambda: lru_log_phase(0.0), ValueError, "max_phase: expected a number > 0"),
        (lambda: lru_log_gain(jnp.zeros(2, complex)), TypeError, "lru_log_gain .* complex64"),
        (lambda: lru_log_decay()(KEY, (2,), complex), TypeError, "real floating-point values"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
