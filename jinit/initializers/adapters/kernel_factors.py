"""LoRA initializations from a factorization of the base kernel: PiSSA, OLoRA and MiCA."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.adapters.adapter import WeightAdapter, check_adapter_options
from jinit.initializers.base import check_positive_integer
from jinit.initializers.factorizations import (
    balanced_factors,
    map_matrices,
    orthonormal_columns,
    randomized_svd,
    svd,
)
from jinit.sampling import draw_normal, full_precision_product


@dataclass(frozen=True, repr=False)
class Pissa(WeightAdapter):
    """Principal singular directions of the kernel."""

    name = "pissa"
    is_product_subtracted = True

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Return the leading triplets, with the singular values split evenly between A and B."""
        del key
        return map_matrices(
            lambda matrix: balanced_factors(self.rank, self.scale, *svd(matrix)), weight
        )


@dataclass(frozen=True, repr=False)
class PissaRandomized(WeightAdapter):
    """Principal singular directions of the kernel, from a randomized decomposition."""

    name = "pissa_randomized"
    is_product_subtracted = True
    iterations: int = 16

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Return the triplets found by subspace iteration, split evenly between A and B."""
        *copies, _, outputs = weight.shape
        sketches = draw_normal(key, (*copies, outputs, self.rank), weight.dtype)

        def factorize(matrix: Array, sketch: Array) -> tuple[Array, Array]:
            triplets = randomized_svd(matrix, sketch, self.iterations)
            return balanced_factors(self.rank, self.scale, *triplets)

        return map_matrices(factorize, weight, sketches)


@dataclass(frozen=True, repr=False)
class Olora(WeightAdapter):
    """Orthonormal B, and the coordinates of the kernel in its rows as A."""

    name = "olora"
    is_product_subtracted = True

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Return the leading part of the QR decomposition of the transposed kernel."""
        del key

        def factorize(matrix: Array) -> tuple[Array, Array]:
            # The leading columns of Q depend only on the leading columns of the matrix.
            basis = orthonormal_columns(matrix[: self.rank].T)
            return jnp.tril(full_precision_product(matrix, basis)), basis.T

        return map_matrices(factorize, weight)


@dataclass(frozen=True, repr=False)
class Mica(WeightAdapter):
    """Output directions with the smallest singular values of the kernel."""

    name = "mica"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Return A = 0 and as B the singular vectors of the smallest singular values."""
        del key
        b = map_matrices(lambda matrix: svd(matrix)[2][-self.rank :], weight)
        return jnp.zeros((*weight.shape[:-1], self.rank), weight.dtype), b


def pissa(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Pissa:
    """PiSSA: the best rank-r approximation of the kernel is trained, the remainder is frozen.

    With `W = U diag(s) V`: `A = U_r √(s_r / scale)`, `B = √(s_r / scale) V_r`, and the frozen
    weight is `W - scale · A B`. The entry of largest modulus in every row of V is positive.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel is
        not an array of real floating-point values, such as a quantized one.
      ValueError: if `rank` is below 1, `alpha` not positive, or `scaling` unknown; when called, if
        the kernel has fewer than two axes, or its shorter side is below the rank.

    Reference: Meng, Wang, Zhang, "PiSSA: principal singular values and singular vectors adaptation
    of large language models", 2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> layer = pissa(8)(jax.random.key(1), w)
    >>> s, remainder = (jnp.linalg.svd(m, compute_uv=False) for m in (w, layer.weight))
    >>> bool(jnp.allclose(remainder[:24], s[8:], atol=1e-5))
    True
    """
    return Pissa(**check_adapter_options(rank, alpha, scaling, dtype))


def pissa_randomized(
    rank: int,
    iterations: int = 16,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> PissaRandomized:
    """PiSSA for large kernels, by subspace iteration instead of a full decomposition.

    The iteration begins with a random subspace of `rank` dimensions. Each iteration reduces the
    error by the factor `(s_(r+1) / s_r)²`, with s the singular values in descending order. The
    merged layer equals the kernel for any error.

    Args:
      rank: columns of A and rows of B, at least 1.
      iterations: multiplications by the kernel and its transpose, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` or `iterations` is not an integer, or `alpha` not a number; when called,
        if the kernel is not an array of real floating-point values, such as a quantized one.
      ValueError: if `rank` or `iterations` is below 1, `alpha` not positive, or `scaling` unknown;
        when called, if the kernel has fewer than two axes, or its shorter side is below the rank.

    Reference: Meng, Wang, Zhang, "PiSSA", 2024, section 3; Halko, Martinsson, Tropp, "Finding
    structure with randomness", 2011, algorithm 4.4.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> layer = pissa_randomized(8, iterations=4)(jax.random.key(1), w)
    >>> bool(jnp.allclose(layer.merged_kernel(), w, atol=1e-6))
    True
    """
    options = check_adapter_options(rank, alpha, scaling, dtype)
    return PissaRandomized(**options, iterations=check_positive_integer("iterations", iterations))


def olora(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Olora:
    """OLoRA: orthonormal rows of B span the first r rows of the kernel; the remainder is frozen.

    With the QR decomposition `Wᵀ = Q R`, diag R ≥ 0: `A = R_rᵀ`, `B = Q_rᵀ`, and the frozen weight
    is `W - scale · A B`. For a scale of 1 its rows are orthogonal to the rows of B.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel is
        not an array of real floating-point values, such as a quantized one.
      ValueError: if `rank` is below 1, `alpha` not positive, or `scaling` unknown; when called, if
        the kernel has fewer than two axes, or its shorter side is below the rank.

    Reference: Büyükakyüz, "OLoRA: orthonormal low-rank adaptation of large language models", 2024,
    section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> layer = olora(8)(jax.random.key(1), w)
    >>> bool(jnp.allclose(layer.b @ layer.b.T, jnp.eye(8), atol=1e-5))
    True
    >>> bool(jnp.allclose(layer.weight[:8], 0, atol=1e-5))
    True
    """
    return Olora(**check_adapter_options(rank, alpha, scaling, dtype))


def mica(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Mica:
    """MiCA: B holds the output directions with the smallest singular values, A is zero.

    With `W = U diag(s) V`, B is the last r rows of V. Train A, and keep B frozen with the weight:
    the adapter then acts in the least used output directions of the kernel. The adapted layer
    initially equals the base layer.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel is
        not an array of real floating-point values, such as a quantized one.
      ValueError: if `rank` is below 1, `alpha` not positive, or `scaling` unknown; when called, if
        the kernel has fewer than two axes, or its shorter side is below the rank.

    Reference: Rüdiger & Raschka, "MiCA learns more knowledge than LoRA and full fine-tuning", 2026.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = jinit.he_normal()(jax.random.key(0), (64, 32))
    >>> layer = mica(2)(jax.random.key(1), w)
    >>> s = jnp.linalg.svd(w, compute_uv=False)
    >>> bool(jnp.allclose(jnp.linalg.norm(w @ layer.b.T, axis=0), s[-2:], atol=1e-5))
    True
    """
    return Mica(**check_adapter_options(rank, alpha, scaling, dtype))
