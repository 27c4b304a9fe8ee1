"""The input-output Jacobian, against explicit Jacobians, NumPy and exact identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn

import jinit
from jinit.diagnostics.spectra.jacobian import jacobian
from jinit.model import trace
from jinit.theory import jacobian_spectrum

KEY = jax.random.key(0)


def tanh_network(*sizes, scale=1.5, batch=5):
    """Return a network without biases, its weights, and a batch."""
    keys = jax.random.split(KEY, len(sizes))
    w = [
        scale * normals(key, (i, o)) / i**0.5
        for key, i, o in zip(keys, sizes[:-1], sizes[1:], strict=False)
    ]

    def apply(w, x):
        for kernel in w[:-1]:
            x = jnp.tanh(x @ kernel)
        return x @ w[-1]

    x = jax.random.normal(keys[-1], (batch, sizes[0]))
    return trace(apply, w, x), w, x


def singular_values(model, params, x, count):
    """Return those of `count` examples, from the Jacobian of the full batch."""
    indices = np.unique(np.linspace(0, len(x) - 1, count).round().astype(int))
    full = np.asarray(jax.jit(jax.jacobian(lambda x: model.apply(params, x)))(x), np.float64)
    return np.stack(
        [np.linalg.svd(full[i, ..., i, :].reshape(-1, x.shape[1]), False)[1] for i in indices]
    )


def test_a_small_jacobian_has_the_singular_values_of_the_explicit_one():
    sizes = 7, 20, 12
    model, w, x = tanh_network(*sizes)
    found, values = jacobian(model, w, x, examples=3), singular_values(model, w, x, 3)
    assert found.exact
    assert (found.inputs, found.outputs, found.examples) == (sizes[0], sizes[-1], 3)
    assert found.largest == pytest.approx(np.median(values[:, 0]), rel=1e-5)
    assert found.smallest == pytest.approx(np.median(values[:, -1]), rel=1e-3)
    squares = (values**2).sum(1).mean() / sizes[0]
    assert found.mean_square == pytest.approx(squares, rel=1e-5)
    assert found.mean_square_error == 0


@pytest.mark.slow
def test_a_large_jacobian_is_probed_and_its_largest_value_converges():
    model, w, x = tanh_network(300, 320, 280, batch=1)
    found, values = jacobian(model, w, x), singular_values(model, w, x, 1)
    assert not found.exact
    error = np.abs(found.largest - np.median(values[:, 0]))
    assert error <= max(found.residual, 1e-4 * found.largest)
    assert found.residual < 0.05 * found.largest
    assert found.smallest >= np.median(values[:, -1])
    squares = (values**2).sum(1).mean() / 300
    assert 0 < found.mean_square_error < 0.1 * squares
    assert abs(found.mean_square - squares) < 4 * found.mean_square_error


def test_orthogonal_layers_are_an_isometry_and_zero_singular_values_are_found():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))
    q = jnp.asarray(q, jnp.float32)
    x = jnp.ones((2, 40))
    model = trace(lambda w, x: x @ w, q, x)
    found = jacobian(model, q, x)
    assert (found.largest, found.smallest, found.mean_square) == pytest.approx((1, 1, 1), rel=1e-4)
    found = jacobian(model, np.where(np.arange(40)[None] < 20, q, 0), x)
    assert found.smallest < 1e-5
    assert (found.largest, found.mean_square) == pytest.approx((1, 0.5), rel=1e-4)


@pytest.mark.slow
def test_deep_gaussian_networks_have_the_spectrum_of_theory():
    """Pennington et al. 2017: λ has mean 1, and L linear layers the maximum (L+1)^(L+1) / L^L."""

    def apply(params, x):
        slope, w = params
        for kernel in w:
            h = x @ kernel
            x = jnp.where(h > 0, h, slope * h)
        return x

    w, x = tanh_network(*[192] * 4, scale=1.0, batch=1)[1:]
    model = trace(apply, (jnp.ones(()), w), x)
    linear = jacobian(model, (jnp.ones(()), w), x)
    assert linear.mean_square == pytest.approx(1, abs=0.1)
    assert linear.largest**2 == pytest.approx(4**4 / 3**3, rel=0.1)
    relu = jacobian(model, (jnp.zeros(()), [2**0.5 * kernel for kernel in w]), x)
    assert relu.mean_square == pytest.approx(1, abs=0.3)
    expected = jacobian_spectrum(jax.nn.relu, 3).maximum
    assert relu.largest**2 == pytest.approx(expected, rel=0.3)


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=False)(nn.Dense(6)(x))
        return nn.Dense(4)(nn.tanh(x))


@pytest.mark.slow
def test_an_example_is_run_within_its_batch_if_the_network_normalizes_over_the_batch():
    x = normals(KEY, (5, 8))
    model = jinit.linen.trace(Normalized(), x)
    params = model.init(KEY)
    found, values = jacobian(model, params, x), singular_values(model, params, x, 4)
    assert found.largest == pytest.approx(np.median(values[:, 0]), rel=1e-4)
    assert found.smallest == pytest.approx(np.median(values[:, -1]), rel=1e-3)


def test_integer_inputs_are_kept_and_half_precision_inputs_are_differentiated():
    x = normals(KEY, (3, 4)).astype(jnp.bfloat16)
    w, rows = jnp.diag(jnp.array([1.0, 2, 3, 4])).astype(jnp.bfloat16), jnp.arange(3)
    model = trace(lambda w, x, rows: (x @ w) * (1 + 0 * rows[:, None]), w, x, rows)
    found = jacobian(model, w, x, rows)
    assert (found.largest, found.smallest) == pytest.approx((4, 1), rel=1e-2)


def test_bad_inputs_are_named():
    table, tokens = jnp.ones((9, 4)), jnp.zeros((3, 5), jnp.int32)
    model = trace(lambda table, tokens: table[tokens], table, tokens)
    with pytest.raises(ValueError, match="give embeddings"):
        jacobian(model, table, tokens)
    model, w, x = tanh_network(4, 4)
    with pytest.raises(TypeError, match=r"jacobian: expected a Model, got list"):
        jacobian(w, w, x)
    with pytest.raises(ValueError, match="at least 2 probes"):
        jacobian(model, w, x, probes=1)
    with pytest.raises(ValueError, match="at least 1 iteration, got 0"):
        jacobian(model, w, x, iterations=0)
    with pytest.raises(
        ValueError, match="the model takes 1 input, got 2; jacobian uses no targets, so leave"
    ):
        jacobian(model, w, x, x)
    with pytest.raises(ValueError, match="expected shape"):
        jacobian(model, [w[0][:2]], x)
    total = trace(lambda w, x: (x @ w[0]).sum(), w, x)
    with pytest.raises(ValueError, match="enumerate the 5 examples"):
        jacobian(total, w, x)
