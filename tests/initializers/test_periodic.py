"""Sinusoidal networks and random features: distributions, and the properties they imply."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import jinit

KEY = jax.random.key(1)
LEVEL = 1e-6  # false-alarm probability of each Kolmogorov-Smirnov test


def assert_uniform(values, low, high):
    result = scipy.stats.kstest(np.ravel(values), scipy.stats.uniform(low, high - low).cdf)
    assert result.pvalue > LEVEL


@pytest.mark.parametrize(("shape", "fan_in"), [((6, 4000), 6), ((3, 3, 4, 500), 36)])
def test_siren_is_uniform(shape, fan_in):
    bound = np.sqrt(6 / fan_in) / 25
    assert_uniform(jinit.siren(omega=25.0)(KEY, shape), -bound, bound)
    assert_uniform(jinit.siren_first()(KEY, shape), -1 / fan_in, 1 / fan_in)


def test_siren_reads_its_axes():
    kernel = jinit.siren_first(in_axis=1, out_axis=0)(KEY, (4000, 5))
    assert_uniform(kernel, -1 / 5, 1 / 5)


@pytest.mark.slow
def test_the_arguments_of_a_deep_siren_have_the_fixed_point_variance():
    """For normal arguments of variance v, E sin² = (1 - exp(-2v)) / 2, and the next variance is
    omega² n (2 / (n omega²)) times that. The fixed point of v = 1 - exp(-2v) is 0.797."""
    width, depth, omega = 2048, 6, 30.0
    fixed_point = scipy.optimize.brentq(lambda v: v - 1 + np.exp(-2 * v), 0.1, 1)
    keys = jax.random.split(KEY, depth + 2)
    x = jax.random.uniform(keys[-1], (512, 1), minval=-1)
    signal = jnp.sin(omega * x @ jinit.siren_first()(keys[-2], (1, width)))
    for layer in range(depth):
        argument = omega * signal @ jinit.siren(omega)(keys[layer], (width, width))
        signal = jnp.sin(argument)
    assert abs(argument.var() - fixed_point) < 0.03
    assert scipy.stats.kurtosis(np.ravel(argument)) < 0.1


def test_fourier_features_have_the_gaussian_kernel():
    bandwidth, features = 1.5, 200_000
    x, y = jnp.array([0.3, -0.2]), jnp.array([-0.6, 0.9])
    weight_key, phase_key = jax.random.split(KEY)
    weights = jinit.fourier_features(bandwidth)(weight_key, (2, features))
    phases = jinit.fourier_phases()(phase_key, (features,))
    kernel = 2 * jnp.mean(jnp.cos(x @ weights + phases) * jnp.cos(y @ weights + phases))
    expected = np.exp(-np.sum((x - y) ** 2) / (2 * bandwidth**2))
    assert abs(kernel - expected) < 6 / np.sqrt(features)  # six standard errors


def test_phases_are_uniform_on_the_circle():
    assert_uniform(jinit.fourier_phases()(KEY, (20_000,)), 0, 2 * np.pi)


@pytest.mark.parametrize("build", [jinit.siren, jinit.fourier_features])
def test_omega_and_bandwidth_must_be_positive(build):
    with pytest.raises(ValueError, match="expected a number > 0, got 0"):
        build(0)
