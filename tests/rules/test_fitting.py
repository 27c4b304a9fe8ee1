"""Axes and arrays that an initializer names are those of the parameter as it is stored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats
from flax import linen as nn

import jinit
from jinit.rules import Rule, init, plan

KEY, H = jax.random.key(0), 4


def scanned(w, x):
    return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w.T), None), x, w)[0]


# Apply, shape of the parameter.
STORED = {
    "in,out": (lambda w, x: x @ w, (H, H)),
    "out,in": (lambda w, x: x @ w.T, (H, H)),
    "in,out,out": (lambda w, x: jnp.einsum("bi,ihk->bhk", x, w), (H, 2, H)),
    "out,out,in": (lambda w, x: jnp.einsum("bi,hki->bhk", x, w), (2, H, H)),
    "stacked,out,in": (scanned, (3, H, H)),
    "out,stacked,in": (lambda w, x: scanned(jnp.moveaxis(w, 1, 0), x), (H, 3, H)),
}
MODELS = {
    axes: jinit.trace(apply, floats(*shape), floats(2, H))
    for axes, (apply, shape) in STORED.items()
}
PARAMETER_KEY = jinit.model.parameter_key(KEY, jinit.model.path_bits(""))


def drawn(axes, initializer):
    return np.asarray(init(MODELS[axes], KEY, [Rule(initializer)]))


def is_orthogonal(matrix):
    product = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    return np.allclose(product, np.eye(len(product)), atol=1e-5)


def test_axes_are_read():
    assert {axes: ",".join(model.leaves[0].axes) for axes, model in MODELS.items()} == {
        axes: axes for axes in MODELS
    }


@pytest.mark.few(1)
@pytest.mark.parametrize("axes", ["out,in", "out,out,in", "stacked,out,in"])
def test_entries_are_those_of_a_direct_call(axes):
    """Nothing but the parameter's own shape decides where a mask, an array or an axis applies."""
    shape = STORED[axes][1]
    numbers = np.arange(np.prod(shape)).reshape(shape)
    for initializer in (
        jinit.scaled(jinit.masked(jinit.normal(1.0), numbers % 3), 2.0),
        jinit.masked(jinit.normal(1.0), np.tril(np.ones(shape[-2:]))),  # for all leading indices
        jinit.blockwise(jinit.normal(1.0), 2),
        jinit.stacked(jinit.normal(1.0), axis=1),
        jinit.small_init(axis=0),
        jinit.constant(numbers),
    ):
        expected = initializer(PARAMETER_KEY, shape)
        np.testing.assert_array_equal(drawn(axes, initializer), expected, err_msg=repr(initializer))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("fused", ["in,out", "out,in"])
def test_blocks_are_orthogonal_along_the_axis_that_is_named(fused, axis):
    """As the gates of a fused LSTM kernel, in both layouts."""
    shape = (4 * H, H) if axis == 0 else (H, 4 * H)
    size = shape[0 if fused == "in,out" else 1]
    model = jinit.trace(STORED[fused][0], floats(*shape), floats(2, size))
    w = init(model, KEY, [Rule(jinit.blockwise(jinit.orthogonal(), 4, axis=axis))])
    assert all(is_orthogonal(block) for block in np.split(np.asarray(w), 4, axis))


def test_blocks_of_stacked_layers_are_blocks_of_every_layer():
    w = drawn("stacked,out,in", jinit.blockwise(jinit.orthogonal(), 2, axis=1))
    assert all(is_orthogonal(block) for layer in w for block in np.split(layer, 2))
    assert not np.allclose(w[0], w[1])


def test_the_heads_of_a_projection():
    w = drawn("in,out,out", jinit.headwise_orthogonal(2, axis=1))
    assert all(is_orthogonal(w[:, head]) for head in (0, 1))
    assert all(
        is_orthogonal(head) for head in drawn("out,out,in", jinit.headwise_orthogonal(2, axis=0))
    )


