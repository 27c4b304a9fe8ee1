"""HiPPO state matrices and input vectors.

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

from jinit.choice import check_choice
from jinit.initializers.base import Initializer, dtype_name
from jinit.sampling import round_to_dtype, sampling_dtypes


class StateVector(Initializer):
    """A fixed vector along the last axis, the axis of the states; leading axes are copies."""

    @abstractmethod
    def vector(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the vector for this shape in double precision."""

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the vector, rounded once and broadcast over the leading axes."""
        del key
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        if not shape:
            raise ValueError(
                f"{self.name}: expected one or more axes, the last one for the states, "
                f"got shape {shape}"
            )
        vector = jnp.asarray(self.vector(shape).astype(draw_dtype))
        return jnp.broadcast_to(round_to_dtype(vector, dtype), shape)


@dataclass(frozen=True, repr=False)
class Hippo(Initializer):
    """State matrix that projects the past of the input onto an orthogonal basis."""

    name = "hippo"
    measure: str = "legs"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Return the matrix, the same for every leading index."""
        del key
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ValueError(
                f"hippo: expected a state matrix whose last two axes are equal, got shape {shape}; "
                "one matrix is broadcast over all axes before them"
            )
        _check_pairs(self, shape)
        return _hippo_matrix(self.measure, shape, draw_dtype, dtype)


