"""Complex values on a disk, drawn as JAX's complex variance scaling draws them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.distributions import draw_uniform
from jinit.sampling.rounding import check_dtype, pin_rounding, real_dtype
from jinit.sampling.threefry import check_key


def draw_complex_disk(
    key: Array, shape: tuple[int, ...], dtype: DTypeLike, *, scale: ArrayLike = 1.0
) -> Array:
    """Draw uniformly from the disk of radius `√2 scale`: mean 0, variance `scale²`.

    Args:
      key: one key.
      shape: shape of the result.
      dtype: a complex dtype.
      scale: standard deviation; may be traced.

    Raises:
      TypeError: if `dtype` is not complex, or `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax, jax.numpy as jnp
    >>> z = draw_complex_disk(jax.random.key(0), (1000,), jnp.complex64)
    >>> bool((jnp.abs(z) < 2**0.5 + 1e-6).all())
    True
    """
    return _complex_disk(key, scale, tuple(shape), _complex_dtype(key, dtype, "complex_disk"))


def draw_complex_truncated_normal(
    key: Array,
    upper: float,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Draw `scale` times a complex normal of variance 1 whose modulus is below `upper`.

    The modulus is `√(-log(1 - t))`, where t is uniform on `[0, 1 - exp(-upper²))`.

    Args:
      key: one key.
      upper: bound of the modulus before scaling.
      shape: shape of the result.
      dtype: a complex dtype.
      scale: factor applied after truncation; may be traced.

    Raises:
      TypeError: if `dtype` is not complex, or `key` is not a key.
      ValueError: if `key` holds several keys.

    >>> import jax, jax.numpy as jnp
    >>> z = draw_complex_truncated_normal(jax.random.key(0), 2.0, (1000,), jnp.complex64)
    >>> bool((jnp.abs(z) < 2 + 1e-6).all())
    True
    """
    dtype = _complex_dtype(key, dtype, "complex_truncated_normal")
    return _complex_truncated_normal(key, scale, float(upper), tuple(shape), dtype)


def _complex_dtype(key: Array, dtype: DTypeLike, function_name: str) -> np.dtype:
    check_key(key)
    requirement = f"{function_name} draws complex values"
    check_dtype(dtype, jnp.complexfloating, requirement, "pass a complex dtype such as complex64")
    return jax.dtypes.canonicalize_dtype(dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _complex_disk(key: Array, scale: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    key_radius, key_angle = jax.random.split(key)
    modulus = jnp.sqrt(2 * draw_uniform(key_radius, shape, real_dtype(dtype)))
    return _draw_phases(modulus.astype(dtype), key_angle, scale)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _complex_truncated_normal(
    key: Array, scale: ArrayLike, upper: float, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    key_radius, key_angle = jax.random.split(key)
    mass = 1 - jnp.exp(jnp.asarray(-(upper**2), dtype))
    fraction = draw_uniform(key_radius, shape, real_dtype(dtype)).astype(dtype)
    return _draw_phases(jnp.sqrt(-jnp.log(1 - mass * fraction)), key_angle, scale)


def _draw_phases(modulus: Array, key_angle: Array, scale: ArrayLike) -> Array:
    """Return values of the given moduli and of uniform phases, times `scale`."""
    turns = draw_uniform(key_angle, modulus.shape, real_dtype(modulus.dtype))
    unscaled = pin_rounding(modulus * jnp.exp(2j * np.pi * turns.astype(modulus.dtype)))
    return pin_rounding(unscaled * jnp.asarray(scale, modulus.dtype))
