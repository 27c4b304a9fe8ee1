"""Independent, identically distributed entries whose scale does not depend on the shape."""

from dataclasses import dataclass

import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.base import (
    Initializer,
    check_finite,
    check_non_negative,
    check_ordered,
    dtype_name,
)
from jinit.initializers.marginals import (
    Marginal,
    normal_marginal,
    truncated_normal_marginal,
    uniform_marginal,
)
from jinit.initializers.resolution import check_resolution
from jinit.sampling import (
    draw_normal,
    draw_truncated_normal,
    draw_uniform,
    sampling_dtypes,
)


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """Uniform on `[0, scale)`."""

    is_entrywise = True
    name = "uniform"
    variance_formula = "scale² / 12"
    positional = ("scale",)
    scale: float = 1e-2

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        del shape
        return uniform_marginal(0.0, self.scale) if self.scale else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `scale · u`, u uniform on `[0, 1)`."""
        return draw_uniform(key, shape, dtype, scale=self.scale)


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """Normal with mean 0."""

    is_entrywise = True
    name = "normal"
    variance_formula = "stddev²"
    positional = ("stddev",)
    stddev: float = 1e-2

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the normal distribution of an entry."""
        del shape
        return normal_marginal(0.0, self.stddev) if self.stddev else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `stddev · z`, z standard normal."""
        return draw_normal(key, shape, dtype, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class TruncatedNormal(Initializer):
    """Normal conditioned on `lower < z < upper`, times `stddev`."""

    is_entrywise = True
    name = "truncated_normal"
    variance_formula = "less than stddev²"
    positional = ("stddev",)
    stddev: float = 1e-2
    lower: float = -2.0
    upper: float = 2.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the truncated normal distribution of an entry."""
        del shape
        if not self.stddev:
            return None
        return truncated_normal_marginal(self.stddev, self.lower, self.upper)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `stddev · z`, z standard normal between the bounds."""
        draw_dtype, _ = sampling_dtypes(dtype, self.name)
        check_resolution(self.lower, self.upper, draw_dtype)
        return draw_truncated_normal(key, self.lower, self.upper, shape, dtype, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class RandomNormal(Initializer):
    """Normal with a given mean."""

    is_entrywise = True
    name = "random_normal"
    variance_formula = "stddev²"
    positional = ("mean", "stddev")
    mean: float = 0.0
    stddev: float = 1e-2

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the normal distribution of an entry."""
        del shape
        return normal_marginal(self.mean, self.stddev) if self.stddev else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `mean + stddev · z`, z standard normal."""
        return draw_normal(key, shape, dtype, mean=self.mean, scale=self.stddev)


@dataclass(frozen=True, repr=False)
class RandomUniform(Initializer):
    """Uniform on `[minval, maxval)`."""

    is_entrywise = True
    name = "random_uniform"
    variance_formula = "(maxval - minval)² / 12"
    positional = ("minval", "maxval")
    minval: float = -0.05
    maxval: float = 0.05

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        del shape
        return uniform_marginal(self.minval, self.maxval)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `minval + (maxval - minval) · u`, u uniform on `[0, 1)`."""
        return draw_uniform(key, shape, dtype, self.minval, self.maxval)


def uniform(scale: float = 1e-2, dtype: DTypeLike | None = None) -> Uniform:
    """Uniform on `[0, scale)`, one-sided as in JAX: mean `scale/2`, variance `scale²/12`.

    For an interval around zero use `random_uniform(-a, a)` or a variance-scaling initializer.

    Args:
      scale: upper bound, >= 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number.
      ValueError: if `scale` is negative or not finite.

    >>> import jax
    >>> w = uniform(0.5)(jax.random.key(0), (100,))
    >>> bool((w >= 0).all() and (w < 0.5).all())
    True
    """
    return Uniform(check_non_negative("scale", scale), dtype=dtype_name(dtype))


def normal(stddev: float = 1e-2, dtype: DTypeLike | None = None) -> Normal:
    """Normal with mean 0 and standard deviation `stddev`.

    Args:
      stddev: standard deviation, >= 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `stddev` is not a number.
      ValueError: if `stddev` is negative or not finite.

    >>> import jax
    >>> w = normal(0.1)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.std() - 0.1) < 0.005)
    True
    """
    return Normal(check_non_negative("stddev", stddev), dtype=dtype_name(dtype))


def truncated_normal(
    stddev: float = 1e-2,
    dtype: DTypeLike | None = None,
    lower: float = -2.0,
    upper: float = 2.0,
) -> TruncatedNormal:
    """`stddev · z`, z standard normal conditioned on `lower < z < upper`.

    As in JAX, `stddev` is the standard deviation before truncation. With bounds of ±2 the result
    has the standard deviation 0.8796 `stddev`. `variance_scaling` corrects for this.

    The values are JAX's, which have few distinct values far from zero: in float32 bounds beyond
    about four standard deviations on one side are refused. `timm_trunc_normal` draws tails that
    begin up to five standard deviations from the mean.

    Args:
      stddev: standard deviation before truncation, >= 0.
      dtype: default dtype of the result.
      lower: lower bound in standard deviations.
      upper: upper bound in standard deviations, > lower.

    Raises:
      TypeError: if an option is not a number.
      ValueError: if `stddev` is negative, an option not finite, or `lower >= upper`; here or when
        called, if JAX's draw between these bounds does not have the distribution.

    >>> import jax
    >>> w = truncated_normal(0.1)(jax.random.key(0), (1000,))
    >>> bool((abs(w) < 0.2).all())
    True
    """
    low, high = check_ordered("lower", lower, "upper", upper)
    check_resolution(low, high, np.dtype(np.float64))
    return TruncatedNormal(check_non_negative("stddev", stddev), low, high, dtype=dtype_name(dtype))


def random_normal(
    mean: float = 0.0, stddev: float = 1e-2, dtype: DTypeLike | None = None
) -> RandomNormal:
    """Normal with the given mean and standard deviation: `mean + stddev · z`.

    Args:
      mean: mean of an entry.
      stddev: standard deviation, >= 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an option is not a number.
      ValueError: if `stddev` is negative, or an option is not finite.

    >>> import jax
    >>> w = random_normal(1.0, 0.1)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.mean() - 1) < 0.01)
    True
    """
    return RandomNormal(
        mean=check_finite("mean", mean),
        stddev=check_non_negative("stddev", stddev),
        dtype=dtype_name(dtype),
    )


def random_uniform(
    minval: float = -0.05, maxval: float = 0.05, dtype: DTypeLike | None = None
) -> RandomUniform:
    """Uniform on `[minval, maxval)`: variance `(maxval - minval)²/12`.

    Args:
      minval: lower bound.
      maxval: upper bound, > minval.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a bound is not a number.
      ValueError: if `minval >= maxval`, or a bound is not finite.

    >>> import jax
    >>> w = random_uniform(-1.0, 1.0)(jax.random.key(0), (100,))
    >>> bool((abs(w) <= 1).all())
    True
    """
    low, high = check_ordered("minval", minval, "maxval", maxval)
    return RandomUniform(low, high, dtype=dtype_name(dtype))
