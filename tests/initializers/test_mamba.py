"""Step sizes and Mamba: the rates implied by the parameters have the stated distribution.

False-alarm probability: 4 Kolmogorov-Smirnov tests at 1e-8 each; seeds are fixed.
"""

import math

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jinit.initializers.mamba import (
    log_step,
    mamba2_log_decay,
    mamba_log_decay,
    mamba_step_kernel,
    step_bias,
)

KEY = jax.random.key(14)
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


def test_steps_are_log_uniform():
    bounds = math.log(0.002), math.log(0.5)
    assert is_uniform(sample(log_step(0.002, 0.5)), *bounds)
    step = softplus(sample(step_bias(0.002, 0.5)))
    assert is_uniform(np.log(step), *bounds)
    assert 0.002 * (1 - 1e-5) < step.min() < step.max() < 0.5 * (1 + 1e-5)


def test_a_bias_is_the_inverse_softplus_of_the_step():
    """With one key both have the same step, in double precision also for tiny steps."""
    options = (1e-9, 30.0)
    step = np.exp(double_sample(log_step(*options)))
    np.testing.assert_allclose(softplus(double_sample(step_bias(*options, 0.0))), step, rtol=1e-13)
    single = softplus(sample(step_bias(*options, 0.0)))
    np.testing.assert_allclose(single, np.exp(sample(log_step(*options))), rtol=1e-5)


def test_the_floor_raises_only_smaller_steps():
    step = softplus(double_sample(step_bias(1e-5, 0.1, floor=1e-3)))
    unbounded = np.exp(double_sample(log_step(1e-5, 0.1)))
    np.testing.assert_allclose(step, np.maximum(unbounded, 1e-3), rtol=1e-13)
    assert 0.4 < (unbounded < 1e-3).mean() < 0.6


def test_mamba_rates_are_the_integers():
    with jax.enable_x64(True):
        rates = np.asarray(mamba_log_decay()(KEY, (5, 16)))
    expected = [[math.log(n) for n in range(1, 17)]] * 5
    np.testing.assert_allclose(rates, expected, rtol=1e-15)


def test_mamba_step_kernel_has_a_third_of_the_variance():
    kernel = np.asarray(mamba_step_kernel(2.0)(KEY, (16, 4000)), np.float64)
    assert is_uniform(kernel.ravel(), -0.5, 0.5)
    steps = np.ones(16) @ kernel
    assert abs(steps.var() - 4 / 3) < 6 * (4 / 3) * math.sqrt(2 / 4000)


def test_mamba2_rates_are_uniform_and_their_logarithm_has_the_stated_moments():
    assert is_uniform(np.exp(sample(mamba2_log_decay(0.5, 8.0))), 0.5, 8.0)
    marginal = mamba2_log_decay(0.5, 8.0).marginal((3,))
    assert marginal is not None

    def expectation(function):
        return scipy.integrate.quad(lambda rate: function(math.log(rate)) / 7.5, 0.5, 8.0)[0]

    mean = expectation(lambda x: x)
    assert math.isclose(marginal.mean, mean, rel_tol=1e-12)
    assert math.isclose(marginal.std**2, expectation(lambda x: (x - mean) ** 2), rel_tol=1e-12)


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
        (lambda: mamba_step_kernel()(KEY, (8,)), ValueError, r"shape \(8,\): .* 1 axis"),
        (lambda: mamba_log_decay()(KEY, ()), ValueError, r"one or more axes, .* got shape \(\)"),
    ],
)
def test_bad_options_and_shapes(build, error, text):
    with pytest.raises(error, match=text):
        build()
