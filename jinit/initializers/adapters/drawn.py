"""Low-rank adapters that need nothing but a key: a product of factors that starts at zero."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.adapters.adapter import WeightAdapter, shared_options
from jinit.initializers.low_rank import for_each, frame
from jinit.sampling import normal, product, uniform


@dataclass(frozen=True, repr=False)
class Lora(WeightAdapter):
    """A uniform, B zero."""

    name = "lora"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """A on ±1/√in."""
        a, b = _shapes(self, weight)
        bound = 1 / math.sqrt(a[-2])
        return uniform(key, a, weight.dtype, -bound, bound), jnp.zeros(b, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraGaussian(WeightAdapter):
    """A normal, B zero."""

    name = "lora_gaussian"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """A with standard deviation 1/rank."""
        a, b = _shapes(self, weight)
        return normal(key, a, weight.dtype, scale=1 / self.rank), jnp.zeros(b, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraEmbedding(WeightAdapter):
    """A zero, B normal."""

    name = "lora_embedding"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """B with standard deviation 1."""
        a, b = _shapes(self, weight)
        return jnp.zeros(a, weight.dtype), normal(key, b, weight.dtype)


@dataclass(frozen=True, repr=False)
class LoraOrthogonal(WeightAdapter):
    """A and B normal in two halves of the rank that are orthogonal to each other."""

    name = "lora_orthogonal"

    def factors(self, key: Array, weight: Array) -> tuple[Array, Array]:
        """A from the even rows of a random rotation, B from the odd ones."""
        (*copies, inputs, rank), (*_, outputs) = _shapes(self, weight)
        keys = jax.random.split(key, 3)
        shapes = (rank, rank), (inputs, rank // 2), (rank // 2, outputs)
        drawn = (
            normal(key, (*copies, *shape), weight.dtype)
            for key, shape in zip(keys, shapes, strict=True)
        )

        def halves(square: Array, left: Array, right: Array) -> tuple[Array, Array]:
            rotation = frame(square)
            return product(left, rotation[0::2]) / 10, product(rotation[1::2].T, right) / 10

        return for_each(halves, *drawn)


def lora(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Lora:
    """A uniform on `±1/√in`, B zero: the layer starts as it was.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None is the rank, which makes the standard scale 1.
      scaling: "standard" multiplies A B by alpha / rank, "rank_stabilized" by alpha / √rank, under
        which gradients neither vanish nor explode as the rank grows (rsLoRA).
      dtype: of the factors; None is the kernel's. Values are found in float32 (float64) and
        rounded once, so float32 factors beside a bfloat16 kernel cost nothing but memory.

    Raises:
      ValueError: a rank below 1, `alpha <= 0`, an unknown scaling; when called, a kernel of fewer
        than two axes, or whose shorter side is below the rank.
      TypeError: when called, a kernel that is not floating-point, such as a quantized one.

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, section 4.1,
    with the uniform law of its code; Kalajdzievski, "A rank stabilization scaling factor for
    fine-tuning with LoRA", 2023.

    >>> import jax, jinit
    >>> w = jinit.he_normal()(jax.random.key(0), (100, 32))
    >>> start = lora(8)(jax.random.key(1), w)
    >>> bool((start.merged() == w).all() and (abs(start.a) <= 0.1).all())
    True
    """
    return Lora(*shared_options(rank, alpha, scaling, dtype))


def lora_gaussian(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraGaussian:
    """A normal with standard deviation `1/rank`, B zero: the layer starts as it was.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError, TypeError: as for `lora`.

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, section 4.1;
    the standard deviation is that of Hugging Face's PEFT, "gaussian".

    >>> import jax, jinit
    >>> start = lora_gaussian(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (999, 99)))
    >>> bool(abs(start.a.std() - 1 / 4) < 0.02)
    True
    """
    return LoraGaussian(*shared_options(rank, alpha, scaling, dtype))


def lora_embedding(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraEmbedding:
    """For a table `(tokens, features)`: A zero, B standard normal; the table starts as it was.

    A row of A belongs to one token, so this way only tokens that are seen move.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError, TypeError: as for `lora`.

    Reference: Hu et al., "LoRA: low-rank adaptation of large language models", 2021, the authors'
    code for embeddings.

    >>> import jax, jinit
    >>> start = lora_embedding(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (999, 64)))
    >>> bool((start.a == 0).all() and (start.b != 0).all())
    True
    """
    return LoraEmbedding(*shared_options(rank, alpha, scaling, dtype))


def lora_orthogonal(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraOrthogonal:
    """`A = X Q₀ / 10`, `B = Q₁ᵀ Y / 10`, with X, Y normal: neither factor is zero, but A B is.

    Q₀ and Q₁ are the even and the odd rows of a random rotation. A B vanishes up to the rounding
    of the factors' dtype, and the frozen weight is the kernel itself.

    Args:
      rank: even. alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError: an odd rank; otherwise, and TypeError, as for `lora`.

    Reference: Hugging Face's PEFT, "orthogonal", after the notes datta0.github.io/posts/
    rethink-lora-init, section "Orthogonal initialisation".

    >>> import jax, jinit, jax.numpy as jnp
    >>> start = lora_orthogonal(4)(jax.random.key(1), jinit.ones(jax.random.key(0), (64, 32)))
    >>> bool(jnp.allclose(start.a @ start.b, 0, atol=1e-6) and (start.b != 0).all())
    True
    """
    options = shared_options(rank, alpha, scaling, dtype)
    if rank % 2:
        raise ValueError(
            f"rank: expected an even number, got {rank}: one half is A's, the other B's; "
            f"did you mean {rank + 1}?"
        )
    return LoraOrthogonal(*options)


def _shapes(adapter: WeightAdapter, weight: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    *copies, inputs, outputs = weight.shape
    return (*copies, inputs, adapter.rank), (*copies, adapter.rank, outputs)
