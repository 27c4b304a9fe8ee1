"""Random LoRA initializations, whose product A B is zero."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.adapters.adapter import WeightAdapter, check_adapter_options
from jinit.initializers.factorizations import map_matrices, orthonormal_columns
from jinit.sampling import draw_normal, draw_uniform, full_precision_product


@dataclass(frozen=True, repr=False)
class Lora(WeightAdapter):
    """A ~ U(-1/√in, 1/√in), B = 0."""

    name = "lora"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Draw A uniform on ±1/√in, with B = 0."""
        a_shape, b_shape = _factor_shapes(self, weight)
        bound = 1 / math.sqrt(a_shape[-2])
        a = draw_uniform(key, a_shape, weight.dtype, -bound, bound)
        return a, jnp.zeros(b_shape, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraGaussian(WeightAdapter):
    """A ~ N(0, 1/rank²), B = 0."""

    name = "lora_gaussian"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Draw A normal with standard deviation 1/rank, with B = 0."""
        a_shape, b_shape = _factor_shapes(self, weight)
        a = draw_normal(key, a_shape, weight.dtype, scale=1 / self.rank)
        return a, jnp.zeros(b_shape, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraEmbedding(WeightAdapter):
    """A = 0, B ~ N(0, 1)."""

    name = "lora_embedding"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Draw B standard normal, with A = 0."""
        a_shape, b_shape = _factor_shapes(self, weight)
        return jnp.zeros(a_shape, weight.dtype), draw_normal(key, b_shape, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraOrthogonal(WeightAdapter):
    """A and B normal in two orthogonal halves of the rank dimensions."""

    name = "lora_orthogonal"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """Draw A from the even rows of a random rotation and B from the odd ones."""
        (*copies, inputs, rank), (*_, outputs) = _factor_shapes(self, weight)
        keys = jax.random.split(key, 3)
        shapes = (rank, rank), (inputs, rank // 2), (rank // 2, outputs)
        normals = (
            draw_normal(key, (*copies, *shape), weight.dtype)
            for key, shape in zip(keys, shapes, strict=True)
        )

        def rotate(square: Array, left: Array, right: Array) -> tuple[Array, Array]:
            rotation = orthonormal_columns(square)
            a = full_precision_product(left, rotation[0::2]) / 10
            return a, full_precision_product(rotation[1::2].T, right) / 10

        return map_matrices(rotate, *normals)


def lora(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Lora:
    """LoRA: A uniform on `±1/√in`, B = 0.

    The adapted layer initially equals the base layer. Factors are computed in float32 (float64) and
    rounded once, so float32 factors of a bfloat16 kernel cost only memory. With the rank-stabilized
    scale (rsLoRA) gradients neither vanish nor explode as the rank grows.

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

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, section 4.1,
    with the uniform distribution of its code; Kalajdzievski, "A rank stabilization scaling factor
    for fine-tuning with LoRA", 2023.

    >>> import jax, jinit
    >>> w = jinit.he_normal()(jax.random.key(0), (100, 32))
    >>> layer = lora(8)(jax.random.key(1), w)
    >>> bool((layer.merged_kernel() == w).all() and (abs(layer.a) <= 0.1).all())
    True
    """
    return Lora(**check_adapter_options(rank, alpha, scaling, dtype))


def lora_gaussian(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraGaussian:
    """LoRA with A normal of standard deviation `1/rank`, B = 0.

    The adapted layer initially equals the base layer.

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

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, section 4.1;
    the standard deviation is that of Hugging Face's PEFT, "gaussian".

    >>> import jax, jinit
    >>> layer = lora_gaussian(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (999, 99)))
    >>> bool(abs(layer.a.std() - 1 / 4) < 0.02)
    True
    """
    return LoraGaussian(**check_adapter_options(rank, alpha, scaling, dtype))


def lora_embedding(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraEmbedding:
    """LoRA of an embedding table `(tokens, features)`: A = 0, B standard normal.

    The adapted table initially equals the base table. A row of A belongs to one token, so only the
    tokens seen in training change.

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

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, the authors'
    code for embeddings.

    >>> import jax, jinit
    >>> layer = lora_embedding(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (999, 64)))
    >>> bool((layer.a == 0).all() and (layer.b != 0).all())
    True
    """
    return LoraEmbedding(**check_adapter_options(rank, alpha, scaling, dtype))


def lora_orthogonal(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraOrthogonal:
    """`A = X Q₀ / 10`, `B = Q₁ᵀ Y / 10` with X, Y normal: neither factor is zero, but A B is.

    Q₀ and Q₁ are the even and the odd rows of a random rotation. A B is zero up to the rounding of
    the factors, and the frozen weight is the kernel.

    Args:
      rank: columns of A and rows of B, even.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel is
        not an array of real floating-point values, such as a quantized one.
      ValueError: if `rank` is below 1 or odd, `alpha` not positive, or `scaling` unknown; when
        called, if the kernel has fewer than two axes, or its shorter side is below the rank.

    Reference: Hugging Face's PEFT, "orthogonal", after the notes datta0.github.io/posts/
    rethink-lora-init, section "Orthogonal initialisation".

    >>> import jax, jinit, jax.numpy as jnp
    >>> layer = lora_orthogonal(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (64, 32)))
    >>> bool(jnp.allclose(layer.a @ layer.b, 0, atol=1e-6) and (layer.b != 0).all())
    True
    """
    options = check_adapter_options(rank, alpha, scaling, dtype)
    if rank % 2:
        raise ValueError(
            f"rank: expected an even number, because A and B use one half each, got {rank}; "
            f"did you mean {rank + 1}?"
        )
    return LoraOrthogonal(**options)


def _factor_shapes(
    adapter: WeightAdapter, weight: Array
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of A and B."""
    *copies, inputs, outputs = weight.shape
    return (*copies, inputs, adapter.rank), (*copies, adapter.rank, outputs)
