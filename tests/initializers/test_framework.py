"""Defaults of other frameworks: their documented bounds and variances.

False-alarm probability of a distribution test: below 1e-7.
"""

import math

import jax
import numpy as np
import pytest
import scipy.stats

import jinit

KEY = jax.random.key(11)


def test_torch_kernels_and_biases_have_the_documented_bounds():
    """PyTorch: kaiming_uniform_(a=√5) has the gain √(2/(1 + 5)), its bound gain √(3/fan_in)."""
    kernel = np.asarray(jinit.torch_default()(KEY, (3, 3, 25, 64)))
    bound = math.sqrt(2 / 6) * math.sqrt(3 / 225)
    assert abs(kernel).max() <= bound * (1 + 1e-6)
    assert scipy.stats.kstest(kernel.ravel(), scipy.stats.uniform(-bound, 2 * bound).cdf)[1] > 1e-8
    bias = np.asarray(jinit.torch_default_bias(225)(KEY, (20_000,)))
    assert scipy.stats.kstest(bias, scipy.stats.uniform(-bound, 2 * bound).cdf)[1] > 1e-8


def test_haiku_does_not_rescale_after_the_truncation():
    values = np.asarray(jinit.haiku_default()(KEY, (100, 300))).ravel()
    expected = scipy.stats.truncnorm(-2, 2, scale=0.1)
    assert scipy.stats.kstest(values, expected.cdf).pvalue > 1e-8
    stated = jinit.haiku_default().marginal((100, 300))
    assert stated.std == pytest.approx(expected.std(), rel=1e-12)


@pytest.mark.parametrize(
    "options", [(0, 1, -2, 2), (0.3, 0.5, -0.4, 0.6), (0, 0.02, -2, 2), (1, 2, 0, math.inf)]
)
def test_timm_bounds_are_values(options):
    mean, std, low, high = options
    high = min(high, 1e6)
    init = jinit.timm_trunc_normal(mean, std, low, high)
    expected = scipy.stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)
    values = np.asarray(init(KEY, (30_000,)), np.float64)
    assert scipy.stats.kstest(values, expected.cdf).pvalue > 1e-8
    stated = init.marginal((30_000,))
    assert (stated.mean, stated.std) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)


def test_bounds_far_away_do_not_cause_outliers():
    """The quantile of the smallest uniform number would be the bound, at 100 deviations."""
    init = jinit.timm_trunc_normal(0.0, 0.02)
    assert float(abs(init(KEY, (4000, 4000))).max()) < 0.02 * 5.3


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda: jinit.torch_default_bias(0), ValueError, "fan_in: expected at least 1, got 0"),
        (lambda: jinit.torch_default_bias(2.5), TypeError, "fan_in: expected an integer, got 2.5"),
        (lambda: jinit.timm_trunc_normal(0, 0), ValueError, "stddev: expected a number > 0"),
        (lambda: jinit.timm_trunc_normal(0, 1, 2, 1), ValueError, "expected minval < maxval"),
        (
            lambda: jinit.timm_trunc_normal(0, 0.02, 2, 3),
            ValueError,
            "bounds within five standard deviations of the mean, .* not multiples of stddev",
        ),
    ],
)
def test_wrong_options_are_named(build, error, text):
    with pytest.raises(error, match=text):
        build()
