"""What every initializer is: a frozen value that draws an array from a key."""

import math
import numbers
import operator
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from jinit.theory import Marginal


@dataclass(frozen=True, repr=False, kw_only=True)
class Initializer(ABC):
    """A way to draw weights: called as `initializer(key, shape, dtype=None, out_sharding=None)`.

    Frozen, hashable, comparable by value and picklable. The value drawn depends on key, shape,
    dtype and the initializer's own parameters only: not on jit, vmap, device count or mesh.

    >>> import jax, jinit
    >>> jinit.he_normal() == jinit.variance_scaling(2.0, "fan_in", "truncated_normal")
    True
    >>> jinit.he_normal()(jax.random.key(0), (64, 32)).shape
    (64, 32)
    """

    dtype: str | None = None

    name: ClassVar[str]
    """The public function that builds this initializer from its fields."""

    leading: ClassVar[tuple[str, ...]] = ()
    """Fields that are always printed, first and without their name."""

    entrywise: ClassVar[bool] = False
    """Whether all entries are drawn alike, whatever the shape."""

    spread: ClassVar[str] = ""
    """The variance rule, where it reads the same for all members of the class."""

    def __call__(
        self,
        key: Array,
        shape: Sequence[int],
        dtype: jax.typing.DTypeLike | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Array:
        """Draw an array of `shape`; `dtype=None` means the initializer's own, else JAX's default.

        `out_sharding` (a NamedSharding, or a PartitionSpec under `jax.set_mesh`) lays the result
        out over a mesh; no device then holds more than its own part of an elementwise draw.
        """
        size = _checked_shape(shape)
        resolved = _available(dtype or self.dtype or float)
        if out_sharding is None:
            return self.draw(key, size, resolved)
        return _draw_sharded(self, key, size, resolved, out_sharding)

    def variance_rule(self) -> str:
        """Variance of an entry as a formula of the options and the fans; empty if it has none."""
        return self.spread

    def marginal(self, shape: Sequence[int]) -> Marginal | None:
        """Law of a single entry of a real array of `shape`; None where it is not one known law.

        >>> import jinit
        >>> jinit.he_uniform().marginal((150, 64)).high
        0.2
        """
        return self.law(_checked_shape(shape))

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """The marginal; the shape is already checked."""
        del shape
        return None

    @abstractmethod
    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The array itself; shape and dtype are already checked."""

    def draw_over(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """The array, inside a program over all devices of a mesh; by default like any other."""
        del mesh
        return self.draw(key, shape, dtype)

    def to_spec(self) -> dict[str, Any]:
        """Plain data that `jinit.initializers.from_spec` turns back into an equal initializer.

        >>> import jinit
        >>> jinit.normal(0.02).to_spec()
        {'name': 'normal', 'stddev': 0.02}
        """
        name, options = self.published()
        return {"name": name} | {option: _plain(value) for option, value in options.items()}

    def published(self) -> tuple[str, dict[str, Any]]:
        """The public name that builds this initializer, and the options that are not default."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return self.name, {
            option: value for option, (value, usual) in values.items() if value != usual
        }

    def __repr__(self) -> str:
        name, options = self.published()
        shown = [_short(getattr(self, option)) for option in self.leading]
        named = [
            f"{option}={_short(value)}"
            for option, value in options.items()
            if option not in self.leading
        ]
        return f"{name}({', '.join(shown + named)})"


def _short(value: object) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else repr(value)


def dtype_name(dtype: jax.typing.DTypeLike | None) -> str | None:
    """A default dtype as plain data; TypeError unless it is floating or complex."""
    if dtype is None:
        return None
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(f"dtype: expected a floating or complex dtype, got {jnp.dtype(dtype).name}")
    return jnp.dtype(dtype).name


def finite(name: str, value: object) -> float:
    """`value` as a float; an error that names the option when it is not one finite number."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"{name}: got a traced value, but an initializer is a plain value: build it from a "
            "Python number, and multiply what it draws by the traced factor"
        )
    if isinstance(value, np.ndarray | Array) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {value!r} ({type(value).__name__})")
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def non_negative(name: str, value: object) -> float:
    """`value` as a float that is not below zero."""
    number = finite(name, value)
    if number < 0:
        raise ValueError(
            f"{name}: expected a number >= 0, got {number!r}; a negative scale only mirrors the "
            f"distribution, so this is most likely a slip: did you mean {-number!r}?"
        )
    return number


def positive(name: str, value: object) -> float:
    """`value` as a float above zero."""
    if (number := finite(name, value)) <= 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")
    return number


def ordered(low_name: str, low: object, high_name: str, high: object) -> tuple[float, float]:
    """Two finite numbers, the first below the second."""
    lower, upper = finite(low_name, low), finite(high_name, high)
    if lower >= upper:
        raise ValueError(f"expected {low_name} < {high_name}, got {lower!r} >= {upper!r}")
    return lower, upper


def positive_integer(name: str, value: object) -> int:
    """`value` as an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value!r}")
    return int(value)


@partial(jax.jit, static_argnums=(0, 2, 3, 4))
def _draw_sharded(
    initializer: Initializer,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
    sharding: NamedSharding | PartitionSpec,
) -> Array:
    def draw(key: Array) -> Array:
        return initializer.draw_over(_automatic_mesh(sharding), key, shape, dtype)

    mesh = jax.sharding.get_abstract_mesh()
    if AxisType.Explicit in mesh.axis_types:
        spread = jax.sharding.auto_axes(draw, axes=mesh.axis_names, out_sharding=sharding)
        return jax.jit(spread)(key)
    if isinstance(sharding, PartitionSpec) and mesh.empty:
        raise ValueError(
            f"out_sharding={sharding} names mesh axes, but there is no mesh: pass a "
            "jax.sharding.NamedSharding, or call inside `with jax.set_mesh(mesh):`"
        )
    return jax.jit(draw, out_shardings=sharding)(key)


def _automatic_mesh(sharding: NamedSharding | PartitionSpec) -> Mesh | AbstractMesh:
    """The mesh of a draw, over which the compiler lays out whatever is not said."""
    around = jax.sharding.get_abstract_mesh()
    if isinstance(sharding, PartitionSpec) or not around.empty:
        return around
    mesh = sharding.mesh
    types = (AxisType.Auto,) * len(mesh.axis_names)
    return Mesh(np.asarray(mesh.devices), mesh.axis_names, axis_types=types)


def _available(dtype: jax.typing.DTypeLike) -> np.dtype:
    """The dtype JAX can give: 64 bits only with x64, and a warning where they were asked for."""
    resolved = jax.dtypes.canonicalize_dtype(dtype)
    by_width = dtype not in (float, int, complex)
    if by_width and jnp.dtype(dtype) != resolved:
        warnings.warn(
            f"{jnp.dtype(dtype).name} was asked for and {resolved.name} is given, because JAX's "
            "64-bit types are off; turn them on with jax.config.update('jax_enable_x64', True)",
            stacklevel=3,
        )
    return resolved


def _checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        size = tuple(operator.index(axis) for axis in shape)
    except TypeError:
        raise TypeError(
            f"shape: expected a tuple of integers, got {shape!r}; a vector of n is (n,)"
        ) from None
    if any(axis < 0 for axis in size):
        raise ValueError(f"shape: expected sizes >= 0, got {size}")
    return size


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Initializer):
        return value.to_spec()
    if callable(value):
        raise TypeError(
            f"{value!r} is a function, not one of jinit's values: it cannot be written as data"
        )
    return str(value) if isinstance(value, complex) else value
