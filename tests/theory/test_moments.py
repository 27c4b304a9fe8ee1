"""Moments of activations: published figures, closed forms, split quadrature, Monte Carlo."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jinit.theory import gain, moments, normal_mean

# Adaptive quadrature in float64, split at the kinks: E[φ], E[φ²], gain, E[φ'²], χ₁ at q = 1.
KNOWN = {
    "relu": (jax.nn.relu, 0.3989422804, 0.5, 1.4142135624, 0.5, 1),
    "leaky_relu": (jax.nn.leaky_relu, 0.3949528576, 0.50005, 1.4141428570, 0.50005, 1),
    "tanh": (jnp.tanh, 0, 0.3942944904, 1.5925374197, 0.4644029024, 1.1778072323),
    "erf": (jax.scipy.special.erf, 0, 0.4645590544, 1.4671669505, 0.5694100347, 1.2257000038),
    "sigmoid": (jax.nn.sigmoid, 0.5, 0.2933790359, 1.8462285453, 0.0448362414, 0.1528270117),
    "softplus": (
        jax.nn.softplus,
        0.8060591833,
        0.9212459089,
        1.0418668355,
        0.2933790359,
        0.3184589837,
    ),
    "elu": (jax.nn.elu, 0.1605205723, 0.6449454175, 1.2451983007, 0.6681020012, 1.0359047186),
    "gelu": (
        lambda x: jax.nn.gelu(x, approximate=False),
        0.2820947918,
        0.4252214826,
        1.5335304412,
        0.4558508656,
        1.0720315984,
    ),
    "gelu_tanh": (
        jax.nn.gelu,
        0.2820385881,
        0.4251937110,
        1.5335805217,
        0.4558178460,
        1.0720239602,
    ),
    "silu": (jax.nn.silu, 0.2066209641, 0.3557755198, 1.6765324703, 0.3794823516, 1.0666342412),
    "selu": (jax.nn.selu, 0, 1, 1, 1.0715749925, 1.0715749925),
}


@pytest.mark.parametrize("name", KNOWN)
def test_published_figures_are_reproduced(name):
    phi, *expected = KNOWN[name]
    found = moments(phi)
    figures = (found.mean, found.second, found.gain, found.slope2, found.chi)
    np.testing.assert_allclose(figures, expected, atol=6e-11)
    assert gain(phi) == found.gain
    assert found.gamma == pytest.approx(1 / math.sqrt(found.second - found.mean**2), rel=1e-9)


@pytest.mark.parametrize("q", [0.01, 0.7, 9.0])
def test_other_variances_against_closed_forms(q):
    """relu is homogeneous; E[sin²] = (1 - exp(-2q))/2; E[erf²] = (2/π) asin(2q/(1 + 2q))."""
    relu, sin, erf = (moments(phi, q) for phi in (jax.nn.relu, jnp.sin, jax.scipy.special.erf))
    assert relu.second == pytest.approx(q / 2, rel=1e-10)
    assert relu.gain == pytest.approx(math.sqrt(2), rel=1e-10)
    assert sin.second == pytest.approx((1 - math.exp(-2 * q)) / 2, rel=1e-10)
    assert sin.slope2 == pytest.approx((1 + math.exp(-2 * q)) / 2, rel=1e-10)
    assert erf.second == pytest.approx(2 / math.pi * math.asin(2 * q / (1 + 2 * q)), rel=1e-10)


@pytest.mark.parametrize(
    ("phi", "kinks"),
    [
        (jax.nn.relu6, (0, 6)),
        (jax.nn.hard_tanh, (-1, 1)),
        (jax.nn.hard_silu, (-3, 3)),
        (jnp.sign, (0,)),
        (lambda x: jnp.floor(3 * x), tuple(np.arange(-36, 37) / 3)),
    ],
)
def test_kinks_and_jumps_are_found(phi, kinks):
    """The oracle knows where to split the integral; jinit does not."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    total = np.zeros(2)
    for low, high in itertools.pairwise((-12, *kinks, 12)):
        z = (high + low) / 2 + (high - low) / 2 * nodes
        with jax.enable_x64(True):
            value = np.asarray(phi(jnp.asarray(z)))
        measure = weights * (high - low) / 2 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        total += [(value * measure).sum(), (value**2 * measure).sum()]
    found = moments(phi)
    np.testing.assert_allclose((found.mean, found.second), total, atol=1e-8)


def closed_moments(place, q):
    """Return E[φ], E[φ²] and E[φ'²] of max(x - a, 0) and of a step at a."""
    d = place / math.sqrt(q)
    density, above = stats.norm.pdf(d), stats.norm.sf(d)
    kink = math.sqrt(q) * (density - d * above), q * ((1 + d * d) * above - d * density), above
    return kink, (above, above, 0.0)


