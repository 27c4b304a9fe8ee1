"""Combinators against the same computation written by hand, and SciPy's distributions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import linen as nn
from flax import nnx

import jinit

KEY = jax.random.key(3)
LEVEL = 1e-6  # false-alarm probability of each Kolmogorov-Smirnov test
BASES = [jinit.he_normal(), jax.nn.initializers.he_normal(), jinit.orthogonal()]


def equal(left, right):
    np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


@pytest.mark.parametrize("base", BASES)
def test_scaled(base):
    equal(jinit.scaled(base, 0.3)(KEY, (8, 6)), base(KEY, (8, 6), jnp.float32) * np.float32(0.3))


def test_scaled_rounds_once():
    low = jinit.scaled(jinit.normal(1.0), 0.3)(KEY, (999,), jnp.bfloat16)
    full = jinit.normal(1.0)(KEY, (999,)) * np.float32(0.3)
    equal(low, full.astype(jnp.bfloat16))


def test_cast_gives_an_initializer_of_jax_every_dtype():
    reference = jax.nn.initializers.orthogonal()
    with pytest.raises(Exception, match="bfloat16"):
        reference(KEY, (6, 4), jnp.bfloat16)
    equal(
        jinit.cast(reference)(KEY, (6, 4), jnp.bfloat16),
        reference(KEY, (6, 4), jnp.float32).astype(jnp.bfloat16),
    )


@pytest.mark.few(1)
@pytest.mark.parametrize(("lower", "upper"), [(-1.0, 1.0), (0.5, 3.0), (-0.1, 2.0)])
def test_truncated_draws_the_conditional_distribution(lower, upper):
    values = np.asarray(jinit.truncated(jinit.normal(1.0), lower, upper)(KEY, (20_000,)))
    assert ((values > lower) & (values < upper)).all()
    expected = scipy.stats.truncnorm(lower, upper)
    assert scipy.stats.kstest(values.astype(np.float64), expected.cdf).pvalue > LEVEL


def test_truncated_keeps_values_inside_and_clips_a_constant_outside():
    base = jinit.normal(1.0)
    values, free = jinit.truncated(base, -1, 1)(KEY, (500,)), base(KEY, (500,))
    inside = jnp.abs(free) < 1
    equal(values[inside], free[inside])
    equal(jinit.truncated(jinit.constant(5.0), -1, 1)(KEY, (3,)), np.ones(3, np.float32))


@pytest.mark.slow
def test_both_bounds_of_truncated_are_excluded():
    """Half of the entries of `sparse` are exactly 0, which must all be drawn again."""
    sparse = jinit.sparse(0.5, stddev=1.0)
    for lower, upper in ((0, 9), (-9, 0)):
        values = np.asarray(jinit.truncated(sparse, lower, upper)(KEY, (40, 30)))
        assert ((values > lower) & (values < upper)).all()


def test_masked():
    mask = np.tril(np.ones((5, 5)))
    equal(
        jinit.masked(jinit.normal(1.0), mask)(KEY, (2, 5, 5)),
        np.asarray(jinit.normal(1.0)(KEY, (2, 5, 5))) * mask.astype(np.float32),
    )
    with pytest.raises(ValueError, match=r"shape \(5, 5\) does not broadcast to shape \(4, 4\)"):
        jinit.masked(jinit.ones, mask)(KEY, (4, 4))


@pytest.mark.few(1)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("axis", [-1, pytest.param(0, marks=pytest.mark.slow)])
def test_blockwise_is_one_draw_per_block(base, axis):
    shape, block_shape = ((8, 12), (8, 4)) if axis else ((24, 6), (8, 6))
    keys = jax.random.split(KEY, 3)
    expected = np.concatenate([base(key, block_shape, jnp.float32) for key in keys], axis=axis)
    np.testing.assert_allclose(
        jinit.blockwise(base, 3, axis)(KEY, shape), expected, rtol=1e-5, atol=1e-7
    )


def test_blockwise_makes_the_gates_of_a_fused_cell_orthogonal():
    init = jinit.blockwise(jinit.orthogonal(), 4)
    cell = nnx.OptimizedLSTMCell(16, 16, recurrent_kernel_init=init, rngs=nnx.Rngs(0))
    for gate in np.split(np.asarray(cell.dense_h.kernel[...]), 4, axis=1):
        np.testing.assert_allclose(np.linalg.svd(gate)[1], 1, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stacked_is_one_draw_per_layer(axis):
    base = jinit.xavier_uniform()
    layers = [base(key, (6, 4)) for key in jax.random.split(KEY, 5)]
    shape = tuple(np.insert((6, 4), axis if axis >= 0 else 2, 5))
    equal(jinit.stacked(base, axis)(KEY, shape), np.stack(layers, axis=axis))


def test_stacked_draws_different_layers_from_keys_that_vmap_does_not_separate():
    key = jax.random.key(0, impl="rbg")
    values = jinit.stacked(jinit.normal(1.0))(key, (3, 50))
    layers = [jinit.normal(1.0)(layer_key, (50,)) for layer_key in jax.random.split(key, 3)]
    equal(values, np.stack(layers))
    assert len({row.tobytes() for row in np.asarray(values)}) == 3


@pytest.mark.few(1)
@pytest.mark.parametrize("order", ["channel_major", "pixel_major"])
def test_icnr_initially_upscales_by_nearest_neighbors(order):
    factor, channels = 3, 2
    kernel = jinit.icnr(jinit.he_normal(), factor, order)(KEY, (3, 3, 4, channels * factor**2))
    image = jax.random.normal(KEY, (1, 6, 6, 4))
    convolve = partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    axes = (channels, factor, factor) if order == "channel_major" else (factor, factor, channels)
    pixels = convolve(image, kernel).reshape(6, 6, *axes)
    pixels = jnp.moveaxis(pixels, 2, -1) if order == "channel_major" else pixels
    large = pixels.transpose(0, 2, 1, 3, 4).reshape(6 * factor, 6 * factor, channels)
    small = np.asarray(convolve(image, jinit.he_normal()(KEY, (3, 3, 4, channels))))[0]
    expected = small.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_allclose(large, expected, atol=1e-6)


def test_boxed_values_stay_boxed():
    for combine in (partial(jinit.scaled, factor=2.0), jinit.cast):
        boxed = combine(nn.with_partitioning(jinit.ones, (None, "model")))(KEY, (2, 4))
        assert isinstance(boxed, nn.Partitioned)
        assert boxed.names == (None, "model")
        value = combine(nnx.with_metadata(jinit.ones, note="mine"))(KEY, (2, 4))
        assert type(value).__name__ == "VariableMetadata"
        assert value.metadata["note"] == "mine"
    layer = nn.Dense(
        4, kernel_init=jinit.scaled(nn.with_partitioning(jinit.ones, ("in", "out")), 2.0)
    )
    equal(layer.init(KEY, jnp.ones((1, 3)))["params"]["kernel"].value, np.full((3, 4), 2.0))


def test_nested_initializers_are_written_as_plain_data_and_read_back():
    init = jinit.blockwise(jinit.scaled(jinit.orthogonal(), 0.5), 2)
    spec = {
        "name": "blockwise",
        "initializer": {"name": "scaled", "initializer": {"name": "orthogonal"}, "factor": 0.5},
        "blocks": 2,
    }
    assert init.to_spec() == spec
    assert jinit.from_spec(spec) == init
    assert repr(init) == "blockwise(scaled(orthogonal(), 0.5), 2)"
    with pytest.raises(TypeError, match="is a function, not one of jinit's values"):
        jinit.scaled(jax.nn.initializers.ones, 2.0).to_spec()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: jinit.scaled("he", 1.0), "initializer: expected a function .* got 'he'"),
        (lambda: jinit.blockwise(jinit.ones, 0), "blocks: expected at least 1, got 0"),
        (lambda: jinit.blockwise(jinit.ones, 3)(KEY, (4, 4)), "does not divide into 3 blocks"),
        (
            lambda: jinit.stacked(jinit.ones, 2)(KEY, (4, 4)),
            r"stacked: axis=2 is not an axis of shape \(4, 4\)",
        ),
        (lambda: jinit.truncated(jinit.ones, 1, 0), "expected lower < upper, got 1.0 >= 0.0"),
        (lambda: jinit.icnr(jinit.ones, 2)(KEY, (3, 6)), "does not divide into 4 sub-pixels"),
        (lambda: jinit.icnr(jinit.ones, 2, "row"), "unknown order 'row'"),
    ],
)
def test_wrong_options_and_shapes_are_refused(build, text):
    with pytest.raises((TypeError, ValueError), match=text):
        build()
