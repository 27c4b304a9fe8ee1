"""State matrices that remember: HiPPO.

A state space layer follows `x'(t) = A x(t) + B u(t)`. HiPPO's A and B make the state the
coefficients of the input's past in an orthogonal basis.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, dtype_name
from jinit.initializers.choice import one_of
from jinit.sampling import float_stream, rounded


class StateVector(Initializer):
    """A fixed vector along the last axis, which counts the states; leading axes are copies."""

    @abstractmethod
    def along(self, shape: tuple[int, ...]) -> np.ndarray:
        """The vector in double precision."""

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The vector, rounded once and broadcast over the leading axes."""
        del key
        stream, dtype = float_stream(dtype, self.name)
        if not shape:
            raise ValueError(
                f"{self.name}: expected one or more axes, the last one for the states, "
                f"got shape {shape}"
            )
        vector = jnp.asarray(self.along(shape).astype(stream))
        return jnp.broadcast_to(rounded(vector, dtype), shape)


@dataclass(frozen=True, repr=False)
class Hippo(Initializer):
    """State matrix that projects the past of the input onto an orthogonal basis."""

    name = "hippo"
    measure: str = "legs"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The matrix, the same for every leading index."""
        del key
        stream, dtype = float_stream(dtype, self.name)
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(
                f"hippo: expected a state matrix whose last two axes are equal, got shape {shape}; "
                "one matrix is broadcast over all axes before them"
            )
        _check_pairs(self, shape)
        return _matrix(self.measure, shape, stream, dtype)


@dataclass(frozen=True, repr=False)
class HippoInput(StateVector):
    """Input vector beside a HiPPO state matrix."""

    name = "hippo_input"
    measure: str = "legs"

    def along(self, shape: tuple[int, ...]) -> np.ndarray:
        """`√(2n + 1)` for Legendre polynomials, 1 for Laguerre's, 2 and 2√2 for cosines."""
        _check_pairs(self, shape)
        index = np.arange(shape[-1])
        if self.measure == "fourier":
            return np.where(index % 2, 0.0, np.where(index, np.sqrt(8), 2.0))
        return np.ones(len(index)) if self.measure == "lagt" else np.sqrt(2 * index + 1)


def hippo(measure: str = "legs", dtype: DTypeLike | None = None) -> Hippo:
    r"""HiPPO state matrix A of `x' = A x + B u`: the state is a projection of the input's past.

    State n is `∫ u(t - s) g_n(s) ds` over the lags s > 0, for an orthonormal basis g. In row n and
    column k of the last two axes, both counted from 0:

    - "legs": `-√((2n+1)(2k+1))` for n > k, `-(n+1)` for n = k, else 0. Legendre polynomials of
      `2 exp(-s) - 1` weighted by `exp(-s)`; in `x' = (A x + B u) / t`, of the whole past evenly.
    - "legt": `-√((2n+1)(2k+1))`, times `(-1)^(n-k)` for k > n. Legendre polynomials of `1 - 2s` on
      the window 0 < s < 1; what leaves it is read off the state.
    - "lagt": `-1` for n > k, `-1/2` for n = k, else 0. Laguerre functions `L_n(s) exp(-s/2)`.
    - "fourier": `-B Bᵀ / 2`, and a rotation by 2πm of the states 2m and 2m+1, which stand for
      `√2 cos 2πms` and `√2 sin 2πms` on the window 0 < s < 1. State 0 is the mean; state 1, a sine
      of frequency 0, stays 0 and completes the pairs.

    Windows are one unit of time long, the paper's θ = 1. The reference code of S4 has since
    lengthened them to two, which is `scaled(hippo("legt"), 0.5)`, and likewise for `hippo_input`.

    Args:
      measure: "legs", "legt", "lagt" or "fourier". dtype: default dtype of the result.

    Raises:
      ValueError: an unknown measure; when called, last two axes that differ, or an odd number of
        states for "fourier".

    Reference: Gu, Dao, Ermon, Rudra, Ré, "HiPPO: recurrent memory with optimal polynomial
    projections", 2020, theorems 1 and 2; Gu, Goel, Ré, "Efficiently modeling long sequences with
    structured state spaces", 2022, appendix C.1 (the 1/2 of "lagt"); Gu et al., "How to train your
    HiPPO: state space models with generalized orthogonal basis projections", 2023 ("fourier").

    >>> import jax
    >>> hippo()(jax.random.key(0), (3, 3)).diagonal()
    Array([-1., -2., -3.], dtype=float32)
    """
    return Hippo(one_of("measure", measure, MATRICES), dtype=dtype_name(dtype))


