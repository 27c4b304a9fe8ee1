"""Identity-like kernels: their effect on a layer, compared with SciPy and explicit loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from flax import linen as nn

import jinit

KEY = jax.random.key(0)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 3, 3), (2, 2, 4, 6)])
def test_identity_is_scaled(shape):
    np.testing.assert_array_equal(
        jinit.identity(0.3)(KEY, shape),
        np.broadcast_to(np.float32(0.3) * np.eye(*shape[-2:], dtype=np.float32), shape),
    )


def test_a_relu_network_with_identity_recurrence_preserves_its_state():
    cell = nn.SimpleCell(
        8, recurrent_kernel_init=jinit.identity(), kernel_init=jinit.zeros, activation_fn=nn.relu
    )
    state = jax.random.uniform(KEY, (1, 8))
    params = cell.init(KEY, state, jnp.ones((1, 3)))
    np.testing.assert_array_equal(cell.apply(params, state, jnp.ones((1, 3)))[0], state)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (2, 6), (3, 3, 2, 5), (1, 4)])
def test_idinit_repeats_the_identity(shape):
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    size = min(rows, columns)
    copies = -(-max(rows, columns) // size)
    repeated = np.concatenate([np.eye(size)] * copies, axis=0 if rows >= columns else 1)
    expected = repeated[:rows, :columns].reshape(shape)
    np.testing.assert_array_equal(jinit.idinit()(KEY, shape), expected)
    np.testing.assert_array_equal(jinit.idinit(1e-6)(KEY, shape), np.float32(1e-6) * expected)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("taps", "inputs", "outputs", "groups"),
    [
        ((3,), 4, 8, 2),
        ((5, 3), 6, 6, 3),
        ((3, 3, 3), 6, 6, 1),
        pytest.param((3,), 6, 6, 1, marks=pytest.mark.slow),
        pytest.param((5, 3), 4, 8, 2, marks=pytest.mark.slow),
        pytest.param((3,), 6, 6, 3, marks=pytest.mark.slow),
        pytest.param((5, 3), 6, 6, 1, marks=pytest.mark.slow),
        pytest.param((3, 3, 3), 6, 6, 3, marks=pytest.mark.slow),
        pytest.param((3, 3, 3), 4, 8, 2, marks=pytest.mark.slow),
    ],
)
def test_a_dirac_convolution_copies_its_input(taps, inputs, outputs, groups):
    init = jinit.dirac(groups)
    layer = nn.Conv(outputs, taps, feature_group_count=groups, kernel_init=init, use_bias=False)
    x = jax.random.normal(KEY, (2, *[5] * len(taps), inputs))
    y, _ = jax.jit(layer.init_with_output)(KEY, x)
    group_inputs = jnp.split(x, groups, axis=-1)
    group_outputs = jnp.split(y, groups, axis=-1)
    for source, result in zip(group_inputs, group_outputs, strict=True):
        copied = source.shape[-1]
        np.testing.assert_array_equal(result[..., :copied], source)
        np.testing.assert_array_equal(result[..., copied:], 0)


def test_dirac_equals_the_documented_loop_of_pytorch():
    """The loop of torch.nn.init.dirac_ in the layout of Flax, for an even kernel size too."""
    taps, inputs, outputs, groups = (4, 3), 2, 6, 2
    expected = np.zeros((*taps, inputs, outputs), np.float32)
    for group in range(groups):
        for channel in range(min(outputs // groups, inputs)):
            middle = tuple(tap // 2 for tap in taps)
            expected[(*middle, channel, group * (outputs // groups) + channel)] = 1
    np.testing.assert_array_equal(jinit.dirac(groups)(KEY, expected.shape), expected)


@pytest.mark.few(2)
@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (3, 4), (5, 9), (16, 17), (1, 2)])
def test_zero_hadamard_equals_its_definition(shape):
    inputs, outputs = shape
    size = 2 ** int(np.ceil(np.log2(outputs)))
    expected = np.eye(inputs, outputs)
    if outputs > inputs:
        left, right = np.eye(inputs, size), np.eye(size, outputs)
        expected = left @ scipy.linalg.hadamard(size) @ right / np.sqrt(size)
    np.testing.assert_allclose(jinit.zero_hadamard()(KEY, shape), expected, rtol=1e-7)
    kernel = jinit.zero_hadamard()(KEY, (3, 4, *shape))
    np.testing.assert_allclose(kernel[1, 2], expected, rtol=1e-7)
    assert np.count_nonzero(kernel) == np.count_nonzero(expected)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: jinit.dirac(0), "groups: expected at least 1, got 0"),
        (lambda: jinit.dirac(1.5), "groups: expected an integer, got 1.5"),
        (lambda: jinit.dirac(2)(KEY, (3, 4, 5)), "5 outputs .* do not divide into 2 groups"),
        (lambda: jinit.dirac()(KEY, (4, 4)), r"at least 3 axes, got shape \(4, 4\)"),
        (lambda: jinit.identity()(KEY, (4,)), r"at least 2 axes, got shape \(4,\)"),
        (lambda: jinit.identity(float("inf")), "gain: expected a finite number"),
    ],
)
def test_bad_options(build, text):
    with pytest.raises((TypeError, ValueError), match=text):
        build()
