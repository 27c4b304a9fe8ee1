"""Normal and uniform entries with fixed bounds: JAX's values, and bounds that are never reached."""

import jax
import numpy as np
import pytest
import scipy.stats

import jinit
from jinit.sampling import draw_truncated_normal

KEY = jax.random.key(11)


@pytest.mark.parametrize(("lower", "upper"), [(-2.0, 2.0), (0.0, 9.0), (3.0, 4.5), (-5.0, -4.0)])
def test_truncated_normal_equals_jax_and_stays_inside_its_bounds(lower, upper):
    values = np.asarray(jinit.truncated_normal(1.0, lower=lower, upper=upper)(KEY, (5000,)))
    expected = jax.random.truncated_normal(KEY, lower, upper, (5000,))
    np.testing.assert_array_equal(values, expected)
    assert lower < values.min()
    assert values.max() < upper


def test_where_erf_rounds_to_one_the_draw_stays_inside_its_bounds():
    values = np.asarray(draw_truncated_normal(KEY, 6.0, 7.0, (5000,)))
    np.testing.assert_array_equal(values, jax.random.truncated_normal(KEY, 6.0, 7.0, (5000,)))
    assert values.min() > 6
    assert values.max() < 7


@pytest.mark.parametrize("bounds", [(6, 7), (-8, -5), (4.9, 5.4), (4, 8), (3, 40), (2, 1e4)])
def test_a_truncated_normal_that_jax_draws_wrongly_is_refused(bounds):
    """JAX's values have another standard deviation there: by 6 % for (4, 8), 4 times for (5, 8)."""
    lower, upper = bounds
    with pytest.raises(ValueError, match="does not have the distribution between"):
        jinit.truncated_normal(1.0, lower=lower, upper=upper)(KEY, (3,))


def test_bounds_that_are_too_far_even_in_double_precision_are_refused_when_built():
    with pytest.raises(ValueError, match="JAX's draw in float64"):
        jinit.truncated_normal(1.0, lower=9, upper=10)
    with jax.enable_x64(True):
        values = jinit.truncated_normal(1.0, lower=6, upper=7)(KEY, (9999,), np.float64)
    expected = scipy.stats.truncnorm(6, 7)
    assert scipy.stats.kstest(np.asarray(values), expected.cdf).pvalue > 1e-8


@pytest.mark.parametrize("bounds", [(5, 8), (-5.1, -5), (3.5, 1e30), (0.5, 2)])
def test_tails_of_timm_trunc_normal(bounds):
    init = jinit.timm_trunc_normal(0.0, 1.0, *bounds)
    values = np.asarray(init(KEY, (30_000,)), np.float64)
    low, high = np.clip(bounds, -40, 40)
    expected = scipy.stats.truncnorm(low, high)
    assert scipy.stats.kstest(values, expected.cdf).pvalue > 1e-8
    assert init.marginal((3,)).std == pytest.approx(expected.std(), rel=1e-6)
    assert bounds[0] <= values.min()
    assert values.max() <= bounds[1]


@pytest.mark.parametrize(
    ("build", "dtype"),
    [
        (lambda: jinit.normal(1e39), "float32"),
        (lambda: jinit.normal(1e38), "float32"),  # 5.4 standard deviations are drawn
        (lambda: jinit.random_uniform(-3e38, 3e38), "float32"),
        (lambda: jinit.random_uniform(-1e5, 1e5), "float16"),
        (lambda: jinit.random_normal(3.4e38, 1e38), "float32"),
        (lambda: jinit.truncated_normal(4e4), "float16"),
        (lambda: jinit.variance_scaling(1e80, "fan_in", "normal"), "float32"),
        (lambda: jinit.orthogonal(1e39), "float32"),
        (lambda: jinit.scaled(jinit.normal(1.0), 1e39), "float32"),
        (lambda: jinit.constant(1e3), "float8_e4m3fn"),
        (lambda: jinit.constant([1.0, 1e39]), "float32"),
        (lambda: jinit.normal(100.0), "float8_e4m3fn"),
        (lambda: jinit.orthogonal(1e5), "float16"),
        (lambda: jinit.scaled_uniform_orthogonal(1e5), "float16"),
        (lambda: jinit.unit_rows(1e5), "float16"),
        (lambda: jinit.identity(1e5), "float16"),
        (lambda: jinit.forget_gate_bias(1e5, gates="if"), "float16"),
        (lambda: jinit.scaled(jinit.ones, 1e5), "float16"),
        (lambda: jinit.scaled(jinit.scaled(jinit.normal(1.0), 1e20), 1e20), "float32"),
        (lambda: jinit.cast(jinit.normal(1e5)), "float16"),
        (lambda: jinit.masked(jinit.orthogonal(1e5), [1, 0]), "float16"),
        (lambda: jinit.blockwise(jinit.identity(1e5), 2), "float16"),
    ],
)
def test_values_that_overflow_are_refused(build, dtype):
    with pytest.raises(ValueError, match=rf"values up to .* overflow {dtype}"):
        build()(KEY, (2, 2), dtype)


@pytest.mark.parametrize(
    ("initializer", "dtype"),
    [
        (jinit.truncated_normal(1e38), "float32"),
        (jinit.truncated_normal(2e4), "float16"),
        (jinit.timm_trunc_normal(0.0, 1e38, -2e38, 2e38), "float32"),
        (jinit.truncated(jinit.normal(1e5), -1e4, 1e4), "float16"),
    ],
)
def test_bounds_that_exclude_an_overflow_are_drawn(initializer, dtype):
    values = np.asarray(initializer(KEY, (64,), dtype), np.float64)
    assert np.isfinite(values).all()
    assert values.std() > 1e3


@pytest.mark.parametrize("bounds", [(-1e4, 1e4), (-1e4, -1.0), (-1e3, 5.0)])
def test_a_bound_that_would_be_drawn_as_an_outlier_is_refused(bounds):
    lower, upper = bounds
    with pytest.raises(ValueError, match="does not have the distribution between"):
        jinit.truncated_normal(1.0, lower=lower, upper=upper)(KEY, (2,))
    assert jinit.truncated_normal(1.0, lower=-100.0, upper=1e9)(KEY, (2,)).shape == (2,)


def test_infinite_constants_are_drawn():
    assert np.isinf(jinit.constant(-np.inf)(KEY, (2,))).all()


@pytest.mark.parametrize("initializer", [jinit.normal(), jinit.zeros, jinit.orthogonal()])
def test_a_dtype_without_a_sign_is_refused(initializer):
    with pytest.raises(TypeError, match="float8_e8m0fnu has neither a sign nor zero"):
        initializer(KEY, (2, 2), "float8_e8m0fnu")


def test_bounds_of_timm_trunc_normal_must_be_near_the_mean():
    text = r"minval=0\.2, maxval=1\.0, mean=0\.0, stddev=0\.02; the bounds are absolute values"
    with pytest.raises(ValueError, match=text):
        jinit.timm_trunc_normal(0.0, 0.02, 0.2, 1.0)
