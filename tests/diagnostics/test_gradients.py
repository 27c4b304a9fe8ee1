"""Gradient quotient and noise, against published values and gradients of single examples."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from diagnostics.small_networks import tanh_case
from jax.flatten_util import ravel_pytree

from jinit.diagnostics import (
    curvature,
    gradient_noise,
    gradient_quotient,
    jacobian,
    tangent_kernel,
)
from jinit.model import trace

ONE = jnp.ones((1, 1))


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def test_the_quotient_of_a_quadratic_loss():
    w = jnp.ones(3)
    model = trace(lambda w, x: 0.5 * jnp.array([0.5, 2, -1]) * w**2, w, ONE)
    assert gradient_quotient(model, w, ONE, loss=jnp.sum) == pytest.approx(1.16666166, abs=1e-6)


def test_the_quotient_of_a_linear_loss_is_zero():
    w = jnp.ones(3)
    model = trace(lambda w, x: jnp.array([0.5, 2, -1]) * w, w, ONE)
    assert gradient_quotient(model, w, ONE, loss=jnp.sum) == pytest.approx(0, abs=2e-5)
    unused = trace(lambda w, x: w[:1], w, ONE)
    assert gradient_quotient(unused, w, ONE, loss=jnp.sum) == pytest.approx(2 / 3, abs=1e-5)


def test_the_quotient_of_a_network_agrees_with_its_full_hessian():
    model, params, x, labels = tanh_case()
    flat, unravel = ravel_pytree(params["w"])

    def loss(flat):
        return cross_entropy(model.apply(params | {"w": unravel(flat)}, x), labels)

    g = np.asarray(jax.jit(jax.grad(loss))(flat), np.float64)
    h = np.asarray(jax.jit(jax.hessian(loss))(flat), np.float64)
    expected = np.abs((g - h @ g) / (g + 1e-3 * np.where(g >= 0, 1, -1)) - 1).mean()
    found = gradient_quotient(model, params, x, labels, epsilon=1e-3)
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", [None, cross_entropy])
def test_noise_agrees_with_the_gradients_of_single_examples(loss):
    model, params, x, labels = tanh_case()

    @jax.jit
    def gradient(x, label):
        def example_loss(w):
            return cross_entropy(model.apply(params | {"w": w}, x), label)

        return ravel_pytree(jax.grad(example_loss)(params["w"]))[0]

    gradients = np.stack([gradient(x[i : i + 1], labels[i : i + 1]) for i in range(6)])
    found = gradient_noise(model, params, x, labels, loss=loss)
    mean, noise = gradients.mean(0), gradients.var(0, ddof=1).sum()
    assert found.examples == 6
    assert found.squared_norm == pytest.approx(mean @ mean, rel=1e-4)
    assert found.noise == pytest.approx(noise, rel=1e-4)
    assert found.signal_to_noise == pytest.approx(mean @ mean / noise, rel=1e-4)
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    assert found.confusion == pytest.approx((unit @ unit.T).min(), abs=1e-5)


def test_equal_examples_have_no_noise_and_opposite_examples_no_signal():
    w = jnp.ones((2, 1))
    x = jnp.ones((4, 2))
    model = trace(lambda w, x: x @ w, w, x)
    found = gradient_noise(model, w, x, loss=jnp.mean)
    assert (found.squared_norm, found.noise, found.confusion) == (2, 0, 1)
    assert found.signal_to_noise == math.inf
    found = gradient_noise(model, w, x * jnp.array([[1], [-1], [1], [-1]]), loss=jnp.mean)
    assert (found.squared_norm, found.confusion) == (0, -1)
    without_gradient = gradient_noise(model, w, x * 0, loss=jnp.mean)
    assert math.isnan(without_gradient.confusion)


def test_random_directions_of_examples_are_independent():
    w = jnp.ones((64, 64))
    x = jnp.ones((8, 64))
    found = gradient_noise(trace(lambda w, x: x @ w, w, x), w, x)
    assert -0.6 < found.confusion < 0
    assert found.signal_to_noise == pytest.approx(1 / 8, rel=0.5)


def test_bad_inputs_are_named():
    model, params, x, labels = tanh_case()
    with pytest.raises(ValueError, match="epsilon above 0"):
        gradient_quotient(model, params, x, labels, epsilon=0)
    with pytest.raises(TypeError, match="gradient_noise: expected a Model"):
        gradient_noise(None, params, x)
    w = jnp.ones((4, 2))
    alone = trace(lambda w, x: x @ w, w, x[:1])
    with pytest.raises(ValueError, match="at least 2 examples"):
        gradient_noise(alone, w, x[:1], loss=jnp.mean)
    total = trace(lambda w, x: (x @ w).sum(), w, x)
    with pytest.raises(ValueError, match="enumerate the 6 examples"):
        gradient_noise(total, w, x, loss=jnp.mean)


@pytest.mark.parametrize(
    "function", [curvature, gradient_noise, gradient_quotient, jacobian, tangent_kernel]
)
def test_a_model_without_gradient_is_named(function):
    def apply(w, x):
        return jax.lax.while_loop(lambda h: h.sum() < 99, lambda h: 2 * h @ w, x)

    w, x = jnp.eye(3), jnp.ones((4, 3))
    name = function.__name__
    with pytest.raises(ValueError, match=f"{name}: the model cannot be differentiated: it contain"):
        function(trace(apply, w, x), w, x)
