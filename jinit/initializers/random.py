"""Independent draws whose scale is given, not computed from the shape."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers.base import (
    Initializer,
    dtype_name,
    finite,
    non_negative,
    ordered,
    positive,
)
from jinit.sampling import float_stream, rounded
from jinit.sampling import normal as draw_normal
from jinit.sampling import truncated_normal as draw_truncated_normal
from jinit.sampling import uniform as draw_uniform
from jinit.theory import Marginal, normal_law, truncated_normal_law, uniform_law


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """Uniform on `[0, scale)`."""

    entrywise = True
    name = "uniform"
    spread = "scale² / 12"
    leading = ("scale",)
    scale: float = 1e-2

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        del shape
        return uniform_law(0.0, self.scale) if self.scale else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`scale · u`, u uniform on `[0, 1)`."""
        return draw_uniform(key, shape, dtype, scale=self.scale)


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """Normal with mean 0."""

    entrywise = True
    name = "normal"
    spread = "stddev²"
    leading = ("stddev",)
    stddev: float = 1e-2

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Normal."""
        del shape
        return normal_law(0.0, self.stddev) if self.stddev else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`stddev · z`, z standard normal."""
        return draw_normal(key, shape, dtype, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(Initializer):
    """Normal conditioned on `lower < z < upper`, times `stddev`."""

    entrywise = True
    name = "truncated_normal"
    spread = "less than stddev²"
    leading = ("stddev",)
    stddev: float = 1e-2
    lower: float = -2.0
    upper: float = 2.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Truncated normal."""
        del shape
        if not self.stddev:
            return None
        return truncated_normal_law(self.stddev, self.lower, self.upper)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`stddev · z`, z standard normal inside the bounds."""
        return draw_truncated_normal(key, self.lower, self.upper, shape, dtype, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class RandomNormal(Initializer):
    """Normal with any mean."""

    entrywise = True
    name = "random_normal"
    spread = "stddev²"
    leading = ("mean", "stddev")
    mean: float = 0.0
    stddev: float = 1e-2

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Normal."""
        del shape
        return normal_law(self.mean, self.stddev) if self.stddev else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`mean + stddev · z`, z standard normal."""
        return draw_normal(key, shape, dtype, mean=self.mean, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class RandomUniform(Initializer):
    """Uniform on `[minval, maxval)`."""

    entrywise = True
    name = "random_uniform"
    spread = "(maxval - minval)² / 12"
    leading = ("minval", "maxval")
    minval: float = -0.05
    maxval: float = 0.05

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        del shape
        return uniform_law(self.minval, self.maxval)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`minval + (maxval - minval) · u`, u uniform on `[0, 1)`."""
        return draw_uniform(key, shape, dtype, self.minval, self.maxval)


@dataclass(frozen=True, repr=False)
class BoundedNormal(Initializer):
    """Normal conditioned on an interval of values."""

    entrywise = True
    name = "timm_trunc_normal"
    spread = "less than stddev²"
    leading = ("mean", "stddev", "minval", "maxval")
    mean: float = 0.0
    stddev: float = 1.0
    minval: float = -2.0
    maxval: float = 2.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Truncated normal."""
        del shape
        return truncated_normal_law(self.stddev, *self._bounds(), shift=self.mean)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`mean + stddev · z`, z standard normal inside the bounds."""
        stream, _ = float_stream(dtype, self.name)
        # Where erf rounds to one, the quantile of the bound itself would be drawn, a wild outlier.
        reach = 8.0 if stream == np.float64 else 5.25
        lower, upper = np.clip(self._bounds(), -reach, reach)
        z = draw_truncated_normal(key, lower, upper, shape, stream, scale=self.stddev)
        return rounded(jnp.clip(z + self.mean, self.minval, self.maxval), dtype)

    def _bounds(self) -> tuple[float, float]:
        """In standard deviations."""
        return (self.minval - self.mean) / self.stddev, (self.maxval - self.mean) / self.stddev


def uniform(scale: float = 1e-2, dtype: jax.typing.DTypeLike | None = None) -> Uniform:
    """Uniform on `[0, scale)`: JAX's one-sided uniform, variance `scale²/12`, mean `scale/2`.

    For a draw around zero use `random_uniform(-a, a)` or one of the scaled initializers.

    Args:
      scale: upper bound, >= 0. dtype: default dtype of the result.

    Raises:
      ValueError: `scale` is negative or not finite.

    >>> import jax
    >>> w = uniform(0.5)(jax.random.key(0), (100,))
    >>> bool((w >= 0).all() and (w < 0.5).all())
    True
    """
    return Uniform(non_negative("scale", scale), dtype=dtype_name(dtype))


def normal(stddev: float = 1e-2, dtype: jax.typing.DTypeLike | None = None) -> Normal:
    """Normal with mean 0 and standard deviation `stddev`.

    Args:
      stddev: standard deviation, >= 0. dtype: default dtype of the result.

    Raises:
      ValueError: `stddev` is negative or not finite.

    >>> import jax
    >>> w = normal(0.1)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.std() - 0.1) < 0.005)
    True
    """
    return Normal(non_negative("stddev", stddev), dtype=dtype_name(dtype))


def truncated_normal(
    stddev: float = 1e-2,
    dtype: jax.typing.DTypeLike | None = None,
    lower: float = -2.0,
    upper: float = 2.0,
) -> TruncatedNormal:
    """`stddev · z`, z standard normal conditioned on `lower < z < upper`.

    As in JAX, `stddev` is that of the untruncated normal: with bounds of ±2 the result has a
    standard deviation of 0.8796 `stddev`. `variance_scaling` corrects for this.

    Args:
      stddev: factor after truncation, >= 0. dtype: default dtype of the result.
      lower, upper: bounds, in standard deviations.

    Raises:
      ValueError: `stddev` is negative, or `lower >= upper`.

    >>> import jax
    >>> w = truncated_normal(0.1)(jax.random.key(0), (1000,))
    >>> bool((abs(w) < 0.2).all())
    True
    """
    low, high = ordered("lower", lower, "upper", upper)
    return TruncatedNormal(non_negative("stddev", stddev), low, high, dtype=dtype_name(dtype))


def random_normal(
    mean: float = 0.0, stddev: float = 1e-2, dtype: jax.typing.DTypeLike | None = None
) -> RandomNormal:
    """Normal with the given mean and standard deviation: `mean + stddev · z`.

    Args:
      mean: mean. stddev: standard deviation, >= 0. dtype: default dtype of the result.

    Raises:
      ValueError: `stddev` is negative, or an option is not finite.

    >>> import jax
    >>> w = random_normal(1.0, 0.1)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.mean() - 1) < 0.01)
    True
    """
    options = finite("mean", mean), non_negative("stddev", stddev)
    return RandomNormal(*options, dtype=dtype_name(dtype))


def random_uniform(
    minval: float = -0.05, maxval: float = 0.05, dtype: jax.typing.DTypeLike | None = None
) -> RandomUniform:
    """Uniform on `[minval, maxval)`: variance `(maxval - minval)²/12`.

    Args:
      minval, maxval: bounds, minval < maxval. dtype: default dtype of the result.

    Raises:
      ValueError: `minval >= maxval`, or a bound is not finite.

    >>> import jax
    >>> w = random_uniform(-1.0, 1.0)(jax.random.key(0), (100,))
    >>> bool((abs(w) <= 1).all())
    True
    """
    low, high = ordered("minval", minval, "maxval", maxval)
    return RandomUniform(low, high, dtype=dtype_name(dtype))


def timm_trunc_normal(
    mean: float = 0.0,
    stddev: float = 1.0,
    minval: float = -2.0,
    maxval: float = 2.0,
    dtype: jax.typing.DTypeLike | None = None,
) -> BoundedNormal:
    """Normal conditioned on `[minval, maxval]`, bounds in absolute values as in timm and PyTorch.

    With the small `stddev` of a transformer, 0.02, the default bounds cut nothing off; JAX's
    `truncated_normal` has its bounds in standard deviations.

    Args:
      mean, stddev: of the normal before it is cut, stddev > 0.
      minval, maxval: bounds, minval < maxval. dtype: default dtype of the result.

    Raises:
      ValueError: `stddev <= 0`, `minval >= maxval`, or an interval that lies more than five
        standard deviations off the mean, where next to nothing is drawn.

    Reference: Burkardt, "The truncated normal distribution", 2014, section 3; Wightman, "PyTorch
    image models", 2019, timm.layers.trunc_normal_.

    >>> import jax
    >>> w = timm_trunc_normal(0.0, 1.0, -0.5, 2.0)(jax.random.key(0), (1000,))
    >>> bool((w >= -0.5).all() and (w <= 2).all())
    True
    """
    low, high = ordered("minval", minval, "maxval", maxval)
    made = BoundedNormal(
        finite("mean", mean), positive("stddev", stddev), low, high, dtype=dtype_name(dtype)
    )
    if max(low - made.mean, made.mean - high) > 5 * made.stddev:
        raise ValueError(
            f"[{low}, {high}] lies more than five standard deviations ({made.stddev}) off the mean "
            f"{made.mean}; the bounds are values, not multiples of stddev"
        )
    return made
