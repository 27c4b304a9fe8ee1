"""Shaped activations satisfy their conditions; the solutions are not unique."""

import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import c_map, dks, dual, moments, q_map, tat, tat_leaky_slope

SMOOTH = {
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
}


def q_slope(phi):
    """Return Q'(1) by finite differences."""
    step = 1e-4
    return (q_map(phi, 1 + step, 1.0) - q_map(phi, 1 - step, 1.0)) / (2 * step)


def check_variances(phi):
    assert moments(phi).second == pytest.approx(1, abs=1e-9)
    assert q_slope(phi) == pytest.approx(1, abs=1e-7)


def curvature(phi):
    """Return C''(1), which is E[φ''²]."""
    return dual(jax.grad(phi), 1.0, 1.0, 1.0).slope


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("depth", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_dks_satisfies_its_conditions(name, depth):
    phi = dks(SMOOTH[name], depth=depth)
    check_variances(phi)
    assert moments(phi).mean == pytest.approx(0, abs=1e-9)
    assert c_map(phi, 0.0, 1.0, 1.0) == pytest.approx(0, abs=1e-9)
    assert moments(phi).slope2 ** depth == pytest.approx(1.5, rel=1e-8)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("depth", [pytest.param(5, marks=pytest.mark.slow), 100])
def test_tat_satisfies_its_conditions(name, depth):
    phi = tat(SMOOTH[name], depth=depth)
    check_variances(phi)
    assert moments(phi).slope2 == pytest.approx(1, abs=1e-9)
    assert curvature(phi) * depth == pytest.approx(0.3, rel=1e-7)


def test_slopes_and_curvatures_can_be_given():
    assert moments(dks(jnp.tanh, slope=1.2)).slope2 == pytest.approx(1.2, abs=1e-9)
    assert curvature(tat(jnp.tanh, curvature=0.02)) == pytest.approx(0.02, rel=1e-7)


def test_leaky_slopes_are_the_published_ones():
    assert tat_leaky_slope(20) == pytest.approx(0.18138028, abs=6e-9)
    assert tat_leaky_slope(100) == pytest.approx(0.57043953, abs=6e-9)
    alpha, c = tat_leaky_slope(20, 0.8), 0.0
    for _ in range(20):
        c = c_map(lambda x: jnp.where(x > 0, x, alpha * x), c, 1.0, 2 / (1 + alpha**2))
    assert c == pytest.approx(0.8, abs=1e-10)


def test_a_deep_network_of_shaped_activations_keeps_inputs_distinct():
    """50 layers of 500 units on two inputs: the signal vanishes with tanh, and not with DKS.

    The correlation is compared with theory, within 0.15 for finite width.
    """
    rng, depth, width = np.random.default_rng(0), 50, 500
    phi = dks(jnp.tanh, depth=depth)
    h = rng.normal(size=(2, width))
    h[1] = 0.3 * h[0] + math.sqrt(1 - 0.3**2) * h[1]
    plain, c = h, 0.3
    for _ in range(depth):
        kernel = rng.normal(size=(width, width)) / math.sqrt(width)
        h, plain = np.asarray(phi(h)) @ kernel, np.tanh(plain) @ kernel
        c = c_map(phi, c, 1.0, 1.0)
    assert (h**2).mean() == pytest.approx(1, abs=0.3)
    assert (plain**2).mean() < 0.02
    assert np.corrcoef(h)[0, 1] == pytest.approx(c, abs=0.15)


def test_a_shaped_activation_can_be_compared_hashed_and_pickled():
    phi = dks(jnp.tanh, depth=10)
    assert phi == dks(jnp.tanh, depth=10)
    assert hash(phi) == hash(dks(jnp.tanh, depth=10))
    found = tat(jax.lax.tanh, depth=10)
    assert pickle.loads(pickle.dumps(found)) == found
    x = jnp.linspace(-3, 3, 7)
    np.testing.assert_allclose(jax.jit(phi)(x), phi(x), rtol=1e-6)
    assert jax.vmap(jax.grad(phi))(x).shape == (7,)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: dks(jnp.tanh), "expected either depth or slope"),
        (lambda: dks(jnp.tanh, depth=3, slope=2.0), "expected either depth or slope"),
        (lambda: dks(jnp.tanh, depth=0), "depth: expected at least 1"),
        (lambda: dks(jnp.tanh, slope=1.0), "slope: expected a finite number above 1"),
        (lambda: dks(jnp.tanh, depth=3, zeta=1.0), "zeta: expected a finite number above 1"),
        (lambda: dks(lambda x: 2 * x, depth=3), "no input and output scale and shift"),
        (lambda: tat(jnp.tanh, depth=3, tau=0.0), "tau: expected a finite number above 0"),
        (lambda: tat(jax.nn.relu, depth=3), "see tat_leaky_slope"),
        (lambda: tat_leaky_slope(10), "bring orthogonal inputs to a correlation of 0.872"),
        (lambda: tat_leaky_slope(0), "depth: expected at least 1 layer, got 0"),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
