"""Checks of the arguments with which an initializer is called."""

import operator
import warnings
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jinit.sampling import check_signed


def is_key(value: object) -> bool:
    """Return whether `value` is a random key, or an array of keys of the new style."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return False
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return True
    return dtype == np.uint32 and getattr(value, "ndim", 0) == 1


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape as a tuple of integers.

    Raises:
      TypeError: if it is not a sequence of integers.
      ValueError: if a size is negative.
    """
    try:
        sizes = tuple(operator.index(axis) for axis in shape)
    except TypeError:
        hint = "a vector of n is (n,)"
        if is_key(shape):
            hint = "the key comes first: initializer(key, shape)"
        raise TypeError(f"shape: expected a tuple of integers, got {shape!r}; {hint}") from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape: expected sizes >= 0, got {sizes}")
    return sizes


def supported_dtype(dtype: DTypeLike) -> np.dtype:
    """Return the dtype that JAX supports: 64 bits only with x64, else 32 bits and a warning.

    Raises:
      TypeError: if it is not a numeric dtype, or one without a sign.
    """
    try:
        resolved = jax.dtypes.canonicalize_dtype(dtype)
    except (TypeError, ValueError):
        resolved = np.dtype(object)
    if not (jnp.issubdtype(resolved, jnp.number) or resolved == np.bool_):
        raise TypeError(
            "dtype: expected a floating or complex dtype such as 'float32' or jax.numpy.bfloat16, "
            f"got {dtype!r}"
        )
    check_signed(resolved)
    has_width = dtype not in (float, int, complex)
    if has_width and jnp.dtype(dtype) != resolved:
        warnings.warn(
            f"{jnp.dtype(dtype).name} was asked for and {resolved.name} is given, because JAX's "
            "64-bit types are off; turn them on with jax.config.update('jax_enable_x64', True)",
            stacklevel=3,
        )
    return resolved


def check_sharding(sharding: object) -> NamedSharding | PartitionSpec | None:
    """Return `out_sharding`; raise a TypeError unless it is a named layout or None."""
    if sharding is None or isinstance(sharding, NamedSharding | PartitionSpec):
        return sharding
    raise TypeError(
        "out_sharding: expected a jax.sharding.NamedSharding, or a PartitionSpec inside "
        f"`with jax.set_mesh(mesh):`, got {sharding!r}; for a single device, draw inside "
        "`with jax.default_device(device):`"
    )
