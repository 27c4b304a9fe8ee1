"""Fans: against counting the products of an actual contraction, and against JAX's scale."""

import itertools
import math

import jax
import numpy as np
import pytest

from jinit.initializers import variance_scaling
from jinit.initializers.fans import Fans, fans


def counted(shape, inputs, outputs, batch) -> Fans:
    """Fans by enumeration: entries of the kernel that share their output and batch coordinates."""
    used = {axis % len(shape) for axis in (*inputs, *outputs, *batch)}
    window = [axis for axis in range(len(shape)) if axis not in used]

    def per(axes) -> int:
        free = {axis % len(shape) for axis in axes} | set(window)
        fixed = [axis for axis in range(len(shape)) if axis not in free]
        groups: dict[tuple[int, ...], int] = {}
        for position in np.ndindex(shape):
            group = tuple(position[axis] for axis in fixed)
            groups[group] = groups.get(group, 0) + 1
        (size,) = set(groups.values())
        return size

    return Fans(per(inputs), per(outputs))


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
def test_fans_are_what_counting_gives(shape):
    cases = [case for case in CASES if case[0] == shape]
    assert cases
    for _, inputs, outputs, batch in cases:
        assert fans(shape, inputs, outputs, batch) == counted(shape, inputs, outputs, batch)
        negative = tuple(axis - len(shape) for axis in inputs)
        assert fans(shape, negative, outputs, batch) == counted(shape, inputs, outputs, batch)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 3, 64, 128), Fans(576, 1152)), ((784, 10), Fans(784, 10)), ((5, 1, 8), Fans(5, 40))],
)
def test_default_axes_are_those_of_a_convolution(shape, expected):
    assert fans(shape) == expected


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
@pytest.mark.parametrize("axes", [(-2, -1, ()), (0, 1, ()), ((0, 2), 3, 1), (1, (0, 3), 2)])
def test_the_scale_is_that_of_jax(mode, axes):
    """Both uniforms are the same words times their bound, so their ratio is the scale's."""
    shape, key = (3, 2, 16, 32), jax.random.key(0)
    ours = variance_scaling(1.7, mode, "uniform", *axes)
    theirs = jax.nn.initializers.variance_scaling(1.7, mode, "uniform", *axes)
    np.testing.assert_array_equal(ours(key, shape), theirs(key, shape))
    bound = float(abs(ours(key, shape)).max())
    assert 0.95 < bound / math.sqrt(3 * ours.variance(shape)) <= 1


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((), {}, r"fans of shape \(\): in_axis=-2, but it has 0 axes"),
        ((5,), {}, r"shape \(5,\): in_axis=-2, but it has 1 axes\. Say which axes are inputs and "
                   r"outputs, for example in_axis=0, out_axis=\(\)"),
        ((5,), {}, r"for a bias, zeros or a plain normal\(std\) need no fans"),
        ((5, 4), {"in_axis": 2}, r"in_axis=2, but it has 2 axes\. Give axes between -2 and 1"),
        ((5, 4), {"batch_axis": -3}, r"batch_axis=-3, but it has 2 axes"),
        ((5, 4), {"in_axis": 1}, "axis 1 is named as in_axis and out_axis; each axis has one role"),
        ((5, 4, 3), {"batch_axis": 1}, "axis 1 is named as in_axis and batch_axis"),
        ((5, 4), {"in_axis": (0, 0), "out_axis": 1}, "axis 0 is named as in_axis and in_axis"),
    ],
)  # fmt: skip
def test_a_shape_without_fans_says_which_axes_to_give(shape, options, text):
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
