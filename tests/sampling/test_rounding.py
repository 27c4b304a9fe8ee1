"""Rounding to low precision, and the dtypes of draws."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jinit.sampling import factorization_dtype, real_dtype, round_to_dtype, sampling_dtypes


def test_bfloat16_is_rounded_even_where_the_compiler_may_keep_float32():
    """XLA drops a conversion to bfloat16 and back; only an explicit rounding survives."""
    values = jnp.linspace(1.0, 2.0, 1000, dtype=jnp.float32)
    round_trip = jax.jit(lambda x: round_to_dtype(x, jnp.dtype("bfloat16")).astype(jnp.float32))
    expected = np.asarray(values).astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(round_trip(values), expected)
    assert (expected != np.asarray(values)).any()
    # The rounding is in the program, whatever this backend makes of the conversion.
    operations = str(jax.make_jaxpr(round_trip)(values))
    assert "exponent_bits=8 mantissa_bits=7" in operations


@pytest.mark.parametrize("dtype", ["float16", "float8_e4m3fn", "float32"])
def test_other_dtypes_are_rounded_once(dtype):
    values = np.linspace(-3, 3, 1000, dtype=np.float32)
    rounded = round_to_dtype(jnp.asarray(values), jnp.dtype(dtype))
    np.testing.assert_array_equal(rounded, values.astype(jnp.dtype(dtype)))


def test_dtypes_of_draws_and_factorizations():
    with jax.enable_x64(True):
        assert sampling_dtypes("float64", "normal") == (np.float64, np.float64)
    assert sampling_dtypes("float64", "normal").result == np.float32
    assert sampling_dtypes("bfloat16", "normal") == (np.float32, jnp.bfloat16)
    assert factorization_dtype(jnp.dtype("bfloat16")) == np.float32
    assert factorization_dtype(np.dtype("complex64")) == np.complex64
    assert real_dtype(np.dtype("complex128")) == np.float64


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("float33", "normal draws real floating-point values, and 'float33' is not a dtype: pass"),
        (np.int32, "got dtype int32: pass a floating dtype such as float32, and convert"),
        (jax.dtypes.prng_key, "normal draws real floating-point values"),
    ],
)
def test_wrong_dtypes_are_named(dtype, text):
    with pytest.raises(TypeError, match=text):
        sampling_dtypes(dtype, "normal")
