"""Normal and uniform entries with fixed bounds: JAX's values, and bounds that are never reached."""

import jax
import numpy as np
import pytest

import jinit

KEY = jax.random.key(11)


@pytest.mark.parametrize(("lower", "upper"), [(-2.0, 2.0), (0.0, 9.0), (3.0, 4.5), (6.0, 7.0)])
def test_truncated_normal_equals_jax_and_stays_inside_its_bounds(lower, upper):
    """Above 5.4 erf rounds to one in float32; values are then clamped to the open interval."""
    values = np.asarray(jinit.truncated_normal(1.0, lower=lower, upper=upper)(KEY, (5000,)))
    expected = jax.random.truncated_normal(KEY, lower, upper, (5000,))
    np.testing.assert_array_equal(values, expected)
    assert lower < values.min()
    assert values.max() < upper


def test_bounds_of_timm_trunc_normal_must_be_near_the_mean():
    text = r"minval=0\.2, maxval=1\.0, mean=0\.0, stddev=0\.02; the bounds are absolute values"
    with pytest.raises(ValueError, match=text):
        jinit.timm_trunc_normal(0.0, 0.02, 0.2, 1.0)
