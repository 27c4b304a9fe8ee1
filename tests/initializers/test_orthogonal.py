"""Orthogonal kernels: their effect on the signal of a layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit

KEY = jax.random.key(5)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("taps", "groups"),
    [
        ((4,), 2),
        ((3, 3), 2),
        ((3, 1, 2), 1),
        pytest.param((3,), 1, marks=pytest.mark.slow),
        pytest.param((2, 4), 1, marks=pytest.mark.slow),
        pytest.param((2, 4), 2, marks=pytest.mark.slow),
        pytest.param((3,), 2, marks=pytest.mark.slow),
        pytest.param((4,), 1, marks=pytest.mark.slow),
        pytest.param((3, 3), 1, marks=pytest.mark.slow),
        pytest.param((3, 1, 2), 2, marks=pytest.mark.slow),
    ],
)
def test_a_delta_kernel_preserves_the_norm_of_every_input(taps, groups):
    """The padding is circular, sizes are odd and even, and norms are compared per group."""
    init = jinit.delta_orthogonal(groups=groups)
    layer = nn.Conv(
        12, taps, padding="CIRCULAR", feature_group_count=groups, use_bias=False, kernel_init=init
    )
    x = jax.random.normal(KEY, (2, *[5] * len(taps), 8))
    y, _ = jax.jit(layer.init_with_output)(KEY, x)
    axes = tuple(range(1, x.ndim - 1))

    def norms(signal: jax.Array) -> jax.Array:
        """Return the squared norm of every group."""
        grouped = signal.reshape(*signal.shape[:-1], groups, -1)
        return (grouped**2).sum(axis=(*axes, -1))

    np.testing.assert_allclose(norms(y), norms(x), rtol=1e-5)


def test_groups_of_a_delta_kernel_differ():
    kernel = np.asarray(jinit.delta_orthogonal(groups=2)(KEY, (3, 4, 16)))
    assert abs(kernel[1, :, :8] - kernel[1, :, 8:]).max() > 0.1


@pytest.mark.few(1)
@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (96, 96)])
def test_scaled_uniform_orthogonal_preserves_the_second_moment(shape):
    """With orthogonal() a layer that widens would have in/out times it (0.25 here)."""
    x = jax.random.normal(KEY, (4000, shape[0]))
    y = x @ jinit.scaled_uniform_orthogonal()(KEY, shape)
    assert float((y**2).mean()) == pytest.approx(1, rel=0.05)
    widening = max(shape[1] / shape[0], 1)
    frame = jinit.orthogonal(np.sqrt(widening))(KEY, shape)
    np.testing.assert_array_equal(jinit.scaled_uniform_orthogonal()(KEY, shape), frame)


def test_scaled_uniform_orthogonal_of_a_convolution_is_its_center_tap():
    kernel = jinit.scaled_uniform_orthogonal(0.5)(KEY, (3, 3, 8, 2))
    np.testing.assert_allclose(kernel[1, 1].T @ kernel[1, 1], 0.25 * np.eye(2), atol=1e-6)
    assert float(abs(kernel).sum()) == pytest.approx(float(abs(kernel[1, 1]).sum()))


def singular_values(matrix: jax.Array) -> np.ndarray:
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)


def test_each_gate_of_a_fused_cell_is_orthogonal():
    """With orthogonal() alone the singular values would be from 0.002 to 0.86."""
    for cell, gates in ((nnx.OptimizedLSTMCell, 4), (nnx.GRUCell, 3)):
        init = jinit.blockwise(jinit.orthogonal(), gates)
        module = cell(8, 16, recurrent_kernel_init=init, rngs=nnx.Rngs(0))
        leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
        (kernel,) = (leaf for leaf in leaves if leaf.shape == (16, gates * 16))
        for gate in jnp.split(kernel, gates, axis=1):
            np.testing.assert_allclose(singular_values(gate), 1, atol=1e-5)


@pytest.mark.slow
def test_each_head_of_an_attention_kernel_is_orthonormal():
    layer = nn.MultiHeadDotProductAttention(
        num_heads=4, kernel_init=jinit.blockwise(jinit.orthogonal(), 4)
    )
    params = layer.init(KEY, jnp.ones((1, 5, 32)))["params"]
    for name in ("query", "key", "value"):
        for head in range(4):
            np.testing.assert_allclose(
                singular_values(params[name]["kernel"][:, head]), 1, atol=1e-5
            )


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_any_rank_and_column_axis(axis):
    kernel = np.moveaxis(np.asarray(jinit.orthogonal(column_axis=axis)(KEY, (4, 6, 5))), axis, -1)
    np.testing.assert_allclose(singular_values(kernel.reshape(-1, kernel.shape[-1])), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("init", "shape", "text"),
    [
        (jinit.delta_orthogonal(groups=3), (3, 4, 16), "16 outputs .* do not divide into 3 groups"),
        (
            jinit.delta_orthogonal(groups=4),
            (3, 8, 16),
            r"8 inputs cannot be .* to 4 outputs \(shape \(3, 8, 16\) in 4 groups\)",
        ),
        (jinit.delta_orthogonal(), (3, 8, 4), r"in <= out; use orthogonal\(\) or scaled_uniform"),
        (jinit.scaled_uniform_orthogonal(), (7,), r"of 2 to 5 axes, got shape \(7,\)"),
        (jinit.orthogonal(), (7,), "a vector has no rows and columns; for a bias use zeros"),
    ],
)
def test_shapes_that_do_not_fit_raise(init, shape, text):
    with pytest.raises(ValueError, match=text):
        init(KEY, shape)
