"""Uniform, normal and truncated normal: one float stream, any dtype.

Values are drawn in float32 (float64 for float64) and rounded once to the dtype asked for:
drawing in the low precision itself, as jax.random does, leaves bfloat16 with 128 distinct normals
and a mean that is wrong by tens of standard errors.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.threefry import bits, is_fused

# From jax 0.12 on, JAX's initializers multiply the inverse error function by the one constant
# sqrt(2) * std; before, they round sqrt(2) * erf_inv(u) first. jinit draws what the installed
# JAX draws.
_ONE_CONSTANT = jax.__version_info__ >= (0, 12)


def uniform(
    key: Array,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Uniform on `[minval, maxval)`, times `scale`.

    `u = max(minval, f (maxval - minval) + minval)` with f the top 23 (52) random bits; float32
    and float64 values are `jax.random.uniform`'s. In a lower dtype the float32 value is rounded,
    so that it can equal `maxval`.

    Args:
      key: one key; shape: shape of the result; dtype: a real floating dtype.
      minval, maxval: bounds, may be traced. scale: factor applied to the draw, may be traced.

    Raises:
      TypeError: `dtype` is not a real floating dtype.

    >>> import jax, jax.numpy as jnp
    >>> key = jax.random.key(0)
    >>> bool((uniform(key, (3, 4)) == jax.random.uniform(key, (3, 4))).all())
    True
    """
    stream, dtype = float_stream(dtype, "uniform")
    bounds = (_scalar(minval, stream), _scalar(maxval, stream), _scalar(scale, stream))
    return _uniform(key, *bounds, tuple(shape), dtype)


def normal(
    key: Array,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    *,
    scale: ArrayLike = 1.0,
    mean: ArrayLike | None = None,
) -> Array:
    r"""Normal with standard deviation `scale`: `mean + scale √2 erf⁻¹(u)`, u uniform on (-1, 1).

    float32, float64 and complex values are those of JAX's own normal initializer. A complex
    normal has independent parts of variance `scale²/2` each.

    Args:
      key: one key; shape: shape of the result; dtype: a floating or complex dtype.
      scale: standard deviation, may be traced.
      mean: added in the float stream, before rounding; may be traced.

    Raises:
      TypeError: `dtype` is neither floating nor complex.

    >>> import jax, jax.numpy as jnp
    >>> key = jax.random.key(0)
    >>> bool((normal(key, (64, 64)) == jax.random.normal(key, (64, 64))).all())
    True
    >>> low, full = (normal(key, (999,), d) for d in (jnp.bfloat16, jnp.float32))
    >>> bool((low == full.astype(jnp.bfloat16)).all())
    True
    """
    shape = tuple(shape)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        draw = _complex_normal(key, scale, shape, jax.dtypes.canonicalize_dtype(dtype))
        return draw if mean is None else draw + mean
    stream, dtype = float_stream(dtype, "normal")
    if mean is not None:
        return _shifted_normal(key, _scalar(scale, stream), _scalar(mean, stream), shape, dtype)
    return _normal(key, _scalar(scale, stream), shape, dtype)


