"""Distributions of the initializers: variance, shape, and the mean in low precision.

False-alarm probability: 12 exact chi-square intervals, 12 Kolmogorov–Smirnov tests and 2 mean
tests at 1e-7 each, and the four-standard-error bound of 6e-5: below 7e-5 together; seeds fixed.
"""

import jax
import numpy as np
import pytest
from scipy import stats

from jinit import initializers

ALARM = 1e-7
KEY = jax.random.key(99)
MATRIX, KERNEL = (300, 200), (3, 4, 50, 100)
MODES = {
    "fan_in": {MATRIX: 300, KERNEL: 600},
    "fan_out": {MATRIX: 200, KERNEL: 1200},
    "fan_avg": {MATRIX: 250, KERNEL: 900},
    "fan_geo_avg": {MATRIX: 60000**0.5, KERNEL: 720000**0.5},
}
# Standard deviation of a standard normal truncated to (-2, 2).
TRUNCATED_STD = 0.8796256610342398


@pytest.mark.parametrize("shape", [MATRIX, KERNEL])
@pytest.mark.parametrize("mode", MODES)
def test_the_variance_lies_in_its_exact_interval(mode, shape):
    """The sum of n squared normals over their variance is chi-square with n degrees of freedom."""
    draw = initializers.variance_scaling(1.7, mode, "normal")(KEY, shape)
    squares = (np.asarray(draw, np.float64) ** 2).sum() / (1.7 / MODES[mode][shape])
    low, high = stats.chi2(draw.size).interval(1 - ALARM)
    assert low < squares < high
    assert not low < squares * 1.1 < high


def differs(sample, distribution) -> bool:
    values = np.asarray(sample, np.float64).ravel()
    return stats.kstest(values, distribution.cdf).pvalue < ALARM


def truncated(std: float):
    return stats.truncnorm(-2, 2, scale=std / TRUNCATED_STD)


def uniform_within(bound: float):
    return stats.uniform(-bound, 2 * bound)


# The published formulas for a 300 x 200 kernel.
DISTRIBUTIONS = {
    "he_normal": truncated((2 / 300) ** 0.5),
    "he_uniform": uniform_within((6 / 300) ** 0.5),
    "xavier_normal": truncated((2 / 500) ** 0.5),
    "xavier_uniform": uniform_within((6 / 500) ** 0.5),
    "xavier_fan_in_normal": truncated((1 / 300) ** 0.5),
    "xavier_fan_in_uniform": uniform_within((3 / 300) ** 0.5),
    "lecun_normal": truncated((1 / 300) ** 0.5),
    "lecun_uniform": uniform_within((3 / 300) ** 0.5),
    "sigmoid_normal": truncated((4 / 300) ** 0.5),
    "sigmoid_uniform": uniform_within((12 / 300) ** 0.5),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_published_initializer_has_its_distribution(name):
    sample = np.asarray(getattr(initializers, name)()(KEY, MATRIX))
    assert not differs(sample, DISTRIBUTIONS[name])
    assert differs(sample * 1.05, DISTRIBUTIONS[name])


def test_random_normal_and_random_uniform_have_their_distributions():
    assert not differs(initializers.random_normal(1.0, 0.3)(KEY, MATRIX), stats.norm(1, 0.3))
    values = initializers.random_uniform(-0.2, 0.6)(KEY, MATRIX)
    assert not differs(values, stats.uniform(-0.2, 0.8))


def test_a_bfloat16_mean_is_within_four_standard_errors():
    """The mean of JAX's bfloat16 draw is off by 34 standard errors. False alarm: 6.3e-5."""
    shape = (2048, 2048)
    values = np.asarray(initializers.lecun_normal()(KEY, shape, "bfloat16"), np.float32)
    standard_error = (1 / 2048) ** 0.5 / 2048
    assert abs(values.mean(dtype=np.float64)) < 4 * standard_error
    assert len(np.unique(values)) > 3000


def test_an_orthogonal_kernel_has_orthonormal_rows():
    kernel = np.asarray(initializers.orthogonal(1.5)(KEY, (3, 3, 6, 64)), np.float64)
    rows = kernel.reshape(-1, 64)
    np.testing.assert_allclose(rows @ rows.T, 1.5**2 * np.eye(54), atol=1e-5)


def test_a_delta_orthogonal_kernel_is_zero_except_for_one_orthogonal_tap():
    kernel = np.asarray(initializers.delta_orthogonal(1.5)(KEY, (3, 3, 6, 64)), np.float64)
    rows = kernel[1, 1].copy()
    np.testing.assert_allclose(rows @ rows.T, 1.5**2 * np.eye(6), atol=1e-5)
    kernel[1, 1] = 0
    assert not kernel.any()


@pytest.mark.parametrize("shape", [(3, 4, 8), (4, 4, 8), (2, 3, 4, 8), (1, 2, 3, 4, 8)])
def test_the_non_zero_tap_is_the_one_that_same_padding_aligns(shape):
    """A convolution with circular padding keeps the norm of any input."""
    kernel = np.asarray(initializers.delta_orthogonal()(KEY, shape), np.float64)
    taps = np.argwhere(abs(kernel).sum((-2, -1)))
    assert taps.tolist() == [[(size - 1) // 2 for size in shape[:-2]]]
    matrix = kernel[tuple(taps[0])]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(4), atol=1e-5)
