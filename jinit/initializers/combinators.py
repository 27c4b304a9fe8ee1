"""Initializers that scale, cast, truncate or mask the draw of another initializer.

The wrapped initializer is any function `(key, shape, dtype) -> Array`. If it returns an array in a
Flax box, such as that of `nn.with_partitioning(init, names)`, the result has the same box.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.initializers.base import (
    DTypeOption,
    Initializer,
    check_finite,
    check_ordered,
    dtype_name,
)
from jinit.initializers.boxes import InitFunction, check_callable, map_boxed, unbox_array
from jinit.initializers.constant import FrozenArray, freeze_array
from jinit.initializers.marginals import Marginal, scaled_marginal
from jinit.sampling import round_to_dtype, sampling_dtypes

# An entry that is outside the bounds with probability 1/2 is still outside after 64 draws with
# probability 5·10⁻²⁰.
_MAX_REDRAWS = 64


@dataclass(frozen=True, repr=False)
class Scaled(Initializer):
    """The draw of another initializer, times a factor."""

    name = "scaled"
    positional = ("initializer", "factor")
    initializer: InitFunction
    factor: float

    def variance_with_options(self) -> str:
        """Return the formula of the wrapped initializer times the factor squared."""
        wrapped = self.initializer
        formula = wrapped.variance_with_options() if isinstance(wrapped, Initializer) else ""
        return f"{self.factor**2:g} · {formula}" if formula else ""

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the scaled distribution of the wrapped initializer."""
        wrapped = self.initializer
        marginal = wrapped.marginal(shape) if isinstance(wrapped, Initializer) else None
        return scaled_marginal(marginal, self.factor) if marginal and self.factor else None

    def complex_std_ratio(self) -> float:
        """Return the ratio of the wrapped initializer."""
        wrapped = self.initializer
        return wrapped.complex_std_ratio() if isinstance(wrapped, Initializer) else 1.0

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the bound of the wrapped initializer times the factor."""
        return abs(self.factor) * _largest_entry(self.initializer, shape)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw in at least single precision, multiply by the factor, and round once."""
        if jnp.issubdtype(dtype, jnp.inexact):
            self.check_entries(shape, dtype)
        draw = self.initializer(key, shape, _draw_dtype(dtype))
        return map_boxed(lambda value: round_to_dtype(value * self.factor, dtype), draw)


@dataclass(frozen=True, repr=False)
class Cast(Initializer):
    """The draw of another initializer in a fixed dtype, rounded to the dtype of the call."""

    name = "cast"
    positional = ("initializer", "stream")
    initializer: InitFunction
    stream: str = "float32"

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the bound of the wrapped initializer."""
        return _largest_entry(self.initializer, shape)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw in the dtype `stream`, and round to `dtype`."""
        if dtype.kind == "c" and jnp.dtype(self.stream).kind != "c":
            sampling_dtypes(dtype, f"cast(..., {self.stream!r})")
        draw = self.initializer(key, shape, jnp.dtype(self.stream))
        return map_boxed(lambda value: round_to_dtype(value, dtype), draw)


@dataclass(frozen=True, repr=False)
class Truncated(Initializer):
    """The distribution of another initializer, conditioned on an open interval."""

    name = "truncated"
    positional = ("initializer", "lower", "upper")
    initializer: InitFunction
    lower: float
    upper: float

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the smaller one of the bounds of the interval and of the wrapped initializer."""
        bound = max(abs(self.lower), abs(self.upper))
        return min(bound, _largest_entry(self.initializer, shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw the entries outside the interval again until they are inside."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)

        def redraw(values: Array) -> Array:
            return _redraw_outliers(key, values, self.initializer, self.lower, self.upper)

        draw = self.initializer(key, shape, draw_dtype)
        return map_boxed(lambda values: round_to_dtype(redraw(values), dtype), draw)


@dataclass(frozen=True, repr=False)
class Masked(Initializer):
    """The draw of another initializer, set to zero where a mask is zero."""

    name = "masked"
    positional = ("initializer", "mask")
    initializer: InitFunction
    mask: FrozenArray

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw, and set the entries to zero where the mask, broadcast to the shape, is zero."""
        mask = np.asarray(self.mask) != 0
        if not _is_broadcastable(mask.shape, shape):
            raise ValueError(
                f"masked: a mask of shape {mask.shape} does not broadcast to shape {shape}"
            )
        is_kept = jnp.broadcast_to(mask, shape)
        draw = self.initializer(key, shape, dtype)
        return map_boxed(lambda value: jnp.where(is_kept, value, np.zeros((), value.dtype)), draw)


