"""Uniform, normal and truncated normal draws: JAX's values, rounded in low precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import equal_bits

from jinit.sampling import (
    draw_complex_disk,
    draw_complex_truncated_normal,
    draw_normal,
    draw_truncated_normal,
    draw_uniform,
)

# How a shape becomes counters is tested on random bits, in test_threefry.
SHAPES = [(), (33, 7), (2, 0, 3), (3, 2, 40)]
LOW_PRECISION = ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]
SEED = 271828

PAIRS = {
    "uniform": (draw_uniform, jax.random.uniform),
    "normal": (draw_normal, jax.random.normal),
    "truncated": (
        lambda key, shape, dtype: draw_truncated_normal(key, -2.0, 2.0, shape, dtype),
        lambda key, shape, dtype: jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype),
    ),
}
CASES = [pytest.param(*pair, id=name) for name, pair in PAIRS.items()]
OURS = [pytest.param(ours, id=name) for name, (ours, _) in PAIRS.items()]


@pytest.mark.parametrize(
    ("shape", "dtype"), [*((shape, "float32") for shape in SHAPES), ((33, 7), "float64")]
)
@pytest.mark.parametrize(("ours", "reference"), CASES)
def test_values_are_those_of_jax(ours, reference, shape, dtype):
    with jax.enable_x64(True):
        key = jax.random.key(SEED)
        values = ours(key, shape, dtype)
        assert values.dtype == dtype
        assert equal_bits(values, reference(key, shape, dtype))


def test_equal_bits_sees_one_bit():
    ones = np.ones(3, np.float32)
    assert equal_bits(ones, ones)
    assert not equal_bits(ones, np.nextafter(ones, np.float32(2)))
    assert not equal_bits(np.zeros(1), -np.zeros(1))


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (
            lambda key, low, high: draw_uniform(key, (64,), np.float32, low, high),
            lambda key, low, high: jax.random.uniform(key, (64,), np.float32, low, high),
        ),
        (
            lambda key, low, high: draw_truncated_normal(key, low, high, (64,), np.float32),
            lambda key, low, high: jax.random.truncated_normal(key, low, high, (64,), np.float32),
        ),
    ],
    ids=["uniform", "truncated"],
)
@pytest.mark.parametrize("traced", [False, True])
def test_bounds_may_be_traced(ours, reference, traced):
    wrap = jax.jit if traced else lambda function: function
    for low, high in ((-1.0, 0.5), (1e-3, 3.0), (-7.0, -2.0)):
        key = jax.random.key(SEED)
        assert equal_bits(wrap(ours)(key, low, high), reference(key, low, high))


@pytest.mark.few(3)
@pytest.mark.once
@pytest.mark.parametrize("implementation", ["rbg", "philox4x32"])
@pytest.mark.parametrize(("ours", "reference"), CASES)
def test_keys_of_another_implementation_get_the_values_of_jax(ours, reference, implementation):
    key = jax.random.key(SEED, impl=implementation)
    assert equal_bits(ours(key, (33,), "float32"), reference(key, (33,), "float32"))


@pytest.mark.parametrize(("ours", "reference"), CASES)
def test_unpartitionable_threefry_gets_the_values_of_jax(ours, reference):
    key = jax.random.key(SEED)
    with jax.threefry_partitionable(False):
        assert equal_bits(ours(key, (33,), "float32"), reference(key, (33,), "float32"))


@pytest.mark.few(4)
@pytest.mark.once
@pytest.mark.parametrize("dtype", LOW_PRECISION)
@pytest.mark.parametrize("draw", [draw_uniform, draw_normal], ids=["uniform", "normal"])
def test_low_precision_is_the_rounded_float32(draw, dtype):
    """Rounded by ml_dtypes, even where a later cast would let XLA keep the float32 value."""
    key = jax.random.key(SEED)
    for scale in (1.0, 1e-5):  # 1e-5 reaches the subnormals of float16 and float8
        full = np.asarray(draw(key, (4096,), np.float32, scale=scale))
        low = draw(key, (4096,), dtype, scale=scale)
        assert equal_bits(low, full.astype(jnp.dtype(dtype)))
    widened = jax.jit(lambda: draw(key, (4096,), dtype, scale=1e-5).astype(jnp.float32))()
    assert equal_bits(widened, np.asarray(low).astype(np.float32))


@pytest.mark.slow
@pytest.mark.once
def test_other_low_precision_draws_are_the_rounded_float32():
    key = jax.random.key(SEED)
    for draw in (
        lambda dtype: draw_truncated_normal(key, -2.0, 2.0, (4096,), dtype, scale=0.3),
        lambda dtype: draw_normal(key, (4096,), dtype, scale=0.3, mean=1.0),
    ):
        full = np.asarray(draw(np.float32))
        for dtype in map(jnp.dtype, ("bfloat16", "float8_e5m2")):
            assert equal_bits(draw(dtype), full.astype(dtype))


@pytest.mark.few(1)
@pytest.mark.parametrize("draw", OURS)
def test_eager_jit_and_vmap_agree(draw):
    keys = jax.random.split(jax.random.key(SEED), 3)
    shape, dtype = (33, 7), "float32"
    eager = np.stack([draw(key, shape, dtype) for key in keys])
    jitted = np.stack([jax.jit(lambda key: draw(key, shape, dtype))(key) for key in keys])
    assert equal_bits(jitted, eager)
    lanes = jax.vmap(lambda key: draw(key, shape, dtype))
    for vmapped in (lanes, jax.jit(lanes)):
        assert equal_bits(vmapped(keys), eager)
    assert equal_bits(lanes(jax.random.key_data(keys)), eager)


@pytest.mark.parametrize("scale", [0.3, 1 / 3, 1e-30, 7e20])
def test_a_scale_gives_the_same_bits_constant_traced_or_batched(scale):
    key = jax.random.key(SEED)
    eager = draw_normal(key, (999,), scale=scale)
    assert equal_bits(jax.jit(lambda: draw_normal(key, (999,), scale=scale))(), eager)
    scales = jnp.asarray([scale, 2.0])
    assert equal_bits(
        jax.jit(jax.vmap(lambda s: draw_normal(key, (999,), scale=s)))(scales)[0], eager
    )


@pytest.mark.parametrize("draw", OURS)
def test_abstract_evaluation_gives_shape_and_dtype(draw):
    key = jax.eval_shape(lambda: jax.random.key(0))
    abstract = jax.eval_shape(lambda key: draw(key, (10**6, 10**6, 0, 3), "bfloat16"), key)
    assert (abstract.shape, abstract.dtype) == ((10**6, 10**6, 0, 3), jnp.bfloat16)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_normal_has_the_parts_of_jax(dtype):
    """JAX's eager and jitted complex normals differ in the last places, so within 4 epsilon."""
    with jax.enable_x64(True):
        key = jax.random.key(SEED)
        values, expected = draw_normal(key, (500,), dtype), jax.random.normal(key, (500,), dtype)
    assert values.dtype == dtype
    np.testing.assert_allclose(values, expected, rtol=4 * np.finfo(dtype).eps, atol=0)


