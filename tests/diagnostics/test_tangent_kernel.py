"""The empirical tangent kernel, against explicit Jacobians and the kernel of infinite width."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn

import jinit
from jinit.diagnostics.spectra.tangent_kernel import tangent_kernel
from jinit.model import trace
from jinit.theory import ntk_condition_number

KEY = jax.random.key(0)


class Normalized(nn.Module):
    outputs: int

    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(nn.Dense(8)(x))
        return nn.Dense(self.outputs)(nn.tanh(x))


def explicit_kernel(model, params, x):
    """Return Θ from the full Jacobian with respect to the trained parameters."""

    @jax.jit
    @jax.jacobian
    def jacobian(trained):
        return model.apply(params | {"params": trained}, x)

    flat = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(jacobian(params["params"]))]
    rows = np.concatenate([leaf.reshape(*leaf.shape[:2], -1) for leaf in flat], -1)
    return np.einsum("iop,jop->ij", rows, rows) / rows.shape[1]


def normalized_network(outputs):
    x = normals(KEY, (5, 6))
    model = jinit.linen.trace(Normalized(outputs), x)
    return model, model.init(KEY), x


def test_few_outputs_give_the_exact_kernel_of_the_trained_parameters():
    outputs = 3
    model, params, x = normalized_network(outputs)
    found = tangent_kernel(model, params, x)
    values = np.linalg.eigvalsh(explicit_kernel(model, params, x))
    assert (found.points, found.outputs, found.probes) == (5, outputs, 0)
    assert found.largest == pytest.approx(values[-1], rel=1e-5)
    assert found.smallest == pytest.approx(values[0], rel=1e-3)
    assert found.trace == pytest.approx(values.sum(), rel=1e-5)
    assert found.condition_number == pytest.approx(values[-1] / values[0], rel=1e-3)


@pytest.mark.slow
def test_many_outputs_are_probed():
    model, params, x = normalized_network(24)
    found = tangent_kernel(model, params, x, probes=64)
    exact = explicit_kernel(model, params, x)
    assert found.probes == 64
    assert found.trace == pytest.approx(np.trace(exact), rel=0.15)
    assert found.largest == pytest.approx(np.linalg.eigvalsh(exact)[-1], rel=0.15)


def test_a_wide_relu_network_has_the_condition_number_of_theory():
    depth, width, points = 3, 512, 4
    keys = jax.random.split(KEY, depth + 1)
    w = [(2 / width) ** 0.5 * normals(key, (width, width)) for key in keys]
    w[-1] = w[-1][:, :4]

    def apply(w, x):
        for kernel in w[:-1]:
            x = jax.nn.relu(x @ kernel)
        return x @ w[-1]

    x = jnp.eye(points, width) * width**0.5
    found = tangent_kernel(trace(apply, w, x), w, x)
    expected = ntk_condition_number(jax.nn.relu, points, depth)
    assert found.condition_number == pytest.approx(expected, rel=0.2)


def test_equal_examples_make_the_kernel_singular():
    w, x = jnp.ones((3, 2)), jnp.ones((4, 3))
    found = tangent_kernel(trace(lambda w, x: x @ w, w, x), w, x)
    assert found.condition_number == np.inf
    assert (found.largest, found.trace) == pytest.approx((12, 12))


def test_bad_inputs_are_named():
    w, x = jnp.ones((3, 2)), jnp.ones((4, 3))
    model = trace(lambda w, x: x @ w, w, x)
    with pytest.raises(ValueError, match="at least 1 probe"):
        tangent_kernel(model, w, x, probes=0)
    with pytest.raises(ValueError, match="takes 1 input, got 2; tangent_kernel uses no targets"):
        tangent_kernel(model, w, x, x)
    with pytest.raises(ValueError, match="traced with"):
        tangent_kernel(model, w, x[:, :2])
    number = trace(lambda w, x: (x @ w).sum(), w, x)
    with pytest.raises(ValueError, match=r"one of shape \(\)"):
        tangent_kernel(number, w, x)
    state = trace(lambda w, x: x * w, jnp.ones((), jnp.int32), x)
    alone = trace(lambda w, x: x * w, jnp.ones(2), jnp.ones(()))
    with pytest.raises(ValueError, match="the first input is a single number; trace the model"):
        tangent_kernel(alone, jnp.ones(2), jnp.ones(()))
    with pytest.raises(ValueError, match="none of the model's 1 parameters is trained"):
        tangent_kernel(state, jnp.ones((), jnp.int32), x)
