"""Low-rank adapters that are cut out of the base kernel itself: its major or minor directions."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.adapters.adapter import WeightAdapter, shared_options
from jinit.initializers.base import positive_integer
from jinit.initializers.low_rank import for_each, frame, randomized_svd, shared, svd
from jinit.sampling import normal, product


@dataclass(frozen=True, repr=False)
class Pissa(WeightAdapter):
    """The principal singular directions of the kernel."""

    name = "pissa"
    splits = True

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """The leading triplets, their singular values shared between A and B."""
        del key
        return for_each(lambda matrix: shared(self.rank, self.scale, *svd(matrix)), weight)


@dataclass(frozen=True, repr=False)
class PissaRandomized(WeightAdapter):
    """The principal singular directions of the kernel, found in a random subspace."""

    name = "pissa_randomized"
    splits = True
    iterations: int = 16

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """The triplets that subspace iteration has found."""
        *copies, _, outputs = weight.shape
        sketches = normal(key, (*copies, outputs, self.rank), weight.dtype)

        def solve(matrix: Array, sketch: Array) -> tuple[Array, Array]:
            found = randomized_svd(matrix, sketch, self.iterations)
            return shared(self.rank, self.scale, *found)

        return for_each(solve, weight, sketches)


@dataclass(frozen=True, repr=False)
class Olora(WeightAdapter):
    """An orthonormal B, and the kernel in its coordinates as A."""

    name = "olora"
    splits = True

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """The leading part of the QR decomposition of the transposed kernel."""
        del key

        def solve(matrix: Array) -> tuple[Array, Array]:
            # The leading columns of Q depend on no other column of what is decomposed.
            basis = frame(matrix[: self.rank].T)
            return jnp.tril(product(matrix, basis)), basis.T

        return for_each(solve, weight)


@dataclass(frozen=True, repr=False)
class Mica(WeightAdapter):
    """The directions into which the kernel writes least."""

    name = "mica"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """A zero, B the singular vectors of the smallest singular values."""
        del key
        b = for_each(lambda matrix: svd(matrix)[2][-self.rank :], weight)
        return jnp.zeros((*weight.shape[:-1], self.rank), weight.dtype), b


def pissa(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Pissa:
    """The best rank-r part of the kernel becomes the adapter; what is left of it is frozen.

    With `W = U diag(s) V`: `A = U_r √(s_r / scale)`, `B = √(s_r / scale) V_r`, and the frozen
    weight is `W - scale · A B`. The entry of largest modulus in every row of V is positive.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError, TypeError: as for `lora`.

    Reference: Meng, Wang, Zhang, "PiSSA: principal singular values and singular vectors adaptation
    of large language models", 2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> start = pissa(8)(jax.random.key(1), w)
    >>> s, left = (jnp.linalg.svd(m, compute_uv=False) for m in (w, start.weight))
    >>> bool(jnp.allclose(left[:24], s[8:], atol=1e-5))
    True
    """
    return Pissa(*shared_options(rank, alpha, scaling, dtype))


def pissa_randomized(
    rank: int,
    iterations: int = 16,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> PissaRandomized:
    """`pissa` for large kernels: subspace iteration instead of a full decomposition.

    Starts from a random subspace of rank dimensions. Its error shrinks per iteration by the square
    of the ratio of the first singular value left out to the last one kept; the merged layer is the
    kernel whatever the error.

    Args:
      rank: as for `lora`. iterations: multiplications by the kernel and its transpose, at least 1.
      alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError: `iterations` below 1; otherwise, and TypeError, as for `lora`.

    Reference: Meng, Wang, Zhang, "PiSSA", 2024, section 3; Halko, Martinsson, Tropp, "Finding
    structure with randomness", 2011, algorithm 4.4.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> start = pissa_randomized(8, iterations=4)(jax.random.key(1), w)
    >>> bool(jnp.allclose(start.merged(), w, atol=1e-6))
    True
    """
    options = shared_options(rank, alpha, scaling, dtype)
    return PissaRandomized(*options, positive_integer("iterations", iterations))


def olora(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Olora:
    """Orthonormal rows of B span the first r rows of the kernel; the rest of it is frozen.

    With the QR decomposition `Wᵀ = Q R`, diag R ≥ 0: `A = R_rᵀ`, `B = Q_rᵀ`, and the frozen weight
    is `W - scale · A B`. For a scale of 1 its rows are orthogonal to those of B.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError, TypeError: as for `lora`.

    Reference: Büyükakyüz, "OLoRA: orthonormal low-rank adaptation of large language models", 2024,
    section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> start = olora(8)(jax.random.key(1), w)
    >>> bool(jnp.allclose(start.b @ start.b.T, jnp.eye(8), atol=1e-5))
    True
    >>> bool(jnp.allclose(start.weight[:8], 0, atol=1e-5))
    True
    """
    return Olora(*shared_options(rank, alpha, scaling, dtype))


def mica(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Mica:
    """B holds the output directions with the smallest singular values, A is zero.

    With `W = U diag(s) V`, B is the last r rows of V. Train A and keep B frozen with the weight:
    the adapter then writes only where the kernel hardly does. The layer starts as it was.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError, TypeError: as for `lora`.

    Reference: Rüdiger & Raschka, "MiCA learns more knowledge than LoRA and full fine-tuning", 2026.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> start = mica(2)(jax.random.key(1), w)
    >>> s = jnp.linalg.svd(w, compute_uv=False)
    >>> bool(jnp.allclose(jnp.linalg.norm(w @ start.b.T, axis=0), s[-2:], atol=1e-5))
    True
    """
    return Mica(*shared_options(rank, alpha, scaling, dtype))
