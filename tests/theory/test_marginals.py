"""Laws of single weights, against SciPy's."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jinit.theory import frame_law, normal_law, truncated_normal_law, uniform_law

CASES = [
    (uniform_law(-0.5, 2.0), scipy.stats.uniform(-0.5, 2.5)),
    (normal_law(0.3, 1.7), scipy.stats.norm(0.3, 1.7)),
    (truncated_normal_law(0.4, -2, 2), scipy.stats.truncnorm(-2, 2, scale=0.4)),
    (truncated_normal_law(3.0, -0.5, 4), scipy.stats.truncnorm(-0.5, 4, scale=3.0)),
    (truncated_normal_law(0.5, -1, 3, shift=0.2), scipy.stats.truncnorm(-1, 3, 0.2, 0.5)),
    *[(frame_law(n, 1.0), scipy.stats.beta((n - 1) / 2, (n - 1) / 2, -1, 2)) for n in (2, 3, 64)],
    (frame_law(10, 2.5), scipy.stats.beta(4.5, 4.5, -2.5, 5)),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES)
def test_moments_and_density(ours, theirs):
    np.testing.assert_allclose((ours.mean, ours.std), (theirs.mean(), theirs.std()), atol=1e-12)
    assert (ours.low, ours.high) == pytest.approx(theirs.support())
    values = np.linspace(-3, 3, 101)
    inside = (values > ours.low) & (values < ours.high)
    np.testing.assert_allclose(ours.density(values)[inside], theirs.pdf(values)[inside], rtol=1e-9)
    beyond = values[(values < ours.low) | (values > ours.high)]
    assert (ours.density(beyond) == 0).all()


@pytest.mark.parametrize("dimension", [4, 64, 5000])
def test_a_frame_density_integrates_to_one(dimension):
    law = frame_law(dimension, 1.0)
    edge = min(1.0, 12 * law.std)
    total = scipy.integrate.quad(lambda x: float(law.density(np.array(x))), -edge, edge)[0]
    assert total == pytest.approx(1, abs=1e-9)
