"""Sparse starts: exact counts, uniform places, and the law of what is left."""

import jax
import numpy as np
import pytest
import scipy.stats

import jinit

KEY = jax.random.key(4)
LEVEL = 1e-6  # false-alarm probability of each test


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.85, 1.0])
@pytest.mark.parametrize("shape", [(20, 7), (3, 3, 4, 5)])
def test_the_zeros_into_every_unit_are_counted(sparsity, shape):
    kernel = np.asarray(jinit.sparse(sparsity)(KEY, shape)).reshape(-1, shape[-1])
    zeros = (kernel == 0).sum(axis=0)
    assert (zeros == np.ceil(sparsity * len(kernel))).all()


def test_every_place_is_equally_likely():
    kernel = np.asarray(jinit.sparse(0.5)(KEY, (10, 20_000)))
    counts = (kernel == 0).sum(axis=1)
    # Exactly half of ten are zero, so counts vary as hypergeometric draws: 1/4 each, correlated.
    statistic = ((counts - 10_000) ** 2).sum() / (20_000 * 0.25 * 10 / 9)
    assert scipy.stats.chi2(9).sf(statistic) > LEVEL


def test_what_is_left_is_normal():
    kernel = np.asarray(jinit.sparse(0.9, stddev=0.5)(KEY, (100, 2000)), np.float64)
    left = kernel[kernel != 0]
    assert scipy.stats.kstest(left, scipy.stats.norm(scale=0.5).cdf).pvalue > LEVEL


@pytest.mark.parametrize("sparsity", [-0.1, 1.5])
def test_bad_options(sparsity):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        jinit.sparse(sparsity)