@dataclass(frozen=True, repr=False)
class HippoInput(StateVector):
    """Input vector that belongs to a HiPPO state matrix."""

    name = "hippo_input"
    measure: str = "legs"

    def vector(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return `√(2n + 1)` for Legendre polynomials, 1 for Laguerre's, 2 and 2√2 for cosines."""
        _check_pairs(self, shape)
        index = np.arange(shape[-1])
        if self.measure == "fourier":
            return np.where(index % 2, 0.0, np.where(index, np.sqrt(8), 2.0))
        return np.ones(len(index)) if self.measure == "lagt" else np.sqrt(2 * index + 1)


def hippo(measure: str = "legs", dtype: DTypeLike | None = None) -> Hippo:
    r"""HiPPO state matrix A of `x' = A x + B u`, whose state is a projection of the input's past.

    State n is `∫ u(t - s) g_n(s) ds` over the lags s > 0, for an orthonormal basis g. In row n and
    column k of the last two axes, both counted from 0:

    - "legs": `-√((2n+1)(2k+1))` for n > k, `-(n+1)` for n = k, else 0. Legendre polynomials of
      `2 exp(-s) - 1` weighted by `exp(-s)`. In `x' = (A x + B u) / t` the weight is uniform over
      the whole past.
    - "legt": `-√((2n+1)(2k+1))`, times `(-1)^(n-k)` for k > n. Legendre polynomials of `1 - 2s` on
      the window 0 < s < 1. The input that leaves the window is approximated from the state.
    - "lagt": `-1` for n > k, `-1/2` for n = k, else 0. Laguerre functions `L_n(s) exp(-s/2)`.
    - "fourier": `-B Bᵀ / 2` plus a rotation by 2πm of the states 2m and 2m+1, whose basis functions
      are `√2 cos 2πms` and `√2 sin 2πms` on the window 0 < s < 1. State 0 is the mean. State 1, a
      sine of frequency 0, stays 0 and completes the pairs.

    Windows are one unit of time long, the paper's θ = 1. The reference code of S4 has since used
    windows of length two, which is `scaled(hippo("legt"), 0.5)`, and likewise for `hippo_input`.

    Args:
      measure: "legs", "legt", "lagt" or "fourier".
      dtype: default dtype of the result.

    Raises:
      ValueError: if the measure is unknown; when called, if the last two axes differ, or if the
        number of states is odd for "fourier".

    Reference: Gu, Dao, Ermon, Rudra, Ré, "HiPPO: recurrent memory with optimal polynomial
    projections", 2020, theorems 1 and 2; Gu, Goel, Ré, "Efficiently modeling long sequences with
    structured state spaces", 2022, appendix C.1 (the 1/2 of "lagt"); Gu et al., "How to train your
    HiPPO: state space models with generalized orthogonal basis projections", 2023 ("fourier").

    >>> import jax
    >>> hippo()(jax.random.key(0), (3, 3)).diagonal()
    Array([-1., -2., -3.], dtype=float32)
    """
    return Hippo(check_choice("measure", measure, _MATRICES), dtype=dtype_name(dtype))


def hippo_input(measure: str = "legs", dtype: DTypeLike | None = None) -> HippoInput:
    r"""HiPPO input vector B along the last axis; it belongs to the state matrix of `hippo`.

    `√(2n+1)` for "legs" and "legt", 1 for "lagt", `2, 0, 2√2, 0, 2√2, 0, ...` for "fourier". These
    are the values of the basis at lag 0, doubled for "fourier", because a Fourier series converges
    to half the height of a jump.

    Args:
      measure: "legs", "legt", "lagt" or "fourier".
      dtype: default dtype of the result.

    Raises:
      ValueError: if the measure is unknown; when called, if the shape has no axis, or if the number
        of states is odd for "fourier".

    Reference: Gu, Dao, Ermon, Rudra, Ré, "HiPPO: recurrent memory with optimal polynomial
    projections", 2020, theorems 1 and 2; Gu et al., "How to train your HiPPO: state space models
    with generalized orthogonal basis projections", 2023 ("fourier").

    >>> import jax
    >>> b = hippo_input()(jax.random.key(0), (8, 64))
    >>> bool((abs((b**2).sum(-1) - 64**2) < 0.1).all())
    True
    """
    return HippoInput(check_choice("measure", measure, _MATRICES), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _hippo_matrix(
    measure: str, shape: tuple[int, ...], draw_dtype: np.dtype, dtype: np.dtype
) -> Array:
    return jnp.broadcast_to(round_to_dtype(_MATRICES[measure](shape[-1], draw_dtype), dtype), shape)


def _index_grids(size: int) -> tuple[Array, Array]:
    """Row and column index of every entry of a square matrix."""
    row, column = (lax.broadcasted_iota(np.int32, (size, size), axis) for axis in (0, 1))
    return row, column


def _root_products(size: int, draw_dtype: np.dtype) -> Array:
    """Return `√((2n+1)(2k+1))` from rounded roots, equal on all devices, with an exact diagonal."""
    row, column = _index_grids(size)
    root = jnp.asarray(np.sqrt(2 * np.arange(size) + 1).astype(draw_dtype))
    return jnp.where(row == column, (2 * row + 1).astype(draw_dtype), root[:, None] * root[None, :])


def _scaled_legendre(size: int, draw_dtype: np.dtype) -> Array:
    row, column = _index_grids(size)
    below = jnp.where(row > column, -_root_products(size, draw_dtype), 0)
    return jnp.where(row == column, (-1 - row).astype(draw_dtype), below)


def _translated_legendre(size: int, draw_dtype: np.dtype) -> Array:
    row, column = _index_grids(size)
    product = _root_products(size, draw_dtype)
    return jnp.where((column > row) & ((column - row) % 2 == 1), product, -product)


def _laguerre(size: int, draw_dtype: np.dtype) -> Array:
    row, column = _index_grids(size)
    return jnp.where(row > column, -1, jnp.where(row == column, -0.5, 0)).astype(draw_dtype)


def _fourier_matrix(size: int, draw_dtype: np.dtype) -> Array:
    row, column = _index_grids(size)
    angle = jnp.asarray((2 * np.pi * (np.arange(size) // 2)).astype(draw_dtype))[None, :]
    pair = (row // 2 == column // 2) & (row > 1)
    rotation = jnp.where(pair & (row > column), angle, jnp.where(pair & (row < column), -angle, 0))
    # -B Bᵀ / 2 on the cosines, with exact powers of √2.
    nonconstant = jnp.minimum(row, 1) + jnp.minimum(column, 1)
    product = jnp.where(nonconstant == 0, -2, jnp.where(nonconstant == 1, -np.sqrt(8), -4))
    both_cosines = (row % 2 == 0) & (column % 2 == 0)
    return jnp.where(both_cosines, product.astype(draw_dtype), rotation)


_MATRICES: dict[str, Callable[[int, np.dtype], Array]] = {
    "legs": _scaled_legendre,
    "legt": _translated_legendre,
    "lagt": _laguerre,
    "fourier": _fourier_matrix,
}


def _check_pairs(initializer: Hippo | HippoInput, shape: tuple[int, ...]) -> None:
    if initializer.measure == "fourier" and shape[-1] % 2:
        raise ValueError(
            f"{initializer.name}: 'fourier' needs an even number of states, because cosines and "
            f"sines come in pairs, got {shape[-1]} (shape {shape})"
        )
