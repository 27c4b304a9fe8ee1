"""Deterministic identity-like kernels."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import (
    Initializer,
    check_finite,
    check_positive_integer,
    check_rank,
    dtype_name,
)
from jinit.initializers.taps import middle_tap, place_tap


@dataclass(frozen=True, repr=False)
class Identity(Initializer):
    """`gain` on the diagonal of the last two axes, zero elsewhere."""

    name = "identity"
    gain: float = 1.0

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the absolute value of `gain`."""
        del shape
        return abs(self.gain)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the identity, the same for every leading index."""
        del key
        check_rank("identity", shape, 2, "a kernel (in, out)")
        diagonal = jnp.eye(*shape[-2:], dtype=bool)
        return jnp.broadcast_to(_fill_mask(diagonal, self.gain, dtype), shape)


@dataclass(frozen=True, repr=False)
class RepeatedIdentity(Initializer):
    """The identity repeated until it fills the flattened kernel."""

    name = "idinit"
    gain: float = 1.0

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the absolute value of `gain`."""
        del shape
        return abs(self.gain)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return `gain` where row and column are equal modulo the shorter side, zero elsewhere."""
        del key
        check_rank("idinit", shape, 2, "a kernel (in, out)")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        row, column = jnp.arange(rows)[:, None], jnp.arange(columns)[None, :]
        is_repeat = (row - column) % max(min(rows, columns), 1) == 0
        return _fill_mask(is_repeat, self.gain, dtype).reshape(shape)


@dataclass(frozen=True, repr=False)
class Dirac(Initializer):
    """Convolution kernel that copies its input to its output, group by group."""

    name = "dirac"
    groups: int = 1
    gain: float = 1.0

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the absolute value of `gain`."""
        del shape
        return abs(self.gain)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return `gain` on the middle tap from input d to output d of every group, else zero."""
        del key
        check_rank("dirac", shape, 3, "a kernel (*spatial, in, out)")
        inputs, outputs = shape[-2:]
        if outputs % self.groups:
            raise ValueError(
                f"dirac: {outputs} outputs (shape {shape}) do not divide into {self.groups} "
                "groups: groups must be the convolution's feature_group_count"
            )
        group_output = jnp.arange(outputs) % max(outputs // self.groups, 1)
        is_copied = jnp.arange(inputs)[:, None] == group_output[None, :]
        tap = _fill_mask(is_copied, self.gain, dtype)
        return place_tap(tap, shape, middle_tap(shape))


@dataclass(frozen=True, repr=False)
class ZeroHadamard(Initializer):
    """Partial identity, or a slice of a Hadamard matrix if the layer widens."""

    name = "zero_hadamard"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the matrix, on the middle tap of a convolution."""
        del key
        check_rank("zero_hadamard", shape, 2, "a kernel (in, out)")
        inputs, outputs = shape[-2:]
        if outputs <= inputs:
            matrix = jnp.eye(inputs, outputs, dtype=dtype)
        else:
            matrix = _hadamard(inputs, outputs, dtype)
        return place_tap(matrix, shape, middle_tap(shape))


def identity(gain: float = 1.0, dtype: DTypeLike | None = None) -> Identity:
    """Identity matrix on the last two axes, times `gain`.

    A rectangular matrix has `gain` on its main diagonal and zeros elsewhere. Leading axes are
    copies: `(heads, n, n)` is an identity for every head. As the recurrent kernel of a relu
    network it preserves the hidden state.

    Args:
      gain: value on the diagonal, finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `gain` is not a number.
      ValueError: if `gain` is not finite; when called, if the shape has fewer than two axes.

    Reference: Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified
    linear units", 2015, section 1.

    >>> import jax
    >>> identity(2.0)(jax.random.key(0), (2, 3))
    Array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """
    return Identity(check_finite("gain", gain), dtype=dtype_name(dtype))


