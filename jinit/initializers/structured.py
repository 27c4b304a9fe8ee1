"""Deterministic maps: the identity and its relatives, kernels that start by passing on."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name, finite, positive_integer


@dataclass(frozen=True, repr=False)
class Identity(Initializer):
    """`gain` on the diagonal of the last two axes, zero elsewhere."""

    name = "identity"
    gain: float = 1.0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The identity, the same for every leading index."""
        del key
        _check_rank("identity", shape, 2)
        diagonal = jnp.eye(*shape[-2:], dtype=bool)
        return jnp.broadcast_to(_filled(diagonal, self.gain, dtype), shape)


@dataclass(frozen=True, repr=False)
class RepeatedIdentity(Initializer):
    """The identity repeated until it fills the flattened kernel."""

    name = "idinit"
    gain: float = 1.0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`gain` wherever row and column agree modulo the shorter side."""
        del key
        _check_rank("idinit", shape, 2)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        row, column = jnp.arange(rows)[:, None], jnp.arange(columns)[None, :]
        agree = (row - column) % max(min(rows, columns), 1) == 0
        return _filled(agree, self.gain, dtype).reshape(shape)


@dataclass(frozen=True, repr=False)
class Dirac(Initializer):
    """Convolution kernel that hands its input on, group by group."""

    name = "dirac"
    groups: int = 1
    gain: float = 1.0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`gain` at the centre tap, from the d-th input to the d-th output of every group."""
        del key
        _check_rank("dirac", shape, 3)
        inputs, outputs = shape[-2:]
        if outputs % self.groups:
            raise ValueError(
                f"dirac: {outputs} outputs (shape {shape}) do not divide into {self.groups} "
                "groups: groups must be the convolution's feature_group_count"
            )
        within = jnp.arange(outputs) % max(outputs // self.groups, 1)
        tap = _filled(jnp.arange(inputs)[:, None] == within[None, :], self.gain, dtype)
        return _on_middle_tap(tap, shape)


@dataclass(frozen=True, repr=False)
class ZeroHadamard(Initializer):
    """Partial identity, or a slice of a Hadamard matrix where the layer widens."""

    name = "zero_hadamard"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The matrix on the middle tap of the spatial axes, if there are any."""
        del key
        _check_rank("zero_hadamard", shape, 2)
        inputs, outputs = shape[-2:]
        if outputs <= inputs:
            matrix = jnp.eye(inputs, outputs, dtype=dtype)
        else:
            matrix = _hadamard(inputs, outputs, dtype)
        return _on_middle_tap(matrix, shape)


def identity(gain: float = 1.0, dtype: jax.typing.DTypeLike | None = None) -> Identity:
    """Identity matrix on the last two axes, times `gain`; rectangular ones are cut or padded.

    Leading axes are copies: `(heads, n, n)` is an identity for every head. As recurrent kernel of
    a relu network it keeps the hidden state.

    Args:
      gain: value on the diagonal, finite. dtype: default dtype of the result.

    Raises:
      ValueError: `gain` is not finite; when called, fewer than two axes.

    Reference: Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified
    linear units", 2015, section 1.

    >>> import jax
    >>> identity(2.0)(jax.random.key(0), (2, 3))
    Array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """
    return Identity(finite("gain", gain), dtype=dtype_name(dtype))


def idinit(gain: float = 1.0, dtype: jax.typing.DTypeLike | None = None) -> RepeatedIdentity:
    """Identity repeated along the longer side, so that no row and no column stays empty.

    `W[i, j] = gain` where `i ≡ j` modulo the shorter side of the kernel flattened to
    `(taps · in, out)`. The last layer of a residual branch takes a tiny gain, such as 1e-6: it
    starts the block as the identity and still lets gradients through.

    Args:
      gain: value of the ones, finite. dtype: default dtype of the result.

    Raises:
      ValueError: `gain` is not finite; when called, fewer than two axes.

    Reference: Pan et al., "IDInit: a universal and stable initialization method for neural network
    training", 2025, section 3.

    >>> import jax
    >>> idinit()(jax.random.key(0), (2, 5))
    Array([[1., 0., 1., 0., 1.],
           [0., 1., 0., 1., 0.]], dtype=float32)
    """
    return RepeatedIdentity(finite("gain", gain), dtype=dtype_name(dtype))


def dirac(groups: int = 1, gain: float = 1.0, dtype: jax.typing.DTypeLike | None = None) -> Dirac:
    """Convolution kernel `(*spatial, in / groups, out)` that hands its input on unchanged.

    The middle tap `size // 2` maps input d of every group to its output d; further outputs of a
    group stay zero. With "SAME" padding and stride 1 the layer starts as the identity, for odd
    kernels in place, for even ones shifted by one.

    Args:
      groups: the convolution's `feature_group_count`, at least 1.
      gain: value of the ones, finite. dtype: default dtype of the result.

    Raises:
      ValueError: `groups` below 1; when called, fewer than three axes, or outputs that do not
        divide into the groups.

    Reference: Zagoruyko & Komodakis, "DiracNets: training very deep neural networks without
    skip-connections", 2017, section 3.

    >>> import jax
    >>> dirac()(jax.random.key(0), (3, 2, 2))[1]
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    groups = positive_integer("groups", groups)
    return Dirac(groups, finite("gain", gain), dtype=dtype_name(dtype))


def zero_hadamard(dtype: jax.typing.DTypeLike | None = None) -> ZeroHadamard:
    r"""ZerO: zeros and ones only, with a Hadamard transform where the layer widens.

    The identity cut to `(in, out)` where `out <= in`; else the first rows and columns of
    `H_p / √p` with p the power of two from `out` on. Convolutions carry it on the middle tap.
    Unlike a padded identity, it does not confine training to a subspace of low rank.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, fewer than two axes.

    Reference: Zhao, Schäfer, Anandkumar, "ZerO initialization: initializing neural networks with
    only zeros and ones", 2022, algorithm 1.

    >>> import jax
    >>> zero_hadamard()(jax.random.key(0), (2, 4))
    Array([[ 0.5,  0.5,  0.5,  0.5],
           [ 0.5, -0.5,  0.5, -0.5]], dtype=float32)
    """
    return ZeroHadamard(dtype=dtype_name(dtype))


def _filled(where: Array, value: float, dtype: np.dtype) -> Array:
    """The value, rounded once, where it belongs; zero elsewhere."""
    wide = np.asarray(value, np.float64 if dtype in (np.float64, np.complex128) else np.float32)
    return jnp.where(where, wide.astype(dtype), np.zeros((), dtype))


def _hadamard(rows: int, columns: int, dtype: np.dtype) -> Array:
    """First rows and columns of Sylvester's matrix over the square root of its size."""
    size = 1 << (columns - 1).bit_length()
    overlap = jnp.arange(rows)[:, None] & jnp.arange(columns)[None, :]
    negative = jax.lax.population_count(overlap) % 2 == 1
    plus = _filled(jnp.ones((), bool), 1 / math.sqrt(size), dtype)
    return jnp.where(negative, -plus, plus)


def _on_middle_tap(matrix: Array, shape: tuple[int, ...]) -> Array:
    middle = tuple(size // 2 for size in shape[:-2])
    kernel = jnp.zeros(shape, matrix.dtype)
    return kernel if 0 in shape else kernel.at[middle].set(matrix)


def _check_rank(name: str, shape: tuple[int, ...], least: int) -> None:
    if len(shape) < least:
        kernel = "(in, out)" if least == 2 else "(*spatial, in, out)"
        raise ValueError(
            f"{name}: expected a kernel {kernel} of at least {least} axes, got shape {shape}"
        )
