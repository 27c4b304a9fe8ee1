"""Steps, Mamba, LRU and RG-LRU: what the layer makes of the parameters follows the stated law.

False-alarm probability: 11 Kolmogorov-Smirnov tests at 1e-8 each; seeds fixed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jinit.initializers import linear_recurrence
from jinit.initializers.gated_linear import (
    log_step,
    mamba2_log_decay,
    mamba_log_decay,
    mamba_step_kernel,
    step_bias,
)
from jinit.initializers.linear_recurrence import (
    lru_log_decay,
    lru_log_gain,
    lru_log_phase,
    rg_lru_decay,
)

KEY, OTHER = jax.random.split(jax.random.key(14))
COUNT = 20_000
LEVEL = 1e-8


def drawn(initializer, key=KEY):
    return np.asarray(initializer(key, (COUNT,)), np.float64)


def double(initializer, key=KEY):
    with jax.enable_x64(True):
        return np.asarray(initializer(key, (COUNT,)))


def softplus(values):
    return np.logaddexp(0, values)


def is_uniform(sample, low, high) -> bool:
    law = scipy.stats.uniform(low, high - low)
    return scipy.stats.kstest(sample, law.cdf).pvalue > LEVEL


def test_steps_are_log_uniform():
    bounds = math.log(0.002), math.log(0.5)
    assert is_uniform(drawn(log_step(0.002, 0.5)), *bounds)
    step = softplus(drawn(step_bias(0.002, 0.5)))
    assert is_uniform(np.log(step), *bounds)
    assert 0.002 * (1 - 1e-5) < step.min() < step.max() < 0.5 * (1 + 1e-5)


def test_a_bias_is_the_inverse_softplus_of_the_step():
    """One key gives both the same step: exact in double precision down to tiny steps."""
    options = (1e-9, 30.0)
    step = np.exp(double(log_step(*options)))
    np.testing.assert_allclose(softplus(double(step_bias(*options, 0.0))), step, rtol=1e-13)
    single = softplus(drawn(step_bias(*options, 0.0)))
    np.testing.assert_allclose(single, np.exp(drawn(log_step(*options))), rtol=1e-5)


def test_the_floor_raises_the_smallest_steps_only():
    step = softplus(double(step_bias(1e-5, 0.1, floor=1e-3)))
    free = np.exp(double(log_step(1e-5, 0.1)))
    np.testing.assert_allclose(step, np.maximum(free, 1e-3), rtol=1e-13)
    assert 0.4 < (free < 1e-3).mean() < 0.6


def test_mamba_rates_count_up():
    with jax.enable_x64(True):
        rates = np.asarray(mamba_log_decay()(KEY, (5, 16)))
    expected = [[math.log(n) for n in range(1, 17)]] * 5
    np.testing.assert_allclose(rates, expected, rtol=1e-15)


def test_mamba_step_kernel_keeps_a_third_of_the_variance():
    kernel = np.asarray(mamba_step_kernel(2.0)(KEY, (16, 4000)), np.float64)
    assert is_uniform(kernel.ravel(), -0.5, 0.5)
    steps = np.ones(16) @ kernel
    assert abs(steps.var() - 4 / 3) < 6 * (4 / 3) * math.sqrt(2 / 4000)


def test_mamba2_rates_are_uniform_and_their_logarithm_has_the_stated_moments():
    assert is_uniform(np.exp(drawn(mamba2_log_decay(0.5, 8.0))), 0.5, 8.0)
    law = mamba2_log_decay(0.5, 8.0).marginal((3,))
    assert law is not None

    def expectation(of):
        return scipy.integrate.quad(lambda rate: of(math.log(rate)) / 7.5, 0.5, 8.0)[0]

    mean = expectation(lambda x: x)
    assert math.isclose(law.mean, mean, rel_tol=1e-12)
    assert math.isclose(law.std**2, expectation(lambda x: (x - mean) ** 2), rel_tol=1e-12)


def test_lru_eigenvalues_fill_the_ring_evenly():
    inner, outer = 0.4, 0.9
    modulus = np.exp(-np.exp(drawn(lru_log_decay(inner, outer))))
    phase = np.exp(drawn(lru_log_phase(1.5), OTHER))
    assert is_uniform(modulus**2, inner**2, outer**2)
    assert is_uniform(phase, 0, 1.5)


def test_lru_eigenvalues_fill_the_disk_evenly():
    """The real part of a point uniform on the unit disk follows Wigner's semicircle law."""
    modulus = np.exp(-np.exp(drawn(lru_log_decay())))
    phase = np.exp(drawn(lru_log_phase(), OTHER))
    law = scipy.stats.semicircular()
    assert scipy.stats.kstest(modulus * np.cos(phase), law.cdf).pvalue > LEVEL
    assert scipy.stats.kstest(modulus * np.sin(phase), law.cdf).pvalue > LEVEL