def _largest_entry(initializer: InitFunction, shape: tuple[int, ...]) -> float:
    """Return a bound on the absolute values that an initializer draws; 0 if it is not known."""
    return initializer.largest_entry(shape) if isinstance(initializer, Initializer) else 0.0


def scaled(initializer: InitFunction, factor: float, dtype: DTypeOption = None) -> Scaled:
    """Return an initializer that draws `factor` times what `initializer` draws, rounded once.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      factor: factor on every entry, finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `factor` is not a number.
      ValueError: if `factor` is not finite.

    >>> import jax, jinit
    >>> w = scaled(jinit.ones, 0.5)(jax.random.key(0), (3,))
    >>> w.tolist()
    [0.5, 0.5, 0.5]
    """
    return Scaled(
        check_callable(initializer), check_finite("factor", factor), dtype=dtype_name(dtype)
    )


def cast(
    initializer: InitFunction, stream: DTypeLike = "float32", dtype: DTypeOption = None
) -> Cast:
    """Return an initializer that draws in the dtype `stream` and rounds to the dtype of the call.

    Use it for initializers from elsewhere that cannot draw in low precision, or draw badly in it.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      stream: floating or complex dtype to draw in.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `stream` is not floating or complex; when
        called, if `stream` is real and the dtype of the call is complex.

    >>> import jax, jax.numpy as jnp
    >>> w = cast(jax.nn.initializers.orthogonal())(jax.random.key(0), (4, 4), jnp.bfloat16)
    >>> w.dtype.name
    'bfloat16'
    """
    return Cast(check_callable(initializer), str(dtype_name(stream)), dtype=dtype_name(dtype))


def truncated(
    initializer: InitFunction, lower: float, upper: float, dtype: DTypeOption = None
) -> Truncated:
    """Return an initializer that draws again every value that is not strictly between the bounds.

    A value inside the bounds equals what `initializer` draws from the same key. The bounds are
    values, not multiples of a standard deviation, and they reduce the variance. A value that is
    still outside after 64 further draws is clipped. A value rounded to a low precision can equal
    a bound.

    Args:
      initializer: any `(key, shape, dtype) -> Array` of real values.
      lower: lower bound.
      upper: upper bound, greater than `lower`.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or a bound is not a number.
      ValueError: if a bound is not finite, or `lower >= upper`.

    >>> import jax, jinit
    >>> w = truncated(jinit.normal(1.0), -1, 1)(jax.random.key(0), (1000,))
    >>> bool((abs(w) < 1).all())
    True
    """
    low, high = check_ordered("lower", lower, "upper", upper)
    return Truncated(check_callable(initializer), low, high, dtype=dtype_name(dtype))


def masked(initializer: InitFunction, mask: ArrayLike, dtype: DTypeOption = None) -> Masked:
    """Return an initializer that draws as `initializer` does, with zeros where `mask` is zero.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      mask: array that broadcasts to the shape.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `mask` is not numeric.
      ValueError: when called, if the mask does not broadcast to the shape.

    >>> import jax, jinit
    >>> masked(jinit.ones, [1, 0, 1])(jax.random.key(0), (2, 3)).tolist()
    [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """
    return Masked(
        check_callable(initializer), freeze_array("masked", mask), dtype=dtype_name(dtype)
    )


@partial(jax.jit, static_argnums=(2, 3, 4))
def _redraw_outliers(
    key: Array, values: Array, initializer: InitFunction, lower: float, upper: float
) -> Array:
    def is_outside(values: Array) -> Array:
        return (values <= lower) | (values >= upper)

    def redraw(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, key, values = state
        key, draw_key = jax.random.split(key)
        fresh = unbox_array(initializer(draw_key, values.shape, values.dtype))
        return count + 1, key, jnp.where(is_outside(values), fresh, values)

    def must_continue(state: tuple[Array, Array, Array]) -> Array:
        count, _, values = state
        return (count < _MAX_REDRAWS) & is_outside(values).any()

    initial = (jnp.zeros((), jnp.int32), key, values)
    _, _, final = lax.while_loop(must_continue, redraw, initial)
    return jnp.clip(final, lower, upper)


def _is_broadcastable(mask_shape: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(mask_shape, shape) == shape
    except ValueError:
        return False


def _draw_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype to draw in before a value is changed: at least single precision."""
    return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