def truncated_normal(
    key: Array,
    lower: ArrayLike,
    upper: ArrayLike,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Standard normal conditioned on `lower < z < upper`, times `scale`.

    By inversion: `z = √2 erf⁻¹(u)`, u uniform on `(erf(lower/√2), erf(upper/√2))`, clamped to the
    open interval; float32 and float64 values are `jax.random.truncated_normal`'s. The standard
    deviation of the result is smaller than `scale`.

    Args:
      key: one key; lower, upper: bounds in standard deviations, may be traced.
      shape: shape of the result; dtype: a real floating dtype.
      scale: factor applied after truncation, may be traced.

    Raises:
      TypeError: `dtype` is not a real floating dtype.

    >>> import jax, jax.numpy as jnp
    >>> z = truncated_normal(jax.random.key(0), -2.0, 2.0, (1000,))
    >>> bool((jnp.abs(z) < 2).all())
    True
    """
    stream, dtype = float_stream(dtype, "truncated_normal")
    options = (_scalar(lower, stream), _scalar(upper, stream), _scalar(scale, stream))
    return _truncated_normal(key, *options, tuple(shape), dtype)


@partial(jax.jit, static_argnums=(4, 5))
def _uniform(
    key: Array, minval: Array, maxval: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    draw = _between(key, minval, maxval, shape, scale.dtype)
    return rounded(draw * scale, dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _normal(key: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    stream = scale.dtype
    lowest = np.nextafter(np.array(-1, stream), np.array(0, stream))
    quantile = lax.erf_inv(_between(key, lowest, np.array(1, stream), shape, stream))
    root = np.array(np.sqrt(2), stream)
    if _ONE_CONSTANT:
        return rounded(quantile * (root * scale), dtype)
    return rounded(fence(quantile * root) * scale, dtype)


@partial(jax.jit, static_argnums=(3, 4))
def _shifted_normal(
    key: Array, scale: Array, mean: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    return rounded(_normal(key, scale, shape, scale.dtype) + mean, dtype)


@partial(jax.jit, static_argnums=(4, 5))
def _truncated_normal(
    key: Array, lower: Array, upper: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    stream = scale.dtype
    root = np.array(np.sqrt(2), stream)
    infinity = np.array(np.inf, stream)
    uniform_draw = _between(key, lax.erf(lower / root), lax.erf(upper / root), shape, stream)
    draw = jnp.clip(
        root * lax.erf_inv(uniform_draw),
        lax.nextafter(lower, infinity),
        lax.nextafter(upper, -infinity),
    )
    return rounded(draw * scale, dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _complex_normal(key: Array, scale: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    parts = jnp.finfo(dtype).dtype
    real, imaginary = (
        _normal(part, np.ones((), parts), shape, parts).astype(dtype)
        for part in jax.random.split(key)
    )
    draw = (real + np.array(1j, dtype) * imaginary) / np.array(np.sqrt(2), dtype)
    return fence(fence(draw) * jnp.asarray(scale, dtype))


def _between(
    key: Array,
    minval: Array | np.ndarray,
    maxval: Array | np.ndarray,
    shape: tuple[int, ...],
    stream: np.dtype,
) -> Array:
    """Uniform floats of the stream's own dtype, exactly as jax.random makes them."""
    if not is_fused(key):
        return jax.random.uniform(key, shape, stream, minval, maxval)
    word = np.dtype(f"uint{8 * stream.itemsize}")
    mantissa = jnp.finfo(stream).nmant
    one = np.ones((), stream).view(word)
    random = bits(key, shape, word) >> np.array(8 * word.itemsize - mantissa, word)
    unit = lax.bitcast_convert_type(random | one, stream) - np.ones((), stream)
    return jnp.maximum(minval, unit * (maxval - minval) + minval)


def rounded(draw: Array, dtype: np.dtype) -> Array:
    """Round the float stream to `dtype`, also where XLA would like to keep excess precision."""
    draw = fence(draw)
    if dtype == jnp.bfloat16:
        draw = lax.reduce_precision(draw, exponent_bits=8, mantissa_bits=7)
    return draw.astype(dtype)


def fence(draw: Array) -> Array:
    """A rounding point: XLA does not merge constants across it, so jit, vmap and eager agree."""
    if jnp.iscomplexobj(draw):
        return lax.complex(fence(draw.real), fence(draw.imag))
    info = jnp.finfo(draw.dtype)
    return lax.reduce_precision(draw, exponent_bits=info.nexp, mantissa_bits=info.nmant)


def float_stream(dtype: DTypeLike, name: str) -> tuple[np.dtype, np.dtype]:
    """The dtype drawn in and the dtype returned; TypeError unless it is real and floating."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"{name} draws real floating-point values, got dtype {jnp.dtype(dtype).name}: "
            "ask for a floating dtype, and convert afterwards if you need another"
        )
    result = jax.dtypes.canonicalize_dtype(dtype)
    return np.dtype("float64" if result == np.float64 else "float32"), result


def _scalar(value: ArrayLike, dtype: np.dtype) -> Array | np.ndarray:
    if isinstance(value, Array):
        return value.astype(dtype)
    return np.asarray(value, dtype)
