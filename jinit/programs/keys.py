"""Random keys and their data."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

THREEFRY_DTYPE = "key<fry>"
"""Name of the dtype of the keys whose random bits jinit draws with its own sampler."""

DATA_PRESERVING_PRIMITIVES = frozenset({"random_wrap", "random_unwrap", "random_clone"})
"""Names of the primitives that return the same key, or its data."""


def key_aval() -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of one key."""
    return jax.eval_shape(jax.random.key, 0)


def is_typed_key(value: Any) -> bool:
    """Return whether an array, or its shape and dtype, is that of a typed key, not of its data."""
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_threefry(value: Any) -> bool:
    """Return whether an array holds typed threefry keys, or is the data of keys."""
    return not is_typed_key(value) or str(value.dtype) == THREEFRY_DTYPE


def key_data(value: Any) -> Any:
    """Return the data of typed keys, and any other array unchanged."""
    return jax.random.key_data(value) if is_typed_key(value) else value


def wrap_key(value: Any, implementation: str | None = None) -> Array:
    """Return typed keys unchanged, and the data of keys wrapped.

    Args:
      value: typed keys, or their data.
      implementation: name of the generator that the data is for; None for JAX's default.
    """
    return value if is_typed_key(value) else jax.random.wrap_key_data(value, impl=implementation)
