"""Deterministic starts: every entry the same, or a given array broadcast."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from jinit.initializers.base import Initializer, dtype_name

Nested = complex | tuple["Nested", ...]


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """Every entry equals `value`, or `value` broadcast to the shape.

    >>> import jax, jinit
    >>> jinit.ones(jax.random.key(0), (2,))
    Array([1., 1.], dtype=float32)
    """

    entrywise = True
    name = "constant"
    leading = ("value",)
    value: Nested

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The value, broadcast to the shape; the key is not used."""
        del key
        value = np.array(self.value)
        if value.dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(
                f"constant: {dtype.name} cannot hold the complex value of {self!r}: ask for "
                "complex64, or build it from the real part"
            )
        return jnp.broadcast_to(jnp.asarray(value, dtype), shape)

    def __repr__(self) -> str:
        if self.dtype is None and type(self.value) is float and self.value in (0.0, 1.0):
            return "ones" if self.value else "zeros"
        return super().__repr__()


def constant(value: ArrayLike, dtype: jax.typing.DTypeLike | None = None) -> Constant:
    """Every entry equals `value` (broadcast to the shape, when it is an array).

    A constant kernel keeps all units of a layer identical: their gradients stay equal and
    training cannot tell them apart. It is meant for biases and scales.

    Args:
      value: a number, or an array that broadcasts to the shape asked for.
      dtype: default dtype of the result.

    Raises:
      TypeError: `value` is not numeric.

    >>> import jax, jax.numpy as jnp
    >>> constant(-7)(jax.random.key(0), (2, 2))
    Array([[-7., -7.],
           [-7., -7.]], dtype=float32)
    """
    return Constant(frozen("constant", value), dtype=dtype_name(dtype))


zeros = Constant(0.0)
"""Every entry is 0. Kernels that start at zero leave the units of a layer identical."""

ones = Constant(1.0)
"""Every entry is 1: the start of normalization scales."""


def zeros_init() -> Constant:
    """`zeros`, in Flax's spelling.

    >>> zeros_init() == zeros
    True
    """
    return zeros


def ones_init() -> Constant:
    """`ones`, in Flax's spelling.

    >>> ones_init() == ones
    True
    """
    return ones


def frozen(name: str, value: ArrayLike | Sequence) -> Nested:
    """A number or an array as nested tuples: hashable, comparable, and plain data."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"{name}: got a traced value, but an initializer is a plain value: "
            "give it a number or a concrete array"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biufcU" and not jnp.issubdtype(array.dtype, jnp.inexact):
        raise TypeError(f"{name}: expected a number or a numeric array, got {value!r}")
    try:  # a complex number is written to plain data as text
        wide = array.astype(np.complex128 if array.dtype.kind in "cU" else np.float64)
    except ValueError:
        raise TypeError(f"{name}: expected a number, got {value!r}") from None
    return _nested(wide.tolist())


def _nested(value: list | complex) -> Nested:
    return tuple(_nested(item) for item in value) if isinstance(value, list) else value