def test_mean_is_added_before_rounding():
    key = jax.random.key(SEED)
    expected = np.float32(3) + np.asarray(draw_normal(key, (99,), scale=0.01))
    assert equal_bits(draw_normal(key, (99,), scale=0.01, mean=3.0), expected)


@pytest.mark.parametrize(
    ("draw", "dtype", "text"),
    [
        (draw_uniform, np.int32, "uniform draws real floating-point values, got dtype int32"),
        (
            draw_uniform,
            np.complex64,
            "uniform draws real floating-point values, got dtype complex64",
        ),
        (draw_normal, bool, "normal draws floating-point or complex values, got dtype bool"),
        (PAIRS["truncated"][0], int, "truncated_normal draws real floating-point values"),
    ],
)
def test_wrong_dtypes_are_named(draw, dtype, text):
    with pytest.raises(TypeError, match=text):
        draw(jax.random.key(0), (3,), dtype)


@pytest.mark.parametrize("draw", OURS)
def test_an_array_of_keys_is_refused(draw):
    with pytest.raises(ValueError, match=r"got an array of keys of shape \(2,\)"):
        draw(jax.random.split(jax.random.key(0)), (3,), "float32")


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_what_is_not_a_key_is_refused(dtype):
    with pytest.raises(TypeError, match=r"expected a random key, got None: make one with"):
        draw_normal(None, (3,), dtype)


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda key: draw_complex_disk(key, (3,), float), "complex_disk draws complex values, got"),
        (
            lambda key: draw_complex_truncated_normal(key, 2.0, (3,), float),
            "complex_truncated_normal draws .*: pass a complex dtype such as complex64",
        ),
    ],
)
def test_complex_draws_refuse_a_real_dtype(draw, text):
    with pytest.raises(TypeError, match=text):
        draw(jax.random.key(0))