def test_rg_lru_decays_fill_their_ring_evenly():
    r = np.exp(-softplus(drawn(rg_lru_decay())))
    assert is_uniform(r**2, 0.9**2, 0.999**2)
    assert is_uniform(np.exp(-softplus(double(rg_lru_decay(0.0, 1.0)))) ** 2, 0, 1)


def test_both_recurrences_draw_the_same_ring():
    """One key gives both the same modulus, to double precision under x64."""
    decay = np.exp(double(lru_log_decay(0.2, 1.0)))
    np.testing.assert_allclose(softplus(double(rg_lru_decay(0.2, 1.0))), decay, rtol=1e-13)


@pytest.mark.parametrize("build", [lru_log_decay, rg_lru_decay])
def test_moduli_next_to_one_do_not_collapse(build):
    """Between 0.99999 and 1 lie 168 floats, but twenty thousand memories of up to 10⁷ steps."""
    assert len(np.unique(drawn(build(0.99999, 1.0)))) > 0.95 * COUNT


@pytest.mark.parametrize("radii", [(0.0, 1.0), (0.0, 0.72), (0.0, 1e-6), (0.999999, 1.0)])
@pytest.mark.parametrize("edge", ["low", "high"])
def test_the_rarest_draws_are_finite(monkeypatch, radii, edge):
    """The parameters at the smallest and at the largest share that can be drawn."""

    def extreme(key, shape, stream, low, high):
        value = low if edge == "low" else np.nextafter(stream.type(high), stream.type(0))
        return jnp.full(shape, value, stream)

    monkeypatch.setattr(linear_recurrence, "uniform", extreme)
    # Shapes that no other test draws, so that nothing compiled for the one meets the other.
    shape = (1, 1, 1, 1, 3 if edge == "low" else 5)
    for build in (lru_log_decay, rg_lru_decay):
        assert np.isfinite(build(*radii)(KEY, shape)).all()
    assert np.isfinite(lru_log_phase()(KEY, shape)).all()


def test_lru_gain_is_exact_where_the_modulus_is_near_one():
    """`log √(1 - |λ|²)` in extended precision, from memories of 10⁷ steps to none."""
    log_decay = np.linspace(-16, 3, 200, dtype=np.float32)
    exact = np.log(-np.expm1(-2 * np.exp(log_decay.astype(np.longdouble)))) / 2
    gain = np.asarray(lru_log_gain(log_decay))
    assert gain.dtype == np.float32
    np.testing.assert_allclose(gain, exact.astype(np.float64), rtol=1e-6, atol=1e-7)
    with jax.enable_x64(True):
        gain = np.asarray(lru_log_gain(log_decay.astype(np.float64)))
    np.testing.assert_allclose(gain, exact.astype(np.float64), rtol=1e-14, atol=1e-15)
    assert lru_log_gain(jnp.zeros(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_state_driven_with_the_gain_keeps_unit_variance():
    """The variance of `h' = λ h + γ x` with white x settles at `γ² / (1 - |λ|²)`."""
    log_decay = drawn(lru_log_decay(0.1, 0.99))[:50]
    modulus = np.exp(-np.exp(log_decay))
    gain = np.exp(np.asarray(lru_log_gain(log_decay.astype(np.float32)), np.float64))
    variance = np.zeros(50)
    for _ in range(3000):
        variance = modulus**2 * variance + gain**2
    np.testing.assert_allclose(variance, 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: log_step(0.1, 0.001), ValueError, r"expected minimum < maximum, got 0\.1 >= 0"),
        (lambda: log_step(0.0, 0.1), ValueError, "minimum: expected a number > 0, got 0"),
        (lambda: step_bias(floor=0.2), ValueError, r"floor: expected less than maximum=0\.1"),
        (lambda: step_bias(floor=-1.0), ValueError, "floor: expected a number >= 0"),
        (lambda: mamba2_log_decay(16, 1), ValueError, r"expected low < high, got 16\.0 >= 1\.0"),
        (lambda: mamba2_log_decay(0, 16), ValueError, "low: expected a number > 0"),
        (lambda: mamba_step_kernel(-1.0), ValueError, "scale: expected a number >= 0"),
        (lambda: mamba_step_kernel()(KEY, (8,)), ValueError, r"shape \(8,\): .* 1 axes"),
        (lambda: mamba_log_decay()(KEY, ()), ValueError, r"one or more axes, .* got shape \(\)"),
        (lambda: lru_log_decay(0.9, 1.1), ValueError, "r_max=1.1: they are radii, and a state ex"),
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
