"""Diagonal state spaces, S4D and S5: the frequencies and decay rates they start from.

With a diagonal state matrix every state is a damped wave of its own. Its eigenvalue is kept as
`λ = -exp(log_decay) + i frequency`, once for every conjugate pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jinit.initializers.base import dtype_name, positive_integer
from jinit.initializers.choice import one_of
from jinit.initializers.state_space import StateVector

LARGEST_SPECTRUM = 2048
"""States up to which the spectrum of HiPPO-LegS is solved for: within seconds on one core."""


@dataclass(frozen=True, repr=False)
class S4DLogDecay(StateVector):
    """Logarithm of the decay rates of a diagonal state space."""

    name = "s4d_log_decay"
    variant: str = "lin"

    def along(self, shape: tuple[int, ...]) -> np.ndarray:
        """`log(1/2)`; `log(n + 1)` for the real variant."""
        if self.variant == "real":
            return np.log(np.arange(1, shape[-1] + 1))
        return np.full(shape[-1], np.log(0.5))


@dataclass(frozen=True, repr=False)
class S4DFrequency(StateVector):
    """Angular frequencies of a diagonal state space."""

    name = "s4d_frequency"
    variant: str = "lin"

    def along(self, shape: tuple[int, ...]) -> np.ndarray:
        """One frequency for every conjugate pair of eigenvalues."""
        pairs = shape[-1]
        if self.variant == "legs" and 2 * pairs > LARGEST_SPECTRUM:
            raise ValueError(
                f"s4d_frequency: 'legs' is solved for at most {LARGEST_SPECTRUM // 2} pairs of "
                f"states along the last axis, got shape {shape}; 'inv' is its limit for many"
            )
        return FREQUENCIES[self.variant](pairs)


class HippoDiagonal(NamedTuple):
    """`A + P Pᵀ = V diag(λ) Vᴴ`, the normal part of HiPPO-LegS, and its input vector `Vᴴ B`.

    >>> hippo_diagonal(4).eigenvalues.real
    array([-0.5, -0.5, -0.5, -0.5], dtype=float32)
    """

    eigenvalues: np.ndarray
    """`(size,)`, complex: real parts -1/2, imaginary parts ascending."""
    eigenvectors: np.ndarray
    """`(size, size)`, complex: the unitary V, a column per eigenvalue, its first row positive."""
    input: np.ndarray
    """`(size,)`, complex."""


def s4d_log_decay(variant: str = "lin", dtype: DTypeLike | None = None) -> S4DLogDecay:
    """`log(-Re λ)` of a diagonal state space along the last axis, beside `s4d_frequency`.

    `log(1/2)` everywhere; the variant "real" has `log(n + 1)` and no frequencies.

    Args:
      variant: "lin", "inv", "quad", "legs" or "real". dtype: default dtype of the result.

    Raises:
      ValueError: an unknown variant; when called, no axis.

    Reference: Gu, Gupta, Goel, Ré, "On the parameterization and initialization of diagonal state
    space models", 2022, section 4.

    >>> import jax
    >>> rate = jax.numpy.exp(s4d_log_decay("real")(jax.random.key(0), (3,)))
    >>> bool(abs(rate - jax.numpy.arange(1, 4)).max() < 1e-6)
    True
    """
    return S4DLogDecay(one_of("variant", variant, FREQUENCIES), dtype=dtype_name(dtype))


def s4d_frequency(variant: str = "lin", dtype: DTypeLike | None = None) -> S4DFrequency:
    """`Im λ` of a diagonal state space along the last axis, which counts conjugate pairs.

    With N states, that is N/2 pairs n = 0, 1, ...:

    - "lin": `πn`, the frequencies of a Fourier basis on a window of length 2.
    - "inv": `(N/π)(N/(2n+1) - 1)`, the limit of "legs" for many states; descending like it.
    - "quad": `(2n+1)² / π`.
    - "legs": the frequencies of HiPPO-LegS's normal part, descending (see `hippo_diagonal`).
    - "real": 0; every entry then stands for one real state, not for a pair.

    Args:
      variant: "lin", "inv", "quad", "legs" or "real". dtype: default dtype of the result.

    Raises:
      ValueError: an unknown variant; when called, no axis, or too many states for "legs".

    Reference: Gu, Gupta, Goel, Ré, "On the parameterization and initialization of diagonal state
    space models", 2022, section 4; "quad" as in the authors' code.

    >>> import jax
    >>> draw = lambda variant: s4d_frequency(variant)(jax.random.key(0), (64,))
    >>> bool(abs(draw("legs")[0] / draw("inv")[0] - 1) < 0.02)
    True
    """
    return S4DFrequency(one_of("variant", variant, FREQUENCIES), dtype=dtype_name(dtype))


def hippo_diagonal(size: int, dtype: DTypeLike = "complex64") -> HippoDiagonal:
    """HiPPO-LegS made diagonal, the start of S5: eigenvalues, eigenvectors and input vector.

    `A + P Pᵀ = V diag(λ) Vᴴ` with A from `hippo("legs")` and `P_n = √(n + 1/2)`. All real parts
    are -1/2; imaginary parts ascend, so that the entries j and size - 1 - j are conjugate. A real
    system keeps one half of them, say `[size // 2 :]` of an even size, and takes twice the real
    part of its output. Computed in double precision, without an eigenvalue solver.

    Args:
      size: number of states, at least 1. dtype: complex64 or complex128 of the NumPy arrays.

    Raises:
      TypeError: a size that is not an integer, or a dtype that is not complex.
      ValueError: a size below 1, or too large to be solved at once.

    Reference: Gu, Goel, Ré, "Efficiently modeling long sequences with structured state spaces",
    2022, theorem 1; Smith, Warrington, Linderman, "Simplified state space layers for sequence
    modeling", 2023, section 4.3.

    >>> import numpy as np
    >>> eigenvalues, vectors, _ = hippo_diagonal(8)
    >>> bool(np.allclose(vectors.conj().T @ vectors, np.eye(8), atol=1e-6))
    True
    """
    if positive_integer("size", size) > LARGEST_SPECTRUM:
        raise ValueError(
            f"size: expected at most {LARGEST_SPECTRUM} states, got {size}; large states are made "
            "of several smaller blocks, each with its own copy"
        )
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(f"dtype: expected a complex dtype, got {jnp.dtype(dtype).name}")
    half = _frequencies(size)
    frequency = np.concatenate([-half[::-1], np.zeros(size % 2), half])
    vectors = _eigenvectors(frequency)
    inputs = vectors.conj().T @ np.sqrt(2 * np.arange(size) + 1)
    parts = (-0.5 + 1j * frequency, vectors, inputs)
    return HippoDiagonal(*(part.astype(dtype) for part in parts))


@lru_cache(maxsize=16)
def _frequencies(size: int) -> np.ndarray:
    """Positive imaginary parts of the eigenvalues of LegS's normal part, ascending.

    An eigenvector `√(2n+1) y_n` has `y_(n+1) (2iω + 2n+3) = y_n (2iω - 2n-1)`: the difference of
    two neighbouring rows. The first and the last row then demand, angle by angle,
    `Σ_n atan(2ω / (2n+1)) = π (j - (size-1)/2)` for j = 0 ... size-1. The sum is concave for
    positive ω, so that Newton's steps from below never overshoot.
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


def _eigenvectors(frequency: np.ndarray) -> np.ndarray:
    """Unit eigenvectors of LegS's normal part, by the recursion that `_frequencies` states."""
    odd = 2.0 * np.arange(len(frequency))[:, None] + 1
    ratio = (2j * frequency - odd[:-1]) / (2j * frequency + odd[1:])
    steps = np.concatenate([np.ones((1, len(frequency))), ratio])
    vectors = np.sqrt(odd) * np.cumprod(steps, axis=0)
    return vectors / np.linalg.norm(vectors, axis=0)


def _inverse(pairs: int) -> np.ndarray:
    states = 2 * pairs
    return states / np.pi * (states / (2 * np.arange(pairs) + 1) - 1)


FREQUENCIES: dict[str, Callable[[int], np.ndarray]] = {
    "lin": lambda pairs: np.pi * np.arange(pairs),
    "inv": _inverse,
    "quad": lambda pairs: (2 * np.arange(pairs) + 1) ** 2 / np.pi,
    "legs": lambda pairs: _frequencies(2 * pairs)[::-1],
    "real": np.zeros,
}