def hippo_input(measure: str = "legs", dtype: DTypeLike | None = None) -> HippoInput:
    r"""HiPPO input vector B along the last axis, beside the state matrix of `hippo`.

    `√(2n+1)` for "legs" and "legt", 1 for "lagt", `2, 0, 2√2, 0, 2√2, 0, ...` for "fourier": the
    basis at lag 0, doubled for "fourier", whose series meets a jump halfway.

    Args:
      measure: "legs", "legt", "lagt" or "fourier". dtype: default dtype of the result.

    Raises:
      ValueError: an unknown measure; when called, no axis, or an odd number of states for
        "fourier".

    Reference: as for `hippo`.

    >>> import jax
    >>> b = hippo_input()(jax.random.key(0), (8, 64))
    >>> bool((abs((b**2).sum(-1) - 64**2) < 0.1).all())
    True
    """
    return HippoInput(one_of("measure", measure, MATRICES), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _matrix(measure: str, shape: tuple[int, ...], stream: np.dtype, dtype: np.dtype) -> Array:
    return jnp.broadcast_to(rounded(MATRICES[measure](shape[-1], stream), dtype), shape)


def _indices(size: int) -> tuple[Array, Array]:
    row, column = (lax.broadcasted_iota(np.int32, (size, size), axis) for axis in (0, 1))
    return row, column


def _odd_products(size: int, stream: np.dtype) -> Array:
    """`√((2n+1)(2k+1))`: rounded roots are equal on all devices, and the diagonal is exact."""
    row, column = _indices(size)
    root = jnp.asarray(np.sqrt(2 * np.arange(size) + 1).astype(stream))
    return jnp.where(row == column, (2 * row + 1).astype(stream), root[:, None] * root[None, :])


def _scaled_legendre(size: int, stream: np.dtype) -> Array:
    row, column = _indices(size)
    below = jnp.where(row > column, -_odd_products(size, stream), 0)
    return jnp.where(row == column, (-1 - row).astype(stream), below)


def _translated_legendre(size: int, stream: np.dtype) -> Array:
    row, column = _indices(size)
    product = _odd_products(size, stream)
    return jnp.where((column > row) & ((column - row) % 2 == 1), product, -product)


def _laguerre(size: int, stream: np.dtype) -> Array:
    row, column = _indices(size)
    return jnp.where(row > column, -1, jnp.where(row == column, -0.5, 0)).astype(stream)


def _fourier(size: int, stream: np.dtype) -> Array:
    row, column = _indices(size)
    turn = jnp.asarray((2 * np.pi * (np.arange(size) // 2)).astype(stream))[None, :]
    pair = (row // 2 == column // 2) & (row > 1)
    rotation = jnp.where(pair & (row > column), turn, jnp.where(pair & (row < column), -turn, 0))
    # -B Bᵀ / 2 on the cosines, with exact powers of √2.
    waves = jnp.minimum(row, 1) + jnp.minimum(column, 1)
    ends = jnp.where(waves == 0, -2, jnp.where(waves == 1, -np.sqrt(8), -4)).astype(stream)
    return jnp.where((row % 2 == 0) & (column % 2 == 0), ends, rotation)


MATRICES: dict[str, Callable[[int, np.dtype], Array]] = {
    "legs": _scaled_legendre,
    "legt": _translated_legendre,
    "lagt": _laguerre,
    "fourier": _fourier,
}


def _check_pairs(initializer: Hippo | HippoInput, shape: tuple[int, ...]) -> None:
    if initializer.measure == "fourier" and shape[-1] % 2:
        raise ValueError(
            f"{initializer.name}: 'fourier' keeps cosines and sines in pairs, but {shape[-1]} "
            f"states (shape {shape}) do not divide by 2"
        )
