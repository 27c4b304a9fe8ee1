"""Fans against counting the products of a real contraction, and against JAX's scale."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jinit.initializers import from_spec, variance_scaling
from jinit.initializers.fans import Fans, fans


def count_fans(shape, inputs, outputs, batch) -> Fans:
    """Fans by enumeration: entries of the kernel that share their output and batch coordinates."""
    used = {axis % len(shape) for axis in (*inputs, *outputs, *batch)}
    window = [axis for axis in range(len(shape)) if axis not in used]

    def entries_per_position(axes) -> int:
        free = {axis % len(shape) for axis in axes} | set(window)
        fixed = [axis for axis in range(len(shape)) if axis not in free]
        groups: dict[tuple[int, ...], int] = {}
        for position in np.ndindex(shape):
            group = tuple(position[axis] for axis in fixed)
            groups[group] = groups.get(group, 0) + 1
        (size,) = set(groups.values())
        return size

    return Fans(entries_per_position(inputs), entries_per_position(outputs))


SHAPES = [(4,), (2, 3), (3, 1), (2, 3, 4), (3, 2, 2, 5), (2, 3, 1, 2, 4)]
CASES = [
    (shape, tuple(inputs), tuple(outputs), tuple(batch))
    for shape in SHAPES
    for roles in itertools.islice(
        itertools.product(("in", "out", "batch", "window"), repeat=len(shape)), 0, None, 7
    )
    for inputs, outputs, batch in [
        [[axis for axis, role in enumerate(roles) if role == wanted] for wanted in
         ("in", "out", "batch")]
    ]
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_equal_an_enumeration_of_the_kernel_entries(shape):
    cases = [case for case in CASES if case[0] == shape]
    assert cases
    for _, inputs, outputs, batch in cases:
        assert fans(shape, inputs, outputs, batch) == count_fans(shape, inputs, outputs, batch)
        negative = tuple(axis - len(shape) for axis in inputs)
        assert fans(shape, negative, outputs, batch) == count_fans(shape, inputs, outputs, batch)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 3, 64, 128), Fans(576, 1152)), ((784, 10), Fans(784, 10)), ((5, 1, 8), Fans(5, 40))],
)
def test_default_axes_are_those_of_a_convolution(shape, expected):
    assert fans(shape) == expected


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
@pytest.mark.parametrize("axes", [(-2, -1, ()), (0, 1, ()), ((0, 2), 3, 1), (1, (0, 3), 2)])
def test_the_scale_is_that_of_jax(mode, axes):
    """Both draws are the same uniform numbers times their bound, so the bounds are equal."""
    shape, key = (3, 2, 16, 32), jax.random.key(0)
    ours = variance_scaling(1.7, mode, "uniform", *axes)
    reference = jax.nn.initializers.variance_scaling(1.7, mode, "uniform", *axes)
    np.testing.assert_array_equal(ours(key, shape), reference(key, shape))
    bound = float(abs(ours(key, shape)).max())
    assert 0.95 < bound / math.sqrt(3 * ours.variance(shape)) <= 1


def count_products(layer, inputs: int, outputs: int, size: int) -> Fans:
    """Fans of a convolution with a kernel of ones, counted by its sums far from the borders."""
    x = jnp.ones((1, size, size, inputs))
    abstract = jax.eval_shape(layer.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), abstract)

    def total(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        sums = layer.apply(params, x)
        return sums.sum(), sums

    feeds, sums = jax.jit(jax.grad(total, has_aux=True))(x)
    inner = slice(size // 4, -(size // 4))
    # A whole number of periods in both directions, so that the mean is that of all positions.
    return Fans(float(sums[:, 6:18, 6:18].mean()), float(feeds[:, inner, inner].mean()))


@pytest.mark.parametrize(("taps", "groups", "stride"), [(3, 1, 1), (3, 4, 1), (4, 1, 2), (3, 2, 3)])
def test_groups_and_strides_agree_with_a_convolution(taps, groups, stride):
    layer = nn.Conv(16, (taps, taps), stride, feature_group_count=groups, use_bias=False)
    expected = count_products(layer, 8, 16, 24 * stride)
    computed = fans((taps, taps, 8 // groups, 16), groups=groups, strides=stride)
    assert (computed.fan_in, computed.fan_out) == pytest.approx((expected.fan_in, expected.fan_out))


@pytest.mark.parametrize(("taps", "stride"), [(4, 2), (3, 2), (2, 3), (5, 1)])
def test_a_transposed_convolution_sums_fewer_inputs(taps, stride):
    layer = nn.ConvTranspose(6, (taps, taps), (stride, stride), use_bias=False)
    expected = count_products(layer, 8, 6, 24)
    computed = fans((taps, taps, 8, 6), input_dilation=(stride, stride))
    assert (computed.fan_in, computed.fan_out) == pytest.approx((expected.fan_in, expected.fan_out))
    init = variance_scaling(2.0, "fan_in", "normal", input_dilation=stride)
    assert init.variance((taps, taps, 8, 6)) == pytest.approx(2 / expected.fan_in)


def test_a_strided_initializer_prints_the_call_that_builds_it():
    init = variance_scaling(2.0, "fan_out", "normal", groups=4, strides=[2, 1])
    text = (
        "variance_scaling(scale=2, mode='fan_out', distribution='normal', groups=4, strides=(2, 1))"
    )
    assert repr(init) == text
    he = variance_scaling(2.0, "fan_in", "truncated_normal", input_dilation=2)
    assert from_spec(he.to_spec()) == he != variance_scaling(2.0, "fan_in", "truncated_normal")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"groups": 3},
            r"8 outputs \(shape \(3, 3, 4, 8\)\) do not divide into 3 groups; groups must be",
        ),
        ({"strides": (2, 2, 2)}, r"strides=\(2, 2, 2\), but the number of receptive axes is 2"),
        ({"input_dilation": (2,)}, "give one stride for each of them, or one for all"),
    ],
)
def test_strides_and_groups_that_do_not_fit_the_shape_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        variance_scaling(1.0, "fan_in", "normal", **options)(jax.random.key(0), (3, 3, 4, 8))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"groups": 0}, ValueError, "groups: expected at least 1, got 0"),
        ({"strides": 0}, ValueError, "strides: expected strides of at least 1, got 0"),
        ({"strides": 1.5}, TypeError, "strides: expected an integer or a sequence of integers"),
    ],
)
def test_wrong_strides_are_refused_when_the_initializer_is_built(options, error, text):
    with pytest.raises(error, match=text):
        variance_scaling(1.0, "fan_in", "normal", **options)


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((), {}, r"fans of shape \(\): in_axis=-2, but it has 0 axes. A scalar has no inputs: use"),
        ((5,), {}, r"shape \(5,\): in_axis=-2, but it has 1 axis\. Say which axes are inputs and "
                   r"outputs, for example in_axis=0, out_axis=\(\)"),
        ((5,), {}, r"for a bias, use zeros or normal\(stddev\), which need no fans"),
        ((5, 4), {"in_axis": 2}, r"in_axis=2, but it has 2 axes\. Give axes between -2 and 1"),
        ((5, 4), {"batch_axis": -3}, r"batch_axis=-3, but it has 2 axes"),
        ((5, 4), {"in_axis": 1}, "axis 1 is named as in_axis and out_axis; each axis has one role"),
        ((5, 4, 3), {"batch_axis": 1}, "axis 1 is named as in_axis and batch_axis"),
        ((5, 4), {"in_axis": (0, 0), "out_axis": 1}, "axis 0 is named as in_axis and in_axis"),
    ],
)  # fmt: skip
def test_a_shape_without_fans_is_refused_with_the_axes_to_give(shape, options, text):
    with pytest.raises(ValueError, match=text):
        fans(shape, **options)
    with pytest.raises(ValueError, match=text):
        variance_scaling(1.0, "fan_in", "normal", **options)(jax.random.key(0), shape)


def test_the_advice_for_a_vector_works():
    key = jax.random.key(0)
    summed = variance_scaling(1.0, "fan_in", "normal", in_axis=0, out_axis=())
    single = variance_scaling(1.0, "fan_in", "normal", in_axis=(), out_axis=0)
    assert (summed.variance((50,)), single.variance((50,))) == (1 / 50, 1.0)
    assert summed(key, (50,)).shape == single(key, (50,)).shape == (50,)