def idinit(gain: float = 1.0, dtype: DTypeLike | None = None) -> RepeatedIdentity:
    """Identity repeated along the longer side, so that no row and no column is zero.

    `W[i, j] = gain` where `i ≡ j` modulo the shorter side of the kernel flattened to
    `(taps · in, out)`. For the last layer of a residual branch use a small gain, such as 1e-6: the
    block is then initially close to the identity, and the branch still has gradients.

    Args:
      gain: value of the nonzero entries, finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `gain` is not a number.
      ValueError: if `gain` is not finite; when called, if the shape has fewer than two axes.

    Reference: Pan et al., "IDInit: a universal and stable initialization method for neural network
    training", 2025, section 3.

    >>> import jax
    >>> idinit()(jax.random.key(0), (2, 5))
    Array([[1., 0., 1., 0., 1.],
           [0., 1., 0., 1., 0.]], dtype=float32)
    """
    return RepeatedIdentity(check_finite("gain", gain), dtype=dtype_name(dtype))


def dirac(groups: int = 1, gain: float = 1.0, dtype: DTypeLike | None = None) -> Dirac:
    """Convolution kernel `(*spatial, in / groups, out)` that copies its input to its output.

    The middle tap `size // 2` maps input d of every group to its output d; the remaining outputs of
    a group are zero. With "SAME" padding and stride 1 the layer is initially the identity, shifted
    by one position for kernels of even size.

    Args:
      groups: `feature_group_count` of the convolution, at least 1.
      gain: value of the nonzero entries, finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `groups` is not an integer, or `gain` not a number.
      ValueError: if `groups` is below 1, or `gain` not finite; when called, if the shape has fewer
        than three axes, or the outputs do not divide into the groups.

    Reference: Zagoruyko & Komodakis, "DiracNets: training very deep neural networks without
    skip-connections", 2017, section 3.

    >>> import jax
    >>> dirac()(jax.random.key(0), (3, 2, 2))[1]
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    groups = check_positive_integer("groups", groups)
    return Dirac(groups, check_finite("gain", gain), dtype=dtype_name(dtype))


def zero_hadamard(dtype: DTypeLike | None = None) -> ZeroHadamard:
    r"""ZerO: the identity, or a Hadamard transform if the layer widens.

    If `out <= in`, the matrix is the first `out` columns of the identity. Otherwise it is the first
    rows and columns of `H_p / √p`, with p the smallest power of two >= `out`. In a convolution it
    is the middle tap. Unlike an identity with zero columns, it does not restrict training to a
    subspace of low rank.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, if the shape has fewer than two axes.

    Reference: Zhao, Schäfer, Anandkumar, "ZerO initialization: initializing neural networks with
    only zeros and ones", 2022, algorithm 1.

    >>> import jax
    >>> zero_hadamard()(jax.random.key(0), (2, 4))
    Array([[ 0.5,  0.5,  0.5,  0.5],
           [ 0.5, -0.5,  0.5, -0.5]], dtype=float32)
    """
    return ZeroHadamard(dtype=dtype_name(dtype))


def _fill_mask(mask: Array, value: float, dtype: np.dtype) -> Array:
    """Return the value, rounded once, where the mask is true, and zero elsewhere."""
    exact = np.asarray(value, np.float64 if dtype in (np.float64, np.complex128) else np.float32)
    return jnp.where(mask, exact.astype(dtype), np.zeros((), dtype))


def _hadamard(rows: int, columns: int, dtype: np.dtype) -> Array:
    """Return the first rows and columns of Sylvester's matrix over the square root of its size."""
    size = 1 << (columns - 1).bit_length()
    common_bits = jnp.arange(rows)[:, None] & jnp.arange(columns)[None, :]
    is_negative = lax.population_count(common_bits) % 2 == 1
    entry = _fill_mask(jnp.ones((), bool), 1 / math.sqrt(size), dtype)
    return jnp.where(is_negative, -entry, entry)
