"""Moments and densities of marginal distributions, against SciPy's."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jinit.initializers.marginals import (
    normal_marginal,
    sphere_marginal,
    truncated_normal_marginal,
    uniform_marginal,
)

pytestmark = pytest.mark.once

CASES = [
    (uniform_marginal(-0.5, 2.0), scipy.stats.uniform(-0.5, 2.5)),
    (normal_marginal(0.3, 1.7), scipy.stats.norm(0.3, 1.7)),
    (truncated_normal_marginal(0.4, -2, 2), scipy.stats.truncnorm(-2, 2, scale=0.4)),
    (truncated_normal_marginal(3.0, -0.5, 4), scipy.stats.truncnorm(-0.5, 4, scale=3.0)),
    (truncated_normal_marginal(0.5, -1, 3, shift=0.2), scipy.stats.truncnorm(-1, 3, 0.2, 0.5)),
    *[
        (sphere_marginal(n, 1.0), scipy.stats.beta((n - 1) / 2, (n - 1) / 2, -1, 2))
        for n in (2, 3, 64)
    ],
    (sphere_marginal(10, 2.5), scipy.stats.beta(4.5, 4.5, -2.5, 5)),
]


@pytest.mark.parametrize(("ours", "expected"), CASES)
def test_moments_and_density(ours, expected):
    np.testing.assert_allclose((ours.mean, ours.std), (expected.mean(), expected.std()), atol=1e-12)
    assert (ours.low, ours.high) == pytest.approx(expected.support())
    values = np.linspace(-3, 3, 101)
    inside = (values > ours.low) & (values < ours.high)
    np.testing.assert_allclose(
        ours.density(values)[inside], expected.pdf(values)[inside], rtol=1e-9
    )
    outside = values[(values < ours.low) | (values > ours.high)]
    assert (ours.density(outside) == 0).all()


@pytest.mark.parametrize("dimension", [4, 64, 5000])
def test_the_density_of_a_coordinate_on_the_sphere_integrates_to_one(dimension):
    coordinate = sphere_marginal(dimension, 1.0)
    edge = min(1.0, 12 * coordinate.std)
    total = scipy.integrate.quad(lambda x: float(coordinate.density(np.array(x))), -edge, edge)[0]
    assert total == pytest.approx(1, abs=1e-9)