# The third lies between the end of an interval and its outermost node, as one in 200 does.
PLACES = [(0.995, 1.0), (-0.998, 1.0), (2.005, 1.0), (3.996, 1.0), (1.0, 16.036066952937386)]
RANDOM = np.random.default_rng(0).uniform([-3, -2], [3, 4], (40, 2))


@pytest.mark.few(8)
@pytest.mark.parametrize(
    ("place", "q"),
    [
        *PLACES,
        *(
            pytest.param(z * 10 ** (q / 2), 10**q, marks=[pytest.mark.slow] * (number >= 15))
            for number, (z, q) in enumerate(RANDOM)
        ),
    ],
)
def test_one_kink_or_jump_anywhere(place, q):
    def kink(x):
        return jnp.maximum(x - place, 0)

    def step(x):
        return jnp.where(x > place, 1.0, 0.0)

    for phi, expected in zip((kink, step), closed_moments(place, q), strict=True):
        found = moments(phi, q)
        np.testing.assert_allclose((found.mean, found.second, found.slope2), expected, rtol=1e-9)


@pytest.mark.parametrize("q", [0.7, 3.3, 16.036066952937386, 100.0])
def test_a_clipped_activation_at_odd_variances(q):
    inside = 2 * stats.norm.cdf(1 / math.sqrt(q)) - 1
    assert moments(jax.nn.hard_tanh, q).slope2 == pytest.approx(inside, rel=1e-9)


@pytest.mark.few(1)
@pytest.mark.parametrize("q", [1e-4, 1e-8, 1e-12])
def test_differences_of_nearly_equal_numbers(q):
    """As exact as the activation itself: E[(1 - cos x)²] = 3 q²/4 - 5 q³/8 for small q."""
    sigmoid = moments(lambda x: jax.nn.sigmoid(x) - 0.5, q)
    np.testing.assert_allclose(sigmoid.second, q / 16 * (1 - q / 2), rtol=1e-7)
    cosine = moments(lambda x: 1 - jnp.cos(x), q)
    np.testing.assert_allclose(cosine.second, 0.75 * q**2 * (1 - 5 / 6 * q), rtol=1e-5)
    np.testing.assert_allclose(moments(jax.nn.softplus, q).std, math.sqrt(q) / 2, rtol=1e-5)


def test_a_constant_has_no_gamma():
    with pytest.raises(ValueError, match="gamma: this activation is constant"):
        assert moments(lambda x: 0 * x + 1).gamma


def test_second_moments_of_gated_units_multiply():
    silu, swiglu = moments(jax.nn.silu), moments(lambda a, b: a * jax.nn.silu(b))
    assert swiglu.mean == pytest.approx(0, abs=1e-11)
    assert swiglu.second == pytest.approx(silu.second, rel=1e-10)
    assert swiglu.slope2 == pytest.approx((silu.second + silu.slope2) / 2, rel=1e-10)
    glu, sigmoid = moments(jax.nn.glu), moments(jax.nn.sigmoid)
    assert glu.second == pytest.approx(sigmoid.second, rel=1e-10)


@pytest.mark.slow
def test_the_maximum_of_two_numbers():
    largest = moments(jnp.maximum)
    figures = (largest.mean, largest.second, largest.slope2)
    np.testing.assert_allclose(figures, (1 / math.sqrt(math.pi), 1, 0.5), atol=1e-5)


def test_moments_against_monte_carlo():
    """5.8 standard errors: the false-alarm probability is 1e-8."""
    z = np.random.default_rng(5).normal(size=400_000) * 1.5
    samples = np.asarray(jax.nn.mish(jnp.asarray(z)), np.float64)
    found = moments(jax.nn.mish, 2.25)
    for expected, sample in ((found.mean, samples), (found.second, samples**2)):
        assert abs(sample.mean() - expected) < 5.8 * sample.std() / math.sqrt(len(z))


def test_even_moments_of_the_normal():
    powers = normal_mean(lambda z: jnp.stack([z ** (2 * k) for k in range(6)]))
    np.testing.assert_allclose(powers, [1, 1, 3, 15, 105, 945], rtol=1e-10)


