"""The distributions of the draws, against scipy.stats.

False-alarm probability: 10 Kolmogorov–Smirnov tests and 4 moment tests at 1e-7 each, 1.4e-6
together; the seed is fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jinit.sampling import (
    draw_complex_disk,
    draw_complex_truncated_normal,
    draw_normal,
    draw_truncated_normal,
    draw_uniform,
)

ALARM = 1e-7
COUNT = (100_000,)
KEY = 1618


def differs(sample, distribution) -> bool:
    return stats.kstest(np.asarray(sample, np.float64), distribution.cdf).pvalue < ALARM


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda key: draw_uniform(key, COUNT), stats.uniform(0, 1)),
        (lambda key: draw_uniform(key, COUNT, float, -3.0, 1.0, scale=0.5), stats.uniform(-1.5, 2)),
        (lambda key: draw_normal(key, COUNT), stats.norm(0, 1)),
        (lambda key: draw_normal(key, COUNT, scale=0.02, mean=1.0), stats.norm(1, 0.02)),
        (lambda key: draw_truncated_normal(key, -2.0, 2.0, COUNT), stats.truncnorm(-2, 2)),
        (
            lambda key: draw_truncated_normal(key, 0.5, 3.0, COUNT, scale=2.0),
            stats.truncnorm(0.5, 3, scale=2),
        ),
    ],
)
def test_a_real_draw_has_its_distribution(draw, distribution):
    sample = draw(jax.random.key(KEY))
    assert not differs(sample, distribution)
    assert differs(np.asarray(sample) * 1.05, distribution)


def test_the_disk_is_uniform():
    """The radius is √2: the squared modulus is uniform on [0, 2), the phase uniform."""
    sample = np.asarray(draw_complex_disk(jax.random.key(KEY), COUNT, jnp.complex64))
    assert not differs(abs(sample) ** 2, stats.uniform(0, 2))
    assert not differs(np.angle(sample), stats.uniform(-np.pi, 2 * np.pi))


def test_the_truncated_complex_normal_has_its_distribution():
    """The squared modulus is exponential, conditioned on being below 4."""
    sample = np.asarray(
        draw_complex_truncated_normal(jax.random.key(KEY), 2.0, COUNT, jnp.complex64)
    )
    assert not differs(abs(sample) ** 2, stats.truncexpon(4))
    assert not differs(np.angle(sample), stats.uniform(-np.pi, 2 * np.pi))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_low_precision_keeps_the_mean(dtype):
    """JAX's own bfloat16 normal misses by 34 standard errors at 2048²: it has 128 values."""
    sample = np.asarray(draw_normal(jax.random.key(KEY), (1024, 1024), dtype), np.float64)
    assert abs(sample.mean()) * 1024 < stats.norm.isf(ALARM / 2)
    assert len(np.unique(sample)) > 3000
