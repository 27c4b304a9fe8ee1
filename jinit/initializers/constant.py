"""Constant initializers: every entry is the same, or a given array is broadcast."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from jinit.initializers.base import DTypeOption, Initializer, dtype_name

FrozenArray = complex | tuple["FrozenArray", ...]
"""A number, or an array as nested tuples of numbers."""


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """Every entry equals `value`; an array is broadcast to the shape.

    >>> import jax, jinit
    >>> jinit.ones(jax.random.key(0), (2,))
    Array([1., 1.], dtype=float32)
    """

    is_entrywise = True
    name = "constant"
    positional = ("value",)
    value: FrozenArray

    if not TYPE_CHECKING:  # a type checker should see the signature of Initializer

        @wraps(Initializer.__call__)
        def __call__(self, *arguments: Any, **options: Any) -> Array:
            """Return an array of the constant; called without arguments, say what to write."""
            if not arguments and not options:
                raise TypeError(
                    f"{self!r} is already an initializer, not a function that builds one: write "
                    f"jinit.{self!r} without parentheses after it, or {self!r}(key, shape) to get "
                    "an array"
                )
            return super().__call__(*arguments, **options)

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the largest finite absolute value."""
        del shape
        value = np.array(self.value)
        return float(np.abs(value[np.isfinite(value)]).max(initial=0))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the value, broadcast to the shape; the key is not used."""
        del key
        value = np.array(self.value)
        if value.dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(
                f"constant: {dtype.name} cannot hold the complex value of {self!r}: ask for "
                "complex64, or build it from the real part"
            )
        if jnp.issubdtype(dtype, jnp.inexact):
            self.check_entries(shape, dtype)
        return jnp.broadcast_to(jnp.asarray(value, dtype), shape)

    def __repr__(self) -> str:
        if self.dtype is None and type(self.value) is float and self.value in (0.0, 1.0):
            return "ones" if self.value else "zeros"
        return super().__repr__()


def constant(value: ArrayLike, dtype: DTypeOption = None) -> Constant:
    """Return an initializer whose every entry equals `value`; an array is broadcast to the shape.

    In a constant kernel all units of a layer are identical. Their gradients stay equal, and
    training cannot make the units different. Use it for biases and scales.

    Args:
      value: a number, or an array that broadcasts to the shape.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `value` is not numeric.

    >>> import jax, jax.numpy as jnp
    >>> constant(-7)(jax.random.key(0), (2, 2))
    Array([[-7., -7.],
           [-7., -7.]], dtype=float32)
    """
    return Constant(freeze_array("constant", value), dtype=dtype_name(dtype))


zeros = Constant(0.0)
"""Every entry is 0. In a kernel of zeros all units of a layer are identical."""

ones = Constant(1.0)
"""Every entry is 1: the usual initialization of normalization scales."""


def zeros_init() -> Constant:
    """Return `zeros`; this is Flax's spelling.

    >>> zeros_init() == zeros
    True
    """
    return zeros


def ones_init() -> Constant:
    """Return `ones`; this is Flax's spelling.

    >>> ones_init() == ones
    True
    """
    return ones


def freeze_array(name: str, value: ArrayLike | Sequence) -> FrozenArray:
    """Return a number or an array as nested tuples: hashable, comparable plain data.

    Raises:
      TypeError: if the value is traced or not numeric.
    """
    if isinstance(value, Tracer):
        raise TypeError(
            f"{name}: got a traced value, but an initializer is a plain value: "
            "give it a number or a concrete array"
        )
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal lengths, or nested too deeply
        array = np.asarray(None)
    if array.dtype.kind not in "biufcU" and not jnp.issubdtype(array.dtype, jnp.inexact):
        raise TypeError(f"{name}: expected a number or a numeric array, got {reprlib.repr(value)}")
    try:  # plain data holds a complex number as text
        wide = array.astype(np.complex128 if array.dtype.kind in "cU" else np.float64)
    except ValueError:
        raise TypeError(f"{name}: expected a number, got {reprlib.repr(value)}") from None
    return _freeze_list(wide.tolist())


def _freeze_list(value: list | complex) -> FrozenArray:
    return tuple(_freeze_list(item) for item in value) if isinstance(value, list) else value
