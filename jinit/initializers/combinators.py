"""Initializers made of initializers: another one's values, scaled, cast, truncated or masked.

What is wrapped is any function `(key, shape, dtype) -> Array`; one that returns a Flax box, such as
`nn.with_partitioning(init, names)` does, gets its value changed and stays boxed.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.initializers.base import Initializer, dtype_name, finite, ordered
from jinit.initializers.constant import Nested, frozen
from jinit.initializers.wrapped import Base, callable_base, on_value, unboxed
from jinit.sampling import float_stream, rounded
from jinit.theory import Marginal, scaled_law

# A draw that lands outside its bounds half of the time is inside after so many rounds, but for one
# entry in 10¹⁹.
_ROUNDS = 64


@dataclass(frozen=True, repr=False)
class Scaled(Initializer):
    """Another initializer's draw, times a factor."""

    name = "scaled"
    leading = ("initializer", "factor")
    initializer: Base
    factor: float

    def variance_rule(self) -> str:
        """The other one's rule, times the factor squared; empty if it has none."""
        base = self.initializer
        rule = base.variance_rule() if isinstance(base, Initializer) else ""
        return f"{self.factor**2:g} · {rule}" if rule else ""

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """The other one's law, scaled."""
        law = self.initializer.law(shape) if isinstance(self.initializer, Initializer) else None
        return scaled_law(law, self.factor) if law and self.factor else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """The draw in the float stream, times the factor, rounded once."""
        drawn = self.initializer(key, shape, _stream(dtype))
        return on_value(lambda value: rounded(value * self.factor, dtype), drawn)


@dataclass(frozen=True, repr=False)
class Cast(Initializer):
    """Another initializer's draw in a dtype of its own, rounded to the one asked for."""

    name = "cast"
    leading = ("initializer", "stream")
    initializer: Base
    stream: str = "float32"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """The draw in `stream`, rounded to `dtype`."""
        if dtype.kind == "c" and jnp.dtype(self.stream).kind != "c":
            float_stream(dtype, f"cast(..., {self.stream!r})")
        drawn = self.initializer(key, shape, jnp.dtype(self.stream))
        return on_value(lambda value: rounded(value, dtype), drawn)


@dataclass(frozen=True, repr=False)
class Truncated(Initializer):
    """Another initializer's law, conditioned on an open interval."""

    name = "truncated"
    leading = ("initializer", "lower", "upper")
    initializer: Base
    lower: float
    upper: float

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Entries outside the interval are drawn again until they are inside."""
        stream, dtype = float_stream(dtype, self.name)
        drawn = self.initializer(key, shape, stream)
        law = self.initializer, self.lower, self.upper
        return on_value(lambda first: rounded(_inside(key, first, *law), dtype), drawn)


@dataclass(frozen=True, repr=False)
class Masked(Initializer):
    """Another initializer's draw, zero where a mask is."""

    name = "masked"
    leading = ("initializer", "mask")
    initializer: Base
    mask: Nested

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """The draw where the mask, broadcast to the shape, is not zero."""
        mask = np.asarray(self.mask) != 0
        if not _broadcasts(mask.shape, shape):
            raise ValueError(
                f"masked: a mask with axes {mask.shape} does not broadcast to shape {shape}"
            )
        kept = jnp.broadcast_to(mask, shape)
        drawn = self.initializer(key, shape, dtype)
        return on_value(lambda value: jnp.where(kept, value, np.zeros((), value.dtype)), drawn)


def scaled(initializer: Base, factor: float, dtype: DTypeLike | None = None) -> Scaled:
    """`factor` times what `initializer` draws, rounded once.

    Args:
      initializer: any `(key, shape, dtype) -> Array`. factor: finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called. ValueError: `factor` is not finite.

    >>> import jax, jinit
    >>> w = scaled(jinit.ones, 0.5)(jax.random.key(0), (3,))
    >>> w.tolist()
    [0.5, 0.5, 0.5]
    """
    return Scaled(callable_base(initializer), finite("factor", factor), dtype=dtype_name(dtype))


def cast(initializer: Base, stream: DTypeLike = "float32", dtype: DTypeLike | None = None) -> Cast:
    """What `initializer` draws in the dtype `stream`, rounded to the dtype asked for.

    For initializers from elsewhere that cannot draw in low precision, or draw badly in it.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      stream: floating or complex dtype to draw in. dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called, or `stream` is not floating or complex.

    >>> import jax, jax.numpy as jnp
    >>> w = cast(jax.nn.initializers.orthogonal())(jax.random.key(0), (4, 4), jnp.bfloat16)
    >>> w.dtype.name
    'bfloat16'
    """
    return Cast(callable_base(initializer), str(dtype_name(stream)), dtype=dtype_name(dtype))


def truncated(
    initializer: Base, lower: float, upper: float, dtype: DTypeLike | None = None
) -> Truncated:
    """What `initializer` draws, drawn again where it is not strictly between the bounds.

    A value that is inside stays what `initializer` draws from the same key.

    The bounds are values, not multiples of a standard deviation, and the variance shrinks with
    them. If nothing inside them is found in 64 rounds, the value is clipped; one rounded to a low
    precision can equal a bound.

    Args:
      initializer: any `(key, shape, dtype) -> Array` of real values.
      lower, upper: bounds, lower < upper. dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called. ValueError: `lower >= upper`.

    >>> import jax, jinit
    >>> w = truncated(jinit.normal(1.0), -1, 1)(jax.random.key(0), (1000,))
    >>> bool((abs(w) < 1).all())
    True
    """
    bounds = ordered("lower", lower, "upper", upper)
    return Truncated(callable_base(initializer), *bounds, dtype=dtype_name(dtype))


def masked(initializer: Base, mask: ArrayLike, dtype: DTypeLike | None = None) -> Masked:
    """What `initializer` draws, and zero wherever `mask` is zero.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      mask: array that broadcasts to the shapes asked for. dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called, or `mask` is not numeric. ValueError: when called,
        a shape that the mask does not broadcast to.

    >>> import jax, jinit
    >>> masked(jinit.ones, [1, 0, 1])(jax.random.key(0), (2, 3)).tolist()
    [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """
    return Masked(callable_base(initializer), frozen("masked", mask), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _inside(key: Array, first: Array, initializer: Base, lower: float, upper: float) -> Array:
    def outside(drawn: Array) -> Array:
        return (drawn <= lower) | (drawn >= upper)

    def again(carried: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, key, drawn = carried
        key, own = jax.random.split(key)
        fresh = unboxed(initializer(own, first.shape, first.dtype))
        return number + 1, key, jnp.where(outside(drawn), fresh, drawn)

    def wanted(carried: tuple[Array, Array, Array]) -> Array:
        return (carried[0] < _ROUNDS) & outside(carried[2]).any()

    drawn = lax.while_loop(wanted, again, (jnp.zeros((), jnp.int32), key, first))[2]
    return jnp.clip(drawn, lower, upper)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return False


def _stream(dtype: np.dtype) -> np.dtype:
    """The dtype in which a draw is still exact enough to be changed before it is rounded."""
    return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
