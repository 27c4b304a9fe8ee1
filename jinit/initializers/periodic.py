"""Initializers for sinusoidal networks and random Fourier features."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, check_positive, dtype_name
from jinit.initializers.fans import AxisIndices, check_axes, fans
from jinit.initializers.marginals import Marginal, normal_marginal, uniform_marginal
from jinit.sampling import draw_normal, draw_uniform


@dataclass(frozen=True, repr=False)
class Siren(Initializer):
    """Hidden layer of a sinusoidal network: uniform on `±√(6 / n_in) / omega`."""

    name = "siren"
    variance_formula = "2 / (omega² fan_in)"
    omega: float = 30.0
    in_axis: AxisIndices = -2
    out_axis: AxisIndices = -1

    def bound(self, shape: tuple[int, ...]) -> float:
        """Return the largest absolute value of an entry."""
        fan_in = fans(shape, self.in_axis, self.out_axis).fan_in
        return math.sqrt(6 / max(fan_in, 1)) / self.omega

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        return uniform_marginal(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw uniform entries with the bound of this shape."""
        return draw_uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class SirenFirst(Initializer):
    """First layer of a sinusoidal network: uniform on `±1 / n_in`."""

    name = "siren_first"
    variance_formula = "1 / (3 fan_in²)"
    in_axis: AxisIndices = -2
    out_axis: AxisIndices = -1

    def bound(self, shape: tuple[int, ...]) -> float:
        """Return the largest absolute value of an entry."""
        return 1 / max(fans(shape, self.in_axis, self.out_axis).fan_in, 1)

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        return uniform_marginal(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw uniform entries with the bound of this shape."""
        return draw_uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class FourierFeatures(Initializer):
    """Frequencies of random Fourier features: normal with standard deviation `1 / bandwidth`."""

    name = "fourier_features"
    variance_formula = "1 / bandwidth²"
    bandwidth: float = 1.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the normal distribution of an entry."""
        del shape
        return normal_marginal(0.0, 1 / self.bandwidth)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw normal entries."""
        return draw_normal(key, shape, dtype, scale=1 / self.bandwidth)


@dataclass(frozen=True, repr=False)
class FourierPhases(Initializer):
    """Phases of random Fourier features: uniform on `[0, 2π)`."""

    name = "fourier_phases"
    variance_formula = "π² / 3"

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        del shape
        return uniform_marginal(0.0, 2 * math.pi)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw uniform entries."""
        return draw_uniform(key, shape, dtype, 0, 2 * math.pi)


def siren(
    omega: float = 30.0,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    dtype: DTypeLike | None = None,
) -> Siren:
    """Uniform on `±√(6 / n_in) / omega`: hidden and last layers of `sin(omega (W x + b))`.

    At every depth the argument of the sine then has a variance near 0.8, the fixed point of
    `v = 1 - exp(-2v)` (the paper's estimate is 1).

    Args:
      omega: frequency factor of the activation, > 0.
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes of the kernel.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `omega` is not a number, or an axis not an integer.
      ValueError: if `omega` is not positive and finite; when called, if the shape does not have
        these axes.

    Reference: Sitzmann et al., "Implicit neural representations with periodic activation
    functions", 2020, section 3.2 and supplement 1.5.

    >>> import jax
    >>> w = siren(omega=30.0)(jax.random.key(0), (150, 64))
    >>> bool((abs(w) <= 0.2 / 30).all())
    True
    """
    return Siren(
        omega=check_positive("omega", omega),
        in_axis=check_axes("in_axis", in_axis),
        out_axis=check_axes("out_axis", out_axis),
        dtype=dtype_name(dtype),
    )


def siren_first(
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    dtype: DTypeLike | None = None,
) -> SirenFirst:
    """Uniform on `±1 / n_in`: the first layer of a sinusoidal network with inputs in `[-1, 1]`.

    Args:
      in_axis: input axis or axes of the kernel.
      out_axis: output axis or axes of the kernel.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an axis is not an integer.
      ValueError: when called, if the shape does not have these axes.

    Reference: Sitzmann et al., "Implicit neural representations with periodic activation
    functions", 2020, supplement 1.5.

    >>> import jax
    >>> w = siren_first()(jax.random.key(0), (2, 64))
    >>> bool((abs(w) <= 0.5).all())
    True
    """
    return SirenFirst(
        in_axis=check_axes("in_axis", in_axis),
        out_axis=check_axes("out_axis", out_axis),
        dtype=dtype_name(dtype),
    )


def fourier_features(bandwidth: float = 1.0, dtype: DTypeLike | None = None) -> FourierFeatures:
    r"""Normal with standard deviation `1 / bandwidth`: frequencies of random Fourier features.

    With phases b from `fourier_phases`, the expected inner product of the features
    `√(2/D) cos(W x + b)` of x and y is the Gaussian kernel `exp(-‖x - y‖² / (2 bandwidth²))`.

    Args:
      bandwidth: length scale of the Gaussian kernel, > 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `bandwidth` is not a number.
      ValueError: if `bandwidth` is not positive and finite.

    Reference: Rahimi & Recht, "Random features for large-scale kernel machines", 2007, section 3.

    >>> import jax
    >>> w = fourier_features(0.5)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.std() - 2) < 0.1)
    True
    """
    return FourierFeatures(check_positive("bandwidth", bandwidth), dtype=dtype_name(dtype))


def fourier_phases(dtype: DTypeLike | None = None) -> FourierPhases:
    """Uniform on `[0, 2π)`: the phases (biases) of random Fourier features.

    Use it for the bias of a layer whose kernel is drawn by `fourier_features`.

    Args:
      dtype: default dtype of the result.

    Reference: Rahimi & Recht, "Random features for large-scale kernel machines", 2007, section 3.

    >>> import jax
    >>> b = fourier_phases()(jax.random.key(0), (1000,))
    >>> bool((b >= 0).all() and (b < 6.2832).all())
    True
    """
    return FourierPhases(dtype=dtype_name(dtype))