@pytest.mark.parametrize("axes", ["in,out", "out,in"])
def test_parts_have_the_fans_of_their_own_shape(axes):
    """Half of the inputs in each block, or half of the outputs; fans come from the computation."""
    shape = (64, 256)
    inputs = shape[0] if axes == "in,out" else shape[1]
    model = jinit.trace(STORED[axes][0], floats(*shape), floats(2, inputs))
    for axis, is_input in ((0, axes == "in,out"), (1, axes == "out,in")):
        w = init(model, KEY, [Rule(jinit.blockwise(jinit.he_normal(), 2, axis=axis))])
        fan_in = inputs // 2 if is_input else inputs
        assert float(w.var()) * fan_in == pytest.approx(2, rel=0.06)


def test_an_axis_of_copies_that_is_named():
    w = drawn("stacked,out,in", jinit.stacked(jinit.orthogonal()))
    assert all(map(is_orthogonal, w))
    w = drawn("out,stacked,in", jinit.stacked(jinit.orthogonal(), axis=1))
    assert all(is_orthogonal(w[:, layer]) for layer in range(3))


@pytest.mark.parametrize("axes", ["in,out", "out,in", "stacked,out,in", "out,stacked,in"])
def test_a_column_axis_that_is_named(axes):
    column = axes.split(",").index("out")
    w = drawn(axes, jinit.orthogonal(column_axis=column - len(STORED[axes][1])))
    layers = np.moveaxis(w, axes.split(",").index("stacked"), 0) if "stacked" in axes else [w]
    assert all(map(is_orthogonal, layers))


def test_input_and_output_axes_come_from_the_computation():
    shape = (32, 8)
    model = jinit.trace(lambda w, x: x @ w.T, floats(*shape), floats(2, 8))
    siren = jinit.siren(1.0, in_axis=0, out_axis=1)
    for initializer in (siren, jinit.he_uniform(in_axis=0, out_axis=1)):
        assert abs(init(model, KEY, [Rule(initializer)])).max() == pytest.approx(
            (6 / 8) ** 0.5, rel=0.05
        )


def test_wrapped_initializers_get_strides_and_groups():
    model = jinit.linen.trace(nn.Conv(8, (4, 4), strides=2, use_bias=False), jnp.ones((1, 8, 8, 2)))
    (row,) = plan(model, [Rule(jinit.cast(jinit.he_normal()))]).rows
    assert row.initializer.initializer.strides == (2, 2)


@pytest.mark.parametrize(
    "initializer", [jinit.blockwise(jinit.normal(), 2, axis=3), jinit.orthogonal(column_axis=5)]
)
def test_an_axis_that_the_parameter_does_not_have(initializer):
    model = jinit.trace(lambda p, x: x @ p["w"], {"w": floats(H, H)}, floats(2, H))
    with pytest.raises(jinit.RuleError, match=r"^w: .*axis=\d is not an axis of shape \(4, 4\)"):
        plan(model, [Rule(initializer)])


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Conv(8, (3, 3), (2, 2), feature_group_count=8), (9, 2.25)),
        (nn.Conv(8, (3, 3), (2, 2), feature_group_count=4), (18, 4.5)),
        (nn.ConvTranspose(4, (3, 3), (2, 2)), (18, 36)),
        (nn.Conv(1, (3, 3), (4, 4)), (72, 9 / 16)),
    ],
)
def test_fans_of_strided_convolutions_need_not_be_whole_numbers(layer, fans):
    model = jinit.linen.trace(layer, floats(2, 8, 8, 8))
    kernel = model.leaf("params/kernel")
    assert (kernel.fan_in, kernel.fan_out) == fans
    rows = {
        row.path: row for row in plan(model, jinit.recipes.everywhere(jinit.xavier_normal())).rows
    }
    assert rows[kernel.path].std == pytest.approx((2 / sum(fans)) ** 0.5, rel=1e-5)
    assert jinit.recommend(model).rows
