"""Stable critical points: exact scaling, published values, and deep random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.theory import ACTIVATIONS, fixed_point, stable_critical_point

BIAS_FREE = {
    "identity": 1.0,
    "relu": 2.0,
    "leaky_relu": 2 / (1 + 0.01**2),
    "relu6": 2.0,
    "tanh": 1.0,
    "hard_tanh": 1.0,
    "sin": 1.0,
}
WITH_BIASES = ["elu", "selu", "gelu", "silu", "mish", "soft_sign", "hard_silu"]
KEY = jax.random.key(3)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name == "sin" else name for name in BIAS_FREE],
)
def test_points_without_biases(name):
    point = stable_critical_point(ACTIVATIONS[name])
    assert point == pytest.approx((BIAS_FREE[name], 0.0), rel=1e-6, abs=0)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "hard_sigmoid", "squareplus"])
def test_some_activations_have_no_stable_point(name):
    assert stable_critical_point(ACTIVATIONS[name]) is None


@pytest.mark.parametrize(
    "phi",
    [
        jnp.sign,
        lambda x: jnp.where(x > 1, x, 0.0),
        lambda x: jnp.sqrt(jnp.abs(x)),
        lambda x: jax.nn.relu(x) ** 2,
        lambda x: x + x**3,
    ],
)
def test_jumps_and_growth_have_no_stable_point(phi):
    assert stable_critical_point(phi) is None


@pytest.mark.parametrize("name", ["tanh", "gelu", "elu"])
@pytest.mark.parametrize(("inner", "outer"), [(1e3, 1.0), (1e-3, 1.0), (30.0, 0.1)])
def test_points_scale_exactly_with_the_activation(name, inner, outer):
    phi = ACTIVATIONS[name]
    point = stable_critical_point(phi)
    scaled = stable_critical_point(lambda x: outer * phi(inner * x))
    expected = point.sigma_w2 / (inner * outer) ** 2, point.sigma_b2 / inner**2
    assert scaled == pytest.approx(expected, rel=1e-6, abs=0)


@jax.jit
def squared_norms(values):
    return jnp.mean(values**2, axis=-1)


@pytest.mark.parametrize("name", WITH_BIASES)
def test_deep_networks_keep_signal_and_gradient(name):
    """Width 256, depth 30, from the fixed point: both stay within a factor of three."""
    phi, width = ACTIVATIONS[name], 256
    sigma_w2, sigma_b2 = stable_critical_point(phi)
    found = fixed_point(phi, sigma_w2, sigma_b2)
    assert found.chi_1 == pytest.approx(1.0, abs=1e-6)

    def layer(carry, key):
        h, tangent = carry
        weight_key, bias_key = jax.random.split(key)
        weights = jax.random.normal(weight_key, (width, width)) * math.sqrt(sigma_w2 / width)
        biases = jax.random.normal(bias_key, (1, width)) * math.sqrt(sigma_b2)
        value, change = jax.jvp(phi, (h,), (tangent,))
        return (value @ weights + biases, change @ weights), None

    start, tangent = jax.random.normal(KEY, (2, 16, width))
    start = start * math.sqrt(found.q)
    last, changes = jax.lax.scan(layer, (start, tangent), jax.random.split(KEY, 30))[0]
    for after, before in ((last, start), (changes, tangent)):
        growth = float(jnp.mean(jnp.log(squared_norms(after) / squared_norms(before))))
        assert abs(growth) < math.log(3)
    np.testing.assert_array_less(0, found.q)
