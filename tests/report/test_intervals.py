"""Intervals against those of scipy, and degenerate cases."""

import math

import numpy as np
import pytest
from scipy import stats

from jinit.report.sweep.intervals import mean_interval
from jinit.report.sweep.paired import paired_interval

SAMPLES = [
    np.random.default_rng(seed).normal(0.9, 0.02, size) for seed, size in enumerate((2, 3, 8, 30))
]


@pytest.mark.parametrize("sample", SAMPLES, ids=len)
@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_mean_interval_equals_that_of_scipy(sample, confidence):
    interval = mean_interval(sample, confidence)
    error = stats.sem(sample)
    expected = stats.t.interval(confidence, len(sample) - 1, loc=sample.mean(), scale=error)
    np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-12)
    assert (interval.mean, interval.count) == (pytest.approx(sample.mean()), len(sample))


@pytest.mark.parametrize("sample", SAMPLES, ids=len)
def test_paired_interval_equals_that_of_scipy(sample):
    other = sample[::-1] - 0.01
    interval = paired_interval(dict(enumerate(sample)), dict(enumerate(other)))
    expected = stats.ttest_rel(sample, other).confidence_interval(0.95)
    assert interval is not None
    np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-9, atol=1e-15)


def test_pairing_uses_common_seeds_only():
    first, second = {0: 1.0, 1: 2.0, 5: 100.0}, {1: 1.5, 0: 0.5, 7: -100.0}
    interval = paired_interval(first, second)
    assert interval is not None
    assert (interval.mean, interval.count) == (0.5, 2)
    assert interval.half_width == math.inf  # two equal differences leave it open


@pytest.mark.parametrize("second", [{}, {0: 1.0}, {7: 1.0, 8: 1.0}])
def test_below_two_common_seeds_there_is_no_interval(second):
    assert paired_interval({0: 1.0, 1: 2.0}, second) is None


def test_equal_values_have_an_interval_of_width_zero():
    interval = mean_interval([0.1] * 7)
    assert (interval.low, interval.mean, interval.high) == (0.1, 0.1, 0.1)


def test_a_difference_by_rounding_counts_as_zero():
    first = dict.fromkeys(range(8), 0.1 + 0.2)
    second = dict.fromkeys(range(8), 0.3)
    assert first[0] > second[0]
    interval = paired_interval(first, second)
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_the_rounding_of_counts_widens_an_interval():
    """Three equal differences of one example in 100 are not decisive, ten examples are."""
    zeros = dict.fromkeys(range(3), 0.0)
    for difference, is_decided in ((0.01, False), (0.1, True)):
        first = dict.fromkeys(range(3), difference)
        interval = paired_interval(first, zeros, resolution=0.01)
        assert interval is not None
        assert (interval.low > 0) is is_decided
        error = math.sqrt(0.01**2 / 6 / 3)
        assert interval.half_width == pytest.approx(stats.t.ppf(0.975, 2) * error)


def test_one_value_leaves_the_interval_open():
    interval = mean_interval([0.5])
    assert (interval.low, interval.high, interval.half_width) == (-math.inf, math.inf, math.inf)


def test_no_value_is_an_error():
    with pytest.raises(ValueError, match="no values were given; a mean needs at least one seed"):
        mean_interval([])
