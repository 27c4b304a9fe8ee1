"""Initial frequencies and decay rates of diagonal state spaces: S4D and S5.

With a diagonal state matrix every state is an independent damped wave. The parameters are
`log_decay` and `frequency` of its eigenvalue `λ = -exp(log_decay) + i frequency`, one per conjugate
pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jinit.choice import check_choice
from jinit.initializers.base import check_positive_integer, dtype_name
from jinit.initializers.hippo import StateVector

_MAX_STATES = 2048
"""Largest number of states for which HiPPO-LegS is diagonalized; it takes seconds on one core."""


@dataclass(frozen=True, repr=False)
class S4DLogDecay(StateVector):
    """Logarithm of the decay rates of a diagonal state space."""

    name = "s4d_log_decay"
    variant: str = "lin"

    def vector(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return `log(1/2)` for all states, or `log(n + 1)` for the real variant."""
        if self.variant == "real":
            return np.log(np.arange(1, shape[-1] + 1))
        return np.full(shape[-1], np.log(0.5))


@dataclass(frozen=True, repr=False)
class S4DFrequency(StateVector):
    """Angular frequencies of a diagonal state space."""

    name = "s4d_frequency"
    variant: str = "lin"

    def vector(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return one frequency for every conjugate pair of eigenvalues."""
        pairs = shape[-1]
        if self.variant == "legs" and 2 * pairs > _MAX_STATES:
            raise ValueError(
                f"s4d_frequency: 'legs' supports at most {_MAX_STATES // 2} conjugate pairs along "
                f"the last axis, got shape {shape}; use variant='inv', its limit for many states"
            )
        return _FREQUENCIES[self.variant](pairs)


class HippoDiagonal(NamedTuple):
    """Eigenvalues λ and eigenvectors V of `A + P Pᵀ = V diag(λ) Vᴴ`, and the input vector `Vᴴ B`.

    A is the HiPPO-LegS matrix and `A + P Pᵀ` its normal part.

    >>> hippo_diagonal(4).eigenvalues.real
    array([-0.5, -0.5, -0.5, -0.5], dtype=float32)
    """

    eigenvalues: np.ndarray
    """`(size,)`, complex: real parts -1/2, imaginary parts ascending."""
    eigenvectors: np.ndarray
    """`(size, size)`, complex: the unitary V, a column per eigenvalue, its first row positive."""
    input: np.ndarray
    """`(size,)`, complex: `Vᴴ B`."""


def s4d_log_decay(variant: str = "lin", dtype: DTypeLike | None = None) -> S4DLogDecay:
    """`log(-Re λ)` of a diagonal state space along the last axis; use it with `s4d_frequency`.

    All entries are `log(1/2)`. The variant "real" has `log(n + 1)` and no frequencies.

    Args:
      variant: "lin", "inv", "quad", "legs" or "real".
      dtype: default dtype of the result.

    Raises:
      ValueError: if the variant is unknown; when called, if the shape has no axis.

    Reference: Gu, Gupta, Goel, Ré, "On the parameterization and initialization of diagonal state
    space models", 2022, section 4.

    >>> import jax
    >>> rate = jax.numpy.exp(s4d_log_decay("real")(jax.random.key(0), (3,)))
    >>> bool(abs(rate - jax.numpy.arange(1, 4)).max() < 1e-6)
    True
    """
    return S4DLogDecay(check_choice("variant", variant, _FREQUENCIES), dtype=dtype_name(dtype))


def s4d_frequency(variant: str = "lin", dtype: DTypeLike | None = None) -> S4DFrequency:
    """`Im λ` of a diagonal state space along the last axis, one entry per conjugate pair.

    N states have N/2 conjugate pairs n = 0, 1, ...:

    - "lin": `πn`, the frequencies of a Fourier basis on a window of length 2.
    - "inv": `(N/π)(N/(2n+1) - 1)`, descending: the limit of "legs" for many states.
    - "quad": `(2n+1)² / π`.
    - "legs": the frequencies of the normal part of HiPPO-LegS, descending (see `hippo_diagonal`).
    - "real": 0; every entry then belongs to one real state, not to a conjugate pair.

    Args:
      variant: "lin", "inv", "quad", "legs" or "real".
      dtype: default dtype of the result.

    Raises:
      ValueError: if the variant is unknown; when called, if the shape has no axis, or more than
        1024 pairs for "legs".

    Reference: Gu, Gupta, Goel, Ré, "On the parameterization and initialization of diagonal state
    space models", 2022, section 4; "quad" as in the authors' code.

    >>> import jax
    >>> draw = lambda variant: s4d_frequency(variant)(jax.random.key(0), (64,))
    >>> bool(abs(draw("legs")[0] / draw("inv")[0] - 1) < 0.02)
    True
    """
    return S4DFrequency(check_choice("variant", variant, _FREQUENCIES), dtype=dtype_name(dtype))


def hippo_diagonal(size: int, dtype: DTypeLike = "complex64") -> HippoDiagonal:
    """Diagonalized HiPPO-LegS, the S5 initialization: eigenvalues, eigenvectors and input vector.

    `A + P Pᵀ = V diag(λ) Vᴴ` with A from `hippo("legs")` and `P_n = √(n + 1/2)`. All real parts
    are -1/2. Imaginary parts ascend, so that the entries j and size - 1 - j are conjugate. A real
    system keeps one half of them, such as `[size // 2 :]` for an even size, and takes twice the
    real part of its output. The result is computed in double precision without an eigenvalue
    solver.

    Args:
      size: number of states, from 1 to 2048.
      dtype: complex64 or complex128, the dtype of the returned NumPy arrays.

    Returns:
      Eigenvalues of shape `(size,)`, eigenvectors `(size, size)` and input vector `(size,)`.

    Raises:
      TypeError: if the size is not an integer, or the dtype is not complex.
      ValueError: if the size is below 1 or above 2048.

    Reference: Gu, Goel, Ré, "Efficiently modeling long sequences with structured state spaces",
    2022, theorem 1; Smith, Warrington, Linderman, "Simplified state space layers for sequence
    modeling", 2023, section 4.3.

    >>> import numpy as np
    >>> eigenvalues, vectors, _ = hippo_diagonal(8)
    >>> bool(np.allclose(vectors.conj().T @ vectors, np.eye(8), atol=1e-6))
    True
    """
    if check_positive_integer("size", size) > _MAX_STATES:
        raise ValueError(
            f"size: expected at most {_MAX_STATES} states, got {size}; for a larger state use "
            "several smaller blocks, each with this initialization"
        )
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(f"dtype: expected a complex dtype, got {jnp.dtype(dtype).name}")
    half = _legs_frequencies(size)
    frequency = np.concatenate([-half[::-1], np.zeros(size % 2), half])
    vectors = _legs_eigenvectors(frequency)
    inputs = vectors.conj().T @ np.sqrt(2 * np.arange(size) + 1)
    return HippoDiagonal(
        eigenvalues=(-0.5 + 1j * frequency).astype(dtype),
        eigenvectors=vectors.astype(dtype),
        input=inputs.astype(dtype),
    )


@lru_cache(maxsize=16)
def _legs_frequencies(size: int) -> np.ndarray:
    """Return the positive imaginary parts of the eigenvalues of LegS's normal part, ascending.

    An eigenvector `√(2n+1) y_n` satisfies `y_(n+1) (2iω + 2n+3) = y_n (2iω - 2n-1)`, the difference
    of two neighbouring rows. By the first and the last row, the phases satisfy
    `Σ_n atan(2ω / (2n+1)) = π (j - (size-1)/2)` for j = 0 ... size-1. The sum is concave for
    positive ω, so Newton's steps from below never overshoot.
    """
    odd = 2 * np.arange(size) + 1.0
    angle = np.pi * (np.arange(size // 2) + (1 + size % 2) / 2)
    frequency = angle / (2 / odd).sum()
    for _ in range(100):
        ratio = 2 * frequency[:, None] / odd
        slope = (2 / odd / (1 + ratio**2)).sum(1)
        step = (angle - np.arctan(ratio).sum(1)) / slope
        frequency += step
        if (abs(step) <= size * np.finfo(float).eps * frequency).all():
            break
    return frequency


def _legs_eigenvectors(frequency: np.ndarray) -> np.ndarray:
    """Return unit eigenvectors of LegS's normal part by the recursion in `_legs_frequencies`."""
    odd = 2.0 * np.arange(len(frequency))[:, None] + 1
    ratio = (2j * frequency - odd[:-1]) / (2j * frequency + odd[1:])
    ratios = np.concatenate([np.ones((1, len(frequency))), ratio])
    vectors = np.sqrt(odd) * np.cumprod(ratios, axis=0)
    return vectors / np.linalg.norm(vectors, axis=0)


def _inv_frequencies(pairs: int) -> np.ndarray:
    states = 2 * pairs
    return states / np.pi * (states / (2 * np.arange(pairs) + 1) - 1)


_FREQUENCIES: dict[str, Callable[[int], np.ndarray]] = {
    "lin": lambda pairs: np.pi * np.arange(pairs),
    "inv": _inv_frequencies,
    "quad": lambda pairs: (2 * np.arange(pairs) + 1) ** 2 / np.pi,
    "legs": lambda pairs: _legs_frequencies(2 * pairs)[::-1],
    "real": np.zeros,
}
