"""Complex draws on a disk, as JAX's complex variance scaling makes them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.distributions import fence, uniform


def complex_disk(
    key: Array, shape: tuple[int, ...], dtype: DTypeLike, *, scale: ArrayLike = 1.0
) -> Array:
    """Uniform on the disk of radius `√2 scale`: mean 0, variance `scale²`.

    >>> import jax, jax.numpy as jnp
    >>> z = complex_disk(jax.random.key(0), (1000,), jnp.complex64)
    >>> bool((jnp.abs(z) < 2**0.5 + 1e-6).all())
    True
    """
    return _disk(key, scale, tuple(shape), jax.dtypes.canonicalize_dtype(dtype))


def complex_truncated_normal(
    key: Array,
    upper: float,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Complex normal of variance 1 conditioned on modulus below `upper`, times `scale`.

    The modulus is `√(-log(1 - t))`, t uniform on `[0, 1 - exp(-upper²))`.

    >>> import jax, jax.numpy as jnp
    >>> z = complex_truncated_normal(jax.random.key(0), 2.0, (1000,), jnp.complex64)
    >>> bool((jnp.abs(z) < 2 + 1e-6).all())
    True
    """
    return _truncated(key, scale, float(upper), tuple(shape), jax.dtypes.canonicalize_dtype(dtype))


@partial(jax.jit, static_argnums=(2, 3))
def _disk(key: Array, scale: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    key_radius, key_angle = jax.random.split(key)
    modulus = jnp.sqrt(2 * uniform(key_radius, shape, _part(dtype)))
    return _from_polar(modulus.astype(dtype), key_angle, scale)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _truncated(
    key: Array, scale: ArrayLike, upper: float, shape: tuple[int, ...], dtype: np.dtype
) -> Array:
    key_radius, key_angle = jax.random.split(key)
    mass = 1 - jnp.exp(jnp.asarray(-(upper**2), dtype))
    radius = uniform(key_radius, shape, _part(dtype)).astype(dtype)
    return _from_polar(jnp.sqrt(-jnp.log(1 - mass * radius)), key_angle, scale)


def _from_polar(modulus: Array, key_angle: Array, scale: ArrayLike) -> Array:
    turns = uniform(key_angle, modulus.shape, _part(modulus.dtype))
    unscaled = fence(modulus * jnp.exp(2j * np.pi * turns.astype(modulus.dtype)))
    return fence(unscaled * jnp.asarray(scale, modulus.dtype))


def _part(dtype: np.dtype) -> np.dtype:
    """The dtype of the real part."""
    return jnp.finfo(dtype).dtype
