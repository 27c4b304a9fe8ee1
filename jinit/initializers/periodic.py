"""Starts for sinusoidal networks and random features: layers whose activation is a wave."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name, positive
from jinit.initializers.fans import Axes, as_axes, fans
from jinit.sampling import normal, uniform
from jinit.theory import Marginal, normal_law, uniform_law


@dataclass(frozen=True, repr=False)
class Siren(Initializer):
    """Hidden layer of a sinusoidal network: uniform on `±√(6 / n_in) / omega`."""

    name = "siren"
    spread = "2 / (omega² fan_in)"
    omega: float = 30.0
    in_axis: Axes = -2
    out_axis: Axes = -1

    def bound(self, shape: tuple[int, ...]) -> float:
        """Largest absolute value of an entry."""
        fan_in = fans(shape, self.in_axis, self.out_axis).fan_in
        return math.sqrt(6 / max(fan_in, 1)) / self.omega

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        return uniform_law(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Uniform entries with the bound of this shape."""
        return uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class SirenFirst(Initializer):
    """First layer of a sinusoidal network: uniform on `±1 / n_in`."""

    name = "siren_first"
    spread = "1 / (3 fan_in²)"
    in_axis: Axes = -2
    out_axis: Axes = -1

    def bound(self, shape: tuple[int, ...]) -> float:
        """Largest absolute value of an entry."""
        return 1 / max(fans(shape, self.in_axis, self.out_axis).fan_in, 1)

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        return uniform_law(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Uniform entries with the bound of this shape."""
        return uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class FourierFeatures(Initializer):
    """Frequencies of random Fourier features: normal with standard deviation `1 / bandwidth`."""

    name = "fourier_features"
    spread = "1 / bandwidth²"
    bandwidth: float = 1.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Normal."""
        del shape
        return normal_law(0.0, 1 / self.bandwidth)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Normal entries."""
        return normal(key, shape, dtype, scale=1 / self.bandwidth)


@dataclass(frozen=True, repr=False)
class FourierPhases(Initializer):
    """Phases of random Fourier features: uniform on `[0, 2π)`."""

    name = "fourier_phases"
    spread = "π² / 3"

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        del shape
        return uniform_law(0.0, 2 * math.pi)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Uniform entries."""
        return uniform(key, shape, dtype, 0, 2 * math.pi)


def siren(
    omega: float = 30.0,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    dtype: jax.typing.DTypeLike | None = None,
) -> Siren:
    """Uniform on `±√(6 / n_in) / omega`: hidden and last layers of `sin(omega (W x + b))`.

    Whatever the depth, the argument of every sine then has a variance near 0.8, the fixed point
    of `v = 1 - exp(-2v)` (the paper's estimate is 1).

    Args:
      omega: frequency factor of the activation, > 0.
      in_axis, out_axis: input and output axes of the kernel. dtype: default dtype of the result.

    Raises:
      ValueError: `omega <= 0`; when called, a shape that does not have these axes.

    Reference: Sitzmann et al., "Implicit neural representations with periodic activation
    functions", 2020, section 3.2 and supplement 1.5.

    >>> import jax
    >>> w = siren(omega=30.0)(jax.random.key(0), (150, 64))
    >>> bool((abs(w) <= 0.2 / 30).all())
    True
    """
    axes = as_axes("in_axis", in_axis), as_axes("out_axis", out_axis)
    return Siren(positive("omega", omega), *axes, dtype=dtype_name(dtype))


def siren_first(
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    dtype: jax.typing.DTypeLike | None = None,
) -> SirenFirst:
    """Uniform on `±1 / n_in`: the first layer of a sinusoidal network, inputs in `[-1, 1]`.

    Args:
      in_axis, out_axis: input and output axes of the kernel. dtype: default dtype of the result.

    Raises:
      ValueError: when called, a shape that does not have these axes.

    Reference: Sitzmann et al., "Implicit neural representations with periodic activation
    functions", 2020, supplement 1.5.

    >>> import jax
    >>> w = siren_first()(jax.random.key(0), (2, 64))
    >>> bool((abs(w) <= 0.5).all())
    True
    """
    axes = as_axes("in_axis", in_axis), as_axes("out_axis", out_axis)
    return SirenFirst(*axes, dtype=dtype_name(dtype))


def fourier_features(
    bandwidth: float = 1.0, dtype: jax.typing.DTypeLike | None = None
) -> FourierFeatures:
    r"""Normal with standard deviation `1 / bandwidth`: frequencies of random Fourier features.

    `√(2/D) cos(W x + b)` with phases b from `fourier_phases` has the kernel
    `exp(-‖x - y‖² / (2 bandwidth²))` as its expected inner product.

    Args:
      bandwidth: length scale of the Gaussian kernel, > 0. dtype: default dtype of the result.

    Raises:
      ValueError: `bandwidth <= 0`.

    Reference: Rahimi & Recht, "Random features for large-scale kernel machines", 2007, section 3.

    >>> import jax
    >>> w = fourier_features(0.5)(jax.random.key(0), (100, 100))
    >>> bool(abs(w.std() - 2) < 0.1)
    True
    """
    return FourierFeatures(positive("bandwidth", bandwidth), dtype=dtype_name(dtype))


def fourier_phases(dtype: jax.typing.DTypeLike | None = None) -> FourierPhases:
    """Uniform on `[0, 2π)`: phases of random Fourier features, the bias beside `fourier_features`.

    Args:
      dtype: default dtype of the result.

    Reference: Rahimi & Recht, "Random features for large-scale kernel machines", 2007, section 3.

    >>> import jax
    >>> b = fourier_phases()(jax.random.key(0), (1000,))
    >>> bool((b >= 0).all() and (b < 6.2832).all())
    True
    """
    return FourierPhases(dtype=dtype_name(dtype))
