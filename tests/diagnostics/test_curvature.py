"""Extreme eigenvalues of the Hessian, against JAX's Hessian and NumPy's eigenvalues."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from diagnostics.small_networks import tanh_case
from flax import nnx
from jax.flatten_util import ravel_pytree

import jinit
from jinit.diagnostics.spectra.curvature import curvature
from jinit.model import trace

KEY = jax.random.key(0)


def eigenvalues(loss, weights):
    flat, unravel = ravel_pytree(weights)
    hessian = jax.jit(jax.hessian(lambda w: loss(unravel(w))))(flat)
    return np.linalg.eigvalsh(np.asarray(hessian, np.float64))


def test_the_extreme_eigenvalues_are_those_of_the_full_hessian():
    model, params, x, labels = tanh_case()

    def loss(w):
        logits = model.apply(params | {"w": w}, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    values = eigenvalues(loss, params["w"])
    found = curvature(model, params, x, labels, iterations=100)
    assert found.iterations == 35
    assert found.largest == pytest.approx(values[-1], rel=1e-4)
    assert found.smallest == pytest.approx(values[0], abs=1e-4 * values[-1])
    assert found.learning_rate_ceiling == pytest.approx(2 / values[-1], rel=1e-4)
    assert found.residual == 0


def test_a_quadratic_loss_has_a_known_spectrum():
    spectrum = jnp.linspace(-1, 10, 200)
    model = trace(lambda w, x: 0.5 * spectrum * w**2, jnp.ones(200), jnp.ones((1, 1)))
    found = curvature(model, jnp.ones(200), jnp.ones((1, 1)), loss=jnp.sum, iterations=80)
    assert (found.largest, found.smallest) == pytest.approx((10, -1), abs=1e-2)
    assert found.iterations == 80
    assert found.residual < 0.1
    assert abs(found.largest - 10) <= found.residual + 1e-4


def test_least_squares_has_the_hessian_of_its_data():
    x = normals(KEY, (20, 7))
    w = jnp.zeros((7, 1))
    found = curvature(trace(lambda w, x: x @ w, w, x), w, x, jnp.ones((20, 1)))
    values = np.linalg.eigvalsh(2 * np.asarray(x.T @ x, np.float64) / 20)
    assert found.iterations == 7
    assert (found.largest, found.smallest) == pytest.approx((values[-1], values[0]), rel=1e-4)


def test_equal_zero_negative_and_nan_eigenvalues():
    w = jnp.ones(30)
    model = trace(lambda w, x: x[0] * w**2, w, jnp.ones((1, 1)))

    def extremes(w, scale):
        found = curvature(model, w, jnp.full((1, 1), scale), loss=jnp.sum)
        return found.largest, found.smallest, found.learning_rate_ceiling

    assert extremes(w, 1.5) == pytest.approx((3, 3, 2 / 3), abs=1e-4)
    assert extremes(w, 0.0) == (0, 0, math.inf)
    assert extremes(w, -1.0) == pytest.approx((-2, -2, math.inf), abs=1e-4)
    assert all(map(math.isnan, extremes(w, math.nan)))


@pytest.mark.slow
def test_statistics_of_an_nnx_module_are_not_trained():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.last = nnx.Linear(4, 3, rngs=rngs), nnx.Linear(3, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(3, rngs=rngs)

        def __call__(self, x):
            return self.last(self.norm(self.first(x)))

    x = normals(KEY, (8, 4))
    model = jinit.nnx.trace(lambda rngs: Net(rngs), x)
    found = curvature(model, model.init(KEY), x, jnp.zeros(8, jnp.int32), iterations=100)
    assert found.iterations == 15 + 6 + 8
    assert found.largest > 0


def test_bad_inputs_are_named():
    model, params, x, labels = tanh_case()
    with pytest.raises(ValueError, match="at least 1 iteration"):
        curvature(model, params, x, labels, iterations=0)
    with pytest.raises(TypeError, match="curvature: expected a Model, got dict"):
        curvature(params, params, x)
    with pytest.raises(ValueError, match="which loss is meant"):
        curvature(model, params, x, labels[:2])
    with pytest.raises(ValueError, match="expected parameters like"):
        curvature(model, params["w"], x, labels)
    with pytest.raises(TypeError, match=r"curvature: loss: expected a function .* got 'nope'"):
        curvature(model, params, x, labels, loss="nope")
