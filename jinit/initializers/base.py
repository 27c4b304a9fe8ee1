"""The base class of initializers, and the checks of their options."""

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jinit.initializers.call_arguments import (
    check_shape,
    check_sharding,
    is_key,
    supported_dtype,
)
from jinit.initializers.marginals import Marginal
from jinit.initializers.sharded_draw import draw_sharded
from jinit.sampling import check_key, check_range

DTypeOption = DTypeLike | None
"""Type of the option `dtype`: the default dtype of an initializer, or None for JAX's default."""


@dataclass(frozen=True, repr=False, kw_only=True)
class Initializer(ABC):
    """A distribution of weights: `initializer(key, shape, dtype=None, out_sharding=None)`.

    Frozen, hashable, comparable by value and picklable. The values drawn depend only on the key,
    the shape, the dtype and the options of the initializer, not on jit, vmap, the number of
    devices or the mesh.

    >>> import jax, jinit
    >>> jinit.he_normal() == jinit.variance_scaling(2.0, "fan_in", "truncated_normal")
    True
    >>> jinit.he_normal()(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """

    dtype: str | None = None
    """Default dtype of the result; None for JAX's default."""

    name: ClassVar[str]
    """The public function that builds this initializer from its fields."""

    positional: ClassVar[tuple[str, ...]] = ()
    """Fields that are always printed, before the others and without their names."""

    is_entrywise: ClassVar[bool] = False
    """Whether the entries are independent, with a distribution that the shape does not change."""

    variance_formula: ClassVar[str] = ""
    """The variance of an entry as a formula of the options and the fans; empty if there is none."""

    def __call__(
        self,
        key: Array,
        shape: Sequence[int],
        dtype: DTypeLike | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Array:
        """Draw an array.

        Args:
          key: one random key.
          shape: sizes of the axes.
          dtype: dtype of the result; by default the initializer's own, else JAX's default.
          out_sharding: layout of the result over a mesh: a NamedSharding, or a PartitionSpec under
            `jax.set_mesh`. An entrywise draw then needs on each device only the memory of its part.

        Returns:
          Array of that shape and dtype.

        Raises:
          TypeError: if an argument has the wrong type, or the initializer cannot draw the dtype.
          ValueError: if the initializer cannot draw the shape, its values can overflow the dtype,
            or `key` is an array of keys.
        """
        sizes = check_shape(shape)
        resolved = supported_dtype(self.dtype or float if dtype is None else dtype)
        sharding = check_sharding(out_sharding)
        self._check_options(resolved)
        try:
            if resolved.itemsize < 4 and jnp.issubdtype(resolved, jnp.floating):
                self.check_entries(sizes, resolved)
            if sharding is None:
                return self.draw(key, sizes, resolved)
            return draw_sharded(self, key, sizes, resolved, sharding)
        except (TypeError, ValueError, AttributeError):
            # A wrong key fails in many ways. Checking it only here costs a valid call no time.
            check_key(key, self.public_form()[0])
            raise

    def _check_options(self, dtype: np.dtype) -> None:
        """Raise if an option is too large for the dtype in which values are computed."""
        wide = dtype.itemsize > 4 and dtype != np.complex64
        computed = np.dtype(np.float64 if wide else np.float32)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and math.isfinite(value):
                check_range(f"{self.name}: {field.name}={value!r}", abs(value), computed)

    def variance_with_options(self) -> str:
        """Return the variance formula with the values of the options; empty if there is none."""
        return self.variance_formula

    def marginal(self, shape: Sequence[int]) -> Marginal | None:
        """Return the distribution of a single entry of a real array, or None if it is not known.

        >>> import jinit
        >>> jinit.he_uniform().marginal((150, 64)).high
        0.2
        """
        return self.entry_distribution(check_shape(shape))

    def entry_std(self, shape: Sequence[int], dtype: DTypeLike = float) -> float | None:
        """Return the standard deviation of an entry, √E[|w - E[w]|²], or None if it is not known.

        Args:
          shape: sizes of the axes.
          dtype: dtype of the array; complex truncated normals are 0.93 % wider than real ones.

        >>> import jinit
        >>> he, shape = jinit.he_normal(), (200, 64)
        >>> round(he.entry_std(shape), 6), round(he.entry_std(shape, complex), 6)
        (0.1, 0.100929)
        """
        marginal = self.marginal(shape)
        if marginal is None:
            return None
        is_complex = jnp.issubdtype(dtype, jnp.complexfloating)
        return marginal.std * (self.complex_std_ratio() if is_complex else 1.0)

    def complex_std_ratio(self) -> float:
        """Return the standard deviation of complex entries over that of real ones."""
        return 1.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the distribution of a single entry; the shape is already checked."""
        del shape
        return None

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return a bound on the absolute values of the entries; 0 if it is not known."""
        marginal = self.entry_distribution(shape)
        return 0.0 if marginal is None else marginal.largest

    def check_entries(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Raise if entries can overflow a floating or complex dtype."""
        check_range(self.name, self.largest_entry(shape), dtype)

    @abstractmethod
    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the array; shape and dtype are already checked."""

    def draw_over_mesh(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """Draw the array inside a sharded program; by default the same as `draw`."""
        del mesh
        return self.draw(key, shape, dtype)

    def to_spec(self) -> dict[str, Any]:
        """Return plain data from which `jinit.initializers.from_spec` builds an equal initializer.

        >>> import jinit
        >>> jinit.normal(0.02).to_spec()
        {'name': 'normal', 'stddev': 0.02}
        """
        name, options = self.public_form()
        return {"name": name} | {option: _plain_data(value) for option, value in options.items()}

    def public_form(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the public function and the options that differ from its defaults."""
        return self.name, {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    def __repr__(self) -> str:
        name, options = self.public_form()
        unnamed = [_format_value(getattr(self, option)) for option in self.positional]
        named = [
            f"{option}={_format_value(value)}"
            for option, value in options.items()
            if option not in self.positional
        ]
        return f"{name}({', '.join(unnamed + named)})"


def dtype_name(dtype: DTypeOption) -> str | None:
    """Return a default dtype as plain data.

    Raises:
      TypeError: if it is not a floating or complex dtype.
    """
    if dtype is None:
        return None
    try:
        name, is_inexact = jnp.dtype(dtype).name, jnp.issubdtype(dtype, jnp.inexact)
    except TypeError:
        name, is_inexact = repr(dtype), False
    if not is_inexact:
        raise TypeError(f"dtype: expected a floating or complex dtype, got {name}")
    return name


def check_finite(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
      TypeError: if it is not a number, or a traced one.
      ValueError: if it is infinite or not a number (NaN).
    """
    if isinstance(value, Tracer):
        raise TypeError(
            f"{name}: got a traced value, but an initializer is a plain value: build it from a "
            "Python number, and multiply what it draws by the traced factor"
        )
    if isinstance(value, np.ndarray | Array) and value.ndim == 0 and not is_key(value):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {value!r} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return number


def check_non_negative(name: str, value: object) -> float:
    """Return `value` as a float >= 0; raise like `check_finite`, or if it is negative."""
    number = check_finite(name, value)
    if number < 0:
        raise ValueError(
            f"{name}: expected a number >= 0, got {number!r}; a negative scale only mirrors the "
            f"distribution, so this is most likely a slip: did you mean {-number!r}?"
        )
    return number


def check_positive(name: str, value: object) -> float:
    """Return `value` as a float > 0; raise like `check_finite`, or if it is not positive."""
    if (number := check_finite(name, value)) <= 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return number


def check_ordered(low_name: str, low: object, high_name: str, high: object) -> tuple[float, float]:
    """Return two finite numbers as floats; raise unless the first is less than the second."""
    lower, upper = check_finite(low_name, low), check_finite(high_name, high)
    if lower >= upper:
        raise ValueError(f"expected {low_name} < {high_name}, got {lower!r} >= {upper!r}")
    return lower, upper


def check_integer(name: str, value: object) -> int:
    """Return `value` as an int; raise a TypeError if it is not an integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r} ({type(value).__name__})")
    return int(value)


def check_positive_integer(name: str, value: object) -> int:
    """Return `value` as an int >= 1; raise a TypeError or a ValueError otherwise."""
    if (number := check_integer(name, value)) < 1:
        raise ValueError(f"{name}: expected at least 1, got {value!r}")
    return number


def check_rank(
    name: str,
    shape: tuple[int, ...],
    ranks: int | tuple[int, int],
    expected: str,
    remedy: str = "",
) -> None:
    """Raise a ValueError if a shape has the wrong number of axes.

    Args:
      name: the initializer.
      shape: shape to be drawn.
      ranks: least number of axes, or least and greatest number.
      expected: what is drawn, with its axes, such as "a kernel (in, out)".
      remedy: what to use for other shapes.
    """
    low, high = ranks if isinstance(ranks, tuple) else (ranks, len(shape))
    if low <= len(shape) <= high:
        return
    number = f"{low} to {high} axes" if isinstance(ranks, tuple) else _at_least(low)
    hint = f"; {remedy}" if remedy else ""
    raise ValueError(f"{name}: expected {expected} of {number}, got shape {shape}{hint}")


def _at_least(rank: int) -> str:
    return "at least 1 axis" if rank == 1 else f"at least {rank} axes"


def _format_value(value: object) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else repr(value)


def _plain_data(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain_data(item) for item in value]
    if isinstance(value, Initializer):
        return value.to_spec()
    if callable(value):
        raise TypeError(
            f"{value!r} is a function, not one of jinit's values: it cannot be written as data"
        )
    return str(value) if isinstance(value, complex) else value
