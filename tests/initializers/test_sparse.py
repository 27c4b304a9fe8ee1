"""Sparse kernels: exact counts, uniform positions, and the distribution of nonzero weights."""

import jax
import numpy as np
import pytest
import scipy.stats

import jinit

KEY = jax.random.key(4)
LEVEL = 1e-6  # false-alarm probability of each test


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.85, 1.0])
@pytest.mark.parametrize("shape", [(20, 7), (3, 3, 4, 5)])
def test_every_unit_has_the_stated_number_of_zeros(sparsity, shape):
    kernel = np.asarray(jinit.sparse(sparsity)(KEY, shape)).reshape(-1, shape[-1])
    zeros = (kernel == 0).sum(axis=0)
    assert (zeros == np.ceil(sparsity * len(kernel))).all()


def test_every_input_is_equally_likely_to_be_zero():
    kernel = np.asarray(jinit.sparse(0.5)(KEY, (10, 20_000)))
    counts = (kernel == 0).sum(axis=1)
    # Exactly half of ten are zero, so the counts are hypergeometric: variance 1/4, correlated.
    statistic = ((counts - 10_000) ** 2).sum() / (20_000 * 0.25 * 10 / 9)
    assert scipy.stats.chi2(9).sf(statistic) > LEVEL


def test_nonzero_weights_are_normal():
    kernel = np.asarray(jinit.sparse(0.9, stddev=0.5)(KEY, (100, 2000)), np.float64)
    nonzero = kernel[kernel != 0]
    assert scipy.stats.kstest(nonzero, scipy.stats.norm(scale=0.5).cdf).pvalue > LEVEL


@pytest.mark.parametrize("sparsity", [-0.1, 1.5])
def test_bad_options(sparsity):
    with pytest.raises(ValueError, match="a fraction from 0 to 1"):
        jinit.sparse(sparsity)
