"""Uniform, normal and truncated normal values: one random stream for all dtypes.

Values are drawn in float32 (float64 for float64) and rounded once to the requested dtype.
jax.random draws in the low precision itself: its bfloat16 normals have 128 distinct values and a
mean that is wrong by tens of standard errors.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.rounding import (
    check_dtype,
    check_range,
    pin_rounding,
    real_dtype,
    round_to_dtype,
    sampling_dtypes,
)
from jinit.sampling.threefry import check_key, draw_bits, has_fused_bits

# From jax 0.12 on, JAX's initializers multiply erf_inv(u) by the single constant sqrt(2) * std.
# Earlier versions round sqrt(2) * erf_inv(u) first. jinit draws what the installed JAX draws.
_LARGEST_NORMAL = {4: 5.43, 8: 8.3}
"""Bound on the absolute value of a standard normal draw, by size of the dtype in bytes: that of
the quantile of the smallest uniform number."""
_SINGLE_FACTOR = jax.__version_info__ >= (0, 12)


def draw_uniform(
    key: Array,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Draw uniformly from `[minval, maxval)`, times `scale`.

    The value before scaling is `max(minval, f (maxval - minval) + minval)`, where f is made of the
    top 23 random bits (52 for float64). float32 and float64 values are those of
    `jax.random.uniform`. In a lower dtype the float32 value is rounded and can therefore equal
    `maxval`.

    Args:
      key: one key.
      shape: shape of the result.
      dtype: a real floating dtype.
      minval: lower bound, included; may be traced.
      maxval: upper bound, excluded; may be traced.
      scale: factor applied to the draw; may be traced.

    Raises:
      TypeError: if `dtype` is not a real floating dtype, or `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax, jax.numpy as jnp
    >>> key = jax.random.key(0)
    >>> bool((draw_uniform(key, (3, 4)) == jax.random.uniform(key, (3, 4))).all())
    True
    """
    draw_dtype, dtype = sampling_dtypes(dtype, "uniform")
    _check_overflow("uniform", (minval, maxval), scale, draw_dtype, dtype)
    return _uniform(
        key,
        _cast_scalar(minval, draw_dtype),
        _cast_scalar(maxval, draw_dtype),
        _cast_scalar(scale, draw_dtype),
        tuple(shape),
        dtype,
    )


def draw_normal(
    key: Array,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    *,
    scale: ArrayLike = 1.0,
    mean: ArrayLike | None = None,
) -> Array:
    r"""Draw normal values of standard deviation `scale`.

    The value is `mean + scale √2 erf⁻¹(u)`, where u is uniform on (-1, 1). float32, float64 and
    complex values are those of JAX's own normal initializer. The real and imaginary parts of a
    complex normal are independent and have variance `scale²/2` each.

    Args:
      key: one key.
      shape: shape of the result.
      dtype: a floating or complex dtype.
      scale: standard deviation; may be traced.
      mean: added before rounding to `dtype`; may be traced.

    Raises:
      TypeError: if `dtype` is neither floating nor complex, or `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax, jax.numpy as jnp
    >>> key = jax.random.key(0)
    >>> bool((draw_normal(key, (64, 64)) == jax.random.normal(key, (64, 64))).all())
    True
    >>> low, full = (draw_normal(key, (999,), d) for d in (jnp.bfloat16, jnp.float32))
    >>> bool((low == full.astype(jnp.bfloat16)).all())
    True
    """
    shape = tuple(shape)
    check_key(key)
    check_dtype(dtype, jnp.inexact, "normal draws floating-point or complex values")
    if jnp.issubdtype(dtype, jnp.complexfloating):
        draw = _complex_normal(key, scale, shape, jax.dtypes.canonicalize_dtype(dtype))
        return draw if mean is None else draw + mean
    draw_dtype, dtype = sampling_dtypes(dtype, "normal")
    limit = _LARGEST_NORMAL[draw_dtype.itemsize]
    _check_overflow("normal", (-limit, limit), scale, draw_dtype, dtype, mean)
    scale = _cast_scalar(scale, draw_dtype)
    if mean is None:
        return _normal(key, scale, shape, dtype)
    return _shifted_normal(key, scale, _cast_scalar(mean, draw_dtype), shape, dtype)


