"""Gradient quotient and noise: published values, and every example's gradient taken by itself."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.gradients import gradient_noise, gradient_quotient
from jinit.model import trace

KEY = jax.random.key(0)
ONE = jnp.ones((1, 1))


def case():
    """A network, its weights beside an integer, inputs and labels."""
    keys = jax.random.split(KEY, 3)
    params = {
        "count": jnp.array(3),
        "w": [jax.random.normal(keys[0], (4, 5)), jax.random.normal(keys[1], (5, 3))],
    }
    x = jax.random.normal(keys[2], (6, 4))
    model = trace(lambda p, x: jnp.tanh(x @ p["w"][0]) @ p["w"][1], params, x)
    return model, params, x, jnp.array([0, 1, 2, 0, 1, 2])


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


def test_the_quotient_of_a_network_by_its_whole_hessian():
    model, params, x, labels = case()
    flat, tree = ravel_pytree(params["w"])

    def loss(flat):
        return cross_entropy(model.apply(params | {"w": tree(flat)}, x), labels)

    g, h = (np.asarray(jax.jit(each(loss))(flat), np.float64) for each in (jax.grad, jax.hessian))
    expected = np.abs((g - h @ g) / (g + 1e-3 * np.where(g >= 0, 1, -1)) - 1).mean()
    found = gradient_quotient(model, params, x, labels, epsilon=1e-3)
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", [None, cross_entropy])
def test_noise_from_every_gradient_by_itself(loss):
    model, params, x, labels = case()

    def gradient(x, label):
        def of(w):
            return cross_entropy(model.apply(params | {"w": w}, x), label)

        return ravel_pytree(jax.grad(of)(params["w"]))[0]

    one = jax.jit(gradient)
    each = np.stack([np.asarray(one(x[i : i + 1], labels[i : i + 1])) for i in range(6)])
    found = gradient_noise(model, params, x, labels, loss=loss)
    mean, noise = each.mean(0), each.var(0, ddof=1).sum()
    assert found.examples == 6
    assert found.squared_norm == pytest.approx(mean @ mean, rel=1e-4)
    assert found.noise == pytest.approx(noise, rel=1e-4)
    assert found.signal_to_noise == pytest.approx(mean @ mean / noise, rel=1e-4)
    unit = each / np.linalg.norm(each, axis=1, keepdims=True)
    assert found.confusion == pytest.approx((unit @ unit.T).min(), abs=1e-5)


def test_equal_examples_have_no_noise_and_opposite_ones_no_signal():
    w = jnp.ones((2, 1))
    x = jnp.ones((4, 2))
    model = trace(lambda w, x: x @ w, w, x)
    found = gradient_noise(model, w, x, loss=jnp.mean)
    assert (found.squared_norm, found.noise, found.confusion) == (2, 0, 1)
    assert found.signal_to_noise == math.inf
    found = gradient_noise(model, w, x * jnp.array([[1], [-1], [1], [-1]]), loss=jnp.mean)
    assert (found.squared_norm, found.confusion) == (0, -1)
    lost = gradient_noise(model, w, x * 0, loss=jnp.mean)
    assert math.isnan(lost.confusion)


def test_random_directions_of_examples_are_independent():
    w = jnp.ones((64, 64))
    x = jnp.ones((8, 64))
    found = gradient_noise(trace(lambda w, x: x @ w, w, x), w, x)
    assert -0.6 < found.confusion < 0
    assert found.signal_to_noise == pytest.approx(1 / 8, rel=0.5)


def test_bad_inputs_are_named():
    model, params, x, labels = case()
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
