"""Jacobian spectra against the published edges and against products of random matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import jacobian_spectrum

MAXIMA = {
    ("linear", "gaussian"): (4, 14.92992, 28.53117, 137.27099),
    ("linear", "orthogonal"): (1, 1, 1, 1),
    ("relu", "gaussian"): (5.82843, 27.27277, 54.41086, 271.83724),
    ("relu", "orthogonal"): (2, 12.20703, 25.81175, 134.55266),
}
VARIANCES = {
    ("linear", "gaussian"): 1,
    ("linear", "orthogonal"): 0,
    ("relu", "gaussian"): 2,
    ("relu", "orthogonal"): 1,
}
ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu}


@pytest.mark.parametrize(("name", "ensemble"), MAXIMA)
def test_published_edges_and_variances_are_reproduced(name, ensemble):
    for depth, maximum in zip((1, 5, 10, 50), MAXIMA[name, ensemble], strict=True):
        found = jacobian_spectrum(ACTIVATIONS[name], depth, ensemble)
        assert found.mean == 1
        assert found.maximum == pytest.approx(maximum, abs=6e-6)
        assert found.variance == pytest.approx(depth * VARIANCES[name, ensemble], abs=1e-9)


@pytest.mark.few(1)
@pytest.mark.parametrize(("phi", "ensemble"), [(jnp.tanh, "gaussian"), (jax.nn.gelu, "orthogonal")])
def test_products_of_random_matrices_have_this_spectrum(phi, ensemble):
    """Five layers of 400 units: mean variance of three within 8 %, edge of one within 12 %."""
    width, depth, rng = 400, 5, np.random.default_rng(1)
    slope = jax.vmap(jax.grad(phi))

    def gram():
        jacobian = np.eye(width)
        for _ in range(depth):
            weights = rng.normal(size=(width, width)) / np.sqrt(width)
            if ensemble == "orthogonal":
                weights, _ = np.linalg.qr(weights)
            slopes = np.asarray(slope(jnp.asarray(rng.normal(size=width), jnp.float32)))
            jacobian = slopes[:, None] * (weights @ jacobian)
        product = jacobian @ jacobian.T
        return product / product.trace() * width

    found = jacobian_spectrum(phi, depth, ensemble)
    grams = [gram() for _ in range(3)]
    variances = [np.sum(matrix**2) / width - 1 for matrix in grams]
    assert np.mean(variances) == pytest.approx(found.variance, rel=0.08)
    assert np.linalg.eigvalsh(grams[0])[-1] == pytest.approx(found.maximum, rel=0.12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: jacobian_spectrum(jnp.tanh, 0), "depth: expected"),
        (lambda: jacobian_spectrum(jnp.tanh, 3, "haar"), "ensemble: expected one of"),
        (lambda: jacobian_spectrum(lambda x: 0 * x + 1.0, 3), "this activation is flat"),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize(
    ("phi", "has_variance"),
    [
        (lambda x: x**3, True),
        (lambda x: jax.nn.relu(x) ** 2, True),
        (jnp.exp, True),
        (lambda x: jnp.abs(x) ** 0.8, True),
        (lambda x: jnp.abs(x) ** 0.7, False),
    ],
)
def test_slopes_without_a_bound_have_no_largest_singular_value(phi, has_variance):
    found = jacobian_spectrum(phi, 3)
    assert found.maximum == np.inf
    assert np.isfinite(found.variance) == has_variance


@pytest.mark.parametrize(
    ("phi", "text"),
    [
        (lambda x: x + jnp.sign(x - 1), "it jumps at 1"),
        (jnp.cbrt, "the square of its slope has no mean"),
    ],
)
def test_an_infinite_mean_squared_slope_has_no_critical_point(phi, text):
    with pytest.raises(ValueError, match=text):
        jacobian_spectrum(phi, 3)