def draw_truncated_normal(
    key: Array,
    lower: ArrayLike,
    upper: ArrayLike,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Draw `scale` times a standard normal value conditioned on `lower < z < upper`.

    z is drawn by inversion: `z = √2 erf⁻¹(u)`, where u is uniform on
    `(erf(lower/√2), erf(upper/√2))`, clamped to the open interval. float32 and float64
    values are those of `jax.random.truncated_normal`. The standard deviation of the result is
    smaller than `scale`.

    Args:
      key: one key.
      lower: lower bound in standard deviations; may be traced.
      upper: upper bound in standard deviations; may be traced.
      shape: shape of the result.
      dtype: a real floating dtype.
      scale: factor applied after truncation; may be traced.

    Raises:
      TypeError: if `dtype` is not a real floating dtype, or `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax, jax.numpy as jnp
    >>> z = draw_truncated_normal(jax.random.key(0), -2.0, 2.0, (1000,))
    >>> bool((jnp.abs(z) < 2).all())
    True
    """
    draw_dtype, dtype = sampling_dtypes(dtype, "truncated_normal")
    if not isinstance(lower, Array) and not isinstance(upper, Array):
        limit = _LARGEST_NORMAL[draw_dtype.itemsize]
        lowest = max(float(np.min(np.asarray(lower))), -limit)
        highest = min(float(np.max(np.asarray(upper))), limit)
        _check_overflow("truncated_normal", (lowest, highest), scale, draw_dtype, dtype)
    return _truncated_normal(
        key,
        _cast_scalar(lower, draw_dtype),
        _cast_scalar(upper, draw_dtype),
        _cast_scalar(scale, draw_dtype),
        tuple(shape),
        dtype,
    )


@partial(jax.jit, static_argnums=(4, 5))
def _uniform(
    key: Array, minval: Array, maxval: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    draw = _unrounded_uniform(key, minval, maxval, shape, scale.dtype)
    return round_to_dtype(draw * scale, dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _normal(key: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    draw_dtype = scale.dtype
    lowest = np.nextafter(np.array(-1, draw_dtype), np.array(0, draw_dtype))
    highest = np.array(1, draw_dtype)
    quantile = lax.erf_inv(_unrounded_uniform(key, lowest, highest, shape, draw_dtype))
    root = np.array(np.sqrt(2), draw_dtype)
    if _SINGLE_FACTOR:
        return round_to_dtype(quantile * (root * scale), dtype)
    return round_to_dtype(pin_rounding(quantile * root) * scale, dtype)


@partial(jax.jit, static_argnums=(3, 4))
def _shifted_normal(
    key: Array, scale: Array, mean: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    return round_to_dtype(_normal(key, scale, shape, scale.dtype) + mean, dtype)


@partial(jax.jit, static_argnums=(4, 5))
def _truncated_normal(
    key: Array, lower: Array, upper: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    draw_dtype = scale.dtype
    root = np.array(np.sqrt(2), draw_dtype)
    infinity = np.array(np.inf, draw_dtype)
    probability = _unrounded_uniform(
        key, lax.erf(lower / root), lax.erf(upper / root), shape, draw_dtype
    )
    draw = jnp.clip(
        root * lax.erf_inv(probability),
        lax.nextafter(lower, infinity),
        lax.nextafter(upper, -infinity),
    )
    return round_to_dtype(draw * scale, dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _complex_normal(key: Array, scale: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    part_dtype = real_dtype(dtype)
    real, imaginary = (
        _normal(part_key, np.ones((), part_dtype), shape, part_dtype).astype(dtype)
        for part_key in jax.random.split(key)
    )
    draw = (real + np.array(1j, dtype) * imaginary) / np.array(np.sqrt(2), dtype)
    return pin_rounding(pin_rounding(draw) * jnp.asarray(scale, dtype))


def _unrounded_uniform(
    key: Array,
    minval: Array | np.ndarray,
    maxval: Array | np.ndarray,
    shape: tuple[int, ...],
    draw_dtype: np.dtype,
) -> Array:
    """Draw uniform values in `draw_dtype`, with exactly the bits of `jax.random.uniform`."""
    if not has_fused_bits(key):
        return jax.random.uniform(key, shape, draw_dtype, minval, maxval)
    bits_dtype = np.dtype(f"uint{8 * draw_dtype.itemsize}")
    mantissa = jnp.finfo(draw_dtype).nmant
    one = np.ones((), draw_dtype)
    shift = np.array(8 * bits_dtype.itemsize - mantissa, bits_dtype)
    # Random mantissa bits under the exponent of one give a value in [1, 2).
    bits = (draw_bits(key, shape, bits_dtype) >> shift) | one.view(bits_dtype)
    unit = lax.bitcast_convert_type(bits, draw_dtype) - one
    return jnp.maximum(minval, unit * (maxval - minval) + minval)


def _check_overflow(
    name: str,
    bounds: tuple[ArrayLike, ArrayLike],
    scale: ArrayLike,
    draw_dtype: np.dtype,
    dtype: np.dtype,
    mean: ArrayLike | None = None,
) -> None:
    """Raise if draws between the bounds, scaled and shifted, can overflow; skip JAX's arrays."""
    numbers = (*bounds, scale, 0.0 if mean is None else mean)
    if any(isinstance(number, Array) for number in numbers):
        return
    low, high, factor, shift = (float(np.asarray(number)) for number in numbers)
    check_range(f"{name}: the width of the interval", high - low, draw_dtype)
    largest = max(abs(low), abs(high)) * abs(factor) + abs(shift)
    check_range(name, largest, dtype)


def _cast_scalar(value: ArrayLike, dtype: np.dtype) -> Array | np.ndarray:
    if isinstance(value, Array):
        return value.astype(dtype)
    return np.asarray(value, dtype)