def test_moments_can_be_taken_while_a_program_is_traced():
    traced = jax.jit(lambda x: x * moments(jnp.cos).second)(1.0)
    assert traced == pytest.approx((1 + math.exp(-2)) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("phi", "q", "error", "text"),
    [
        (jax.nn.softmax, 1.0, TypeError, "softmax must take one number .* map of a whole layer"),
        (jnp.log, 1.0, ValueError, "activation log with q=1: .* not finite at"),
        (lambda x: jnp.exp(x**2), 1.0, ValueError, "grows too fast|not finite"),
        (lambda x: 0 * x, 1.0, ValueError, "zero everywhere, so that no gain keeps a signal"),
        (lambda x: x + 0j, 1.0, TypeError, "to one real number"),
        (np.tanh, 1.0, TypeError, r"activation tanh calls NumPy, .* use jax\.numpy\.tanh instead"),
        (lambda x: np.tanh(x), 1.0, TypeError, "calls NumPy, .* use functions of jax.numpy"),
        (lambda x: 1 / x, 1.0, ValueError, "has a pole near 0, where its square has no mean"),
        (lambda x: 1 / (x - 0.7), 4.0, ValueError, "it has a pole"),
        (jnp.tan, 1.0, ValueError, "tan with q=1: it has a pole"),
        ("relu", 1.0, TypeError, "expected an activation such as jax.nn.gelu, got 'relu'"),
        (jax.nn.relu, 0.0, ValueError, "q: expected a finite variance above 0, got 0.0"),
        (jax.nn.relu, math.inf, ValueError, "q: expected a finite variance"),
    ],
)
def test_activations_without_moments_are_refused(phi, q, error, text):
    with pytest.raises(error, match=text):
        moments(phi, q)


@pytest.mark.parametrize("repeat", range(2))
def test_a_numpy_activation_is_refused_again_and_again(repeat):
    """jaxlib 0.10.2 crashes when it traces one NumPy ufunc twice."""
    with pytest.raises(TypeError, match="calls NumPy"):
        gain(np.arctan)


def test_an_integrable_singularity_has_moments():
    """E[ln² |z|] = (γ + ln 2)²/4 + π²/8 for a standard normal z."""
    found = moments(lambda x: jnp.log(jnp.abs(x)))
    expected = (np.euler_gamma + math.log(2)) ** 2 / 4 + math.pi**2 / 8
    assert found.second == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("power", [0.1, 0.3, 0.4, 0.45])
def test_integrable_powers_have_their_moments(power):
    """E[|z|^-2p] = 2^-p Γ(½ - p) / √π, finite below p = ½."""
    found = moments(lambda x: jnp.abs(x) ** -power)
    expected = 2**-power * math.gamma(0.5 - power) / math.sqrt(math.pi)
    assert found.second == pytest.approx(expected, rel=1e-3)
    assert found.slope2 == math.inf


@pytest.mark.parametrize(
    ("phi", "place"),
    [
        (lambda x: 1 / x, "0"),
        (lambda x: x**-2, "0"),
        (lambda x: jnp.abs(x) ** -0.5, "0"),
        (lambda x: 1 / jnp.abs(x - 0.7), "0.7"),
        (lambda x: 1 / (x - 3), "3"),
        (lambda x: 1 / (1 - x * x), "-1"),
        (jnp.tan, "-"),
    ],
)
@pytest.mark.parametrize("measure", [gain, moments])
def test_poles_are_named(phi, place, measure):
    with pytest.raises(ValueError, match=f"a pole near {place}.*, where its square has no mean"):
        measure(phi)


def test_an_integrable_power_away_from_zero():
    place, power = 0.7, 0.4
    density = stats.norm.pdf

    def excess(x):
        return (density(place + x) + density(place - x) - 2 * density(place)) * x ** (-2 * power)

    near = integrate.quad(excess, 0, 1, epsabs=1e-12)[0] + 2 * density(place) / (1 - 2 * power)
    far = integrate.quad(
        lambda x: (density(place + x) + density(place - x)) * x ** (-2 * power), 1, 12
    )[0]
    found = moments(lambda x: jnp.abs(x - place) ** -power)
    assert found.second == pytest.approx(near + far, rel=5e-3)


def test_fast_growth_has_moments_as_long_as_they_exist():
    """E[exp(2 a z²)] = 1/√(1 - 4 a); E[z^120] = 119!!."""
    found = moments(lambda x: jnp.exp(0.2 * x * x))
    assert found.second == pytest.approx(1 / math.sqrt(0.2), rel=1e-9)
    assert moments(lambda x: x**60).second == pytest.approx(math.prod(range(1, 120, 2)), rel=1e-9)
    with pytest.raises(ValueError, match="grows too fast to have a mean"):
        moments(lambda x: jnp.exp(0.3 * x * x))


def test_a_jump_far_out_is_no_growth():
    """E[1(z > d) q z²] = q (d φ(d) + 1 - Φ(d)), at eleven standard deviations."""
    q = 0.0079
    d = 1 / math.sqrt(q)
    expected = q * (d * stats.norm.pdf(d) + stats.norm.sf(d))
    assert moments(lambda x: jnp.where(x > 1, x, 0.0), q).second == pytest.approx(
        expected, rel=1e-6
    )
