"""Rounding points, and the dtypes in which values are drawn and factorized."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

FLOATING_REMEDY = (
    "pass a floating dtype such as float32, and convert the result with .astype if you need another"
)


class SamplingDtypes(NamedTuple):
    """The dtypes of a draw."""

    draw: np.dtype
    """Dtype in which values are computed: float64 for float64, float32 for all others."""
    result: np.dtype
    """Dtype to which values are rounded."""


def sampling_dtypes(dtype: DTypeLike, function_name: str) -> SamplingDtypes:
    """Return the dtypes in which a real draw is computed and returned.

    Args:
      dtype: dtype that the user asked for.
      function_name: name of the drawing function, for the error message.

    Raises:
      TypeError: if `dtype` is not a real floating dtype.

    >>> sampling_dtypes("bfloat16", "normal").draw
    dtype('float32')
    """
    check_dtype(dtype, jnp.floating, f"{function_name} draws real floating-point values")
    result = jax.dtypes.canonicalize_dtype(dtype)
    return SamplingDtypes(np.dtype("float64" if result == np.float64 else "float32"), result)


def check_dtype(
    dtype: DTypeLike, category: type[np.generic], requirement: str, remedy: str = FLOATING_REMEDY
) -> None:
    """Raise unless `dtype` belongs to `category`.

    Args:
      dtype: dtype that the user asked for.
      category: abstract type such as jnp.floating, to which `dtype` must belong.
      requirement: first words of the error message, which say what draws which values.
      remedy: last words of the error message, which say what to pass.

    Raises:
      TypeError: if `dtype` is not a dtype, does not belong to `category`, or has no sign.
    """
    try:
        belongs = jnp.issubdtype(dtype, category)
        is_extended = jnp.issubdtype(dtype, jax.dtypes.extended)  # a dtype of random keys
        name = str(dtype) if is_extended else jnp.dtype(dtype).name
    except TypeError:
        raise TypeError(f"{requirement}, and {dtype!r} is not a dtype: {remedy}") from None
    if not belongs:
        raise TypeError(f"{requirement}, got dtype {name}: {remedy}")
    check_signed(dtype)


def check_signed(dtype: DTypeLike) -> None:
    """Raise unless a numeric dtype holds negative numbers and zero, or holds no fractions.

    Args:
      dtype: a numeric dtype.

    Raises:
      TypeError: if it is a floating dtype for scales only, such as float8_e8m0fnu.

    >>> check_signed("float8_e4m3fn")
    """
    if jnp.issubdtype(dtype, jnp.floating) and float(jnp.finfo(dtype).min) >= 0:
        raise TypeError(
            f"dtype {jnp.dtype(dtype).name} has neither a sign nor zero: it stores the scales of "
            "blocks of numbers, not weights; use a dtype such as float8_e4m3fn or bfloat16"
        )


def check_range(name: str, largest: float, dtype: np.dtype) -> None:
    """Raise unless a floating dtype holds values up to a given size.

    Args:
      name: what draws the values, for the message.
      largest: largest absolute value that is drawn or computed.
      dtype: a floating dtype.

    Raises:
      ValueError: if it would overflow.

    >>> check_range("normal", 6.0, np.dtype("float16"))
    """
    limit = float(jnp.finfo(dtype).max)
    if largest > limit:
        raise ValueError(
            f"{name}: values up to {largest:.3g} overflow {dtype.name}, whose largest value is "
            f"{limit:.3g}; ask for a smaller scale, or for a dtype with a wider range"
        )


def factorization_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which a matrix of `dtype` is factorized: float32 for narrower ones."""
    return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)


def real_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype of the real part of a complex `dtype`."""
    return jnp.finfo(dtype).dtype


def round_to_dtype(draw: Array, dtype: np.dtype) -> Array:
    """Round values to `dtype`, even where XLA would keep excess precision.

    Args:
      draw: values in the dtype in which they were drawn.
      dtype: floating or complex dtype of the result.

    >>> import jax, jax.numpy as jnp
    >>> rounded = jax.jit(lambda x: round_to_dtype(x, jnp.dtype("bfloat16")))(jnp.float32(1.001))
    >>> float(rounded), str(rounded.dtype)
    (1.0, 'bfloat16')
    """
    draw = pin_rounding(draw)
    if dtype == jnp.bfloat16:
        draw = lax.reduce_precision(draw, exponent_bits=8, mantissa_bits=7)
    return draw.astype(dtype)


def pin_rounding(draw: Array) -> Array:
    """Return `draw` unchanged, as a rounding point across which XLA does not merge constants.

    Values after it therefore have the same bits under eager execution, jit and vmap.

    Args:
      draw: real or complex floating-point values.

    >>> import jax.numpy as jnp
    >>> x = jnp.linspace(0.0, 1.0, 7)
    >>> bool((pin_rounding(x) == x).all())
    True
    """
    if jnp.iscomplexobj(draw):
        return lax.complex(pin_rounding(draw.real), pin_rounding(draw.imag))
    info = jnp.finfo(draw.dtype)
    return lax.reduce_precision(draw, exponent_bits=info.nexp, mantissa_bits=info.nmant)
