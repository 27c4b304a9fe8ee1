"""LoRA initialization from the gradient of the loss: LoRA-GA."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jinit.choice import check_choice
from jinit.initializers.adapters.adapter import (
    Adapter,
    LowRank,
    build_low_rank,
    check_adapter_options,
    check_floating,
    check_kernel,
)
from jinit.initializers.base import check_positive
from jinit.initializers.factorizations import map_matrices, svd
from jinit.sampling import draw_uniform

_DIRECTIONS = ("ArB2r", "A2rBr", "ArBr", "random")
_MAGNITUDES = ("stable", "gradient_descent", "weight", "unit")


@dataclass(frozen=True, repr=False)
class LoraGa(Adapter):
    """Singular directions of the gradient of the loss."""

    name = "lora_ga"
    is_product_subtracted = True
    direction: str = "ArB2r"
    magnitude: str = "stable"
    gamma: float = 16.0

    def __call__(self, key: Array, weight: Array, gradient: Array) -> LowRank:
        """Return factors for `weight` (..., in, out) from the gradient of the same shape."""
        kernel = check_kernel(self, weight)
        return build_low_rank(self, key, kernel, _check_gradient(self, kernel, gradient))

    def factors(self, key: Array, weight: Array, gradient: Array) -> tuple[Array, Array]:
        """Return r of the leading 2r left singular vectors as A, the other r right ones as B."""
        indices = _direction_indices(self, key, weight.shape[:-2])

        def factorize(matrix: Array, gradient: Array, indices: Array) -> tuple[Array, Array]:
            u, _, v = svd(gradient)
            norm = _factor_norm(self, matrix)
            return norm * u[:, indices[0]], norm * v[indices[1]]

        return map_matrices(factorize, weight, gradient, indices)


def lora_ga(
    rank: int,
    alpha: float | None = None,
    direction: str = "ArB2r",
    magnitude: str = "stable",
    gamma: float = 16.0,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraGa:
    """LoRA-GA: the first update is the best rank-2r approximation of full fine-tuning's.

    With `G = U diag(s) V` the gradient, A is r of the first 2r columns of U and B the other r of
    the first 2r rows of V, both times c. The frozen weight is `W - scale · A B`. One step of
    gradient descent with rate η then changes the merged kernel by `-η (c · scale)² G₂ᵣ` to first
    order, with G₂ᵣ the best approximation of G of rank 2r.

    The adapter is called as `adapter(key, weight, gradient)`; use the gradient of a large batch.
    PEFT's variant also multiplies B by s. The theorem requires orthonormal factors, as in the
    authors' code.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      direction: "ArB2r" gives A the first r directions and B the next r, "A2rBr" the reverse;
        "ArBr" gives B the first, A the second and so on; "random" assigns them at random, the only
        choice that uses the key.
      magnitude: c is `out^¼ / √gamma` for "stable", so that the size of the outputs does not depend
        on the width; `1 / scale` for "gradient_descent", the update of full training; the mean of
        `√(s_i(W) / scale)` over the leading r singular values for "weight"; 1 for "unit".
      gamma: constant of the magnitude "stable", > 0.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel
        or the gradient is not an array of real floating-point values.
      ValueError: if `rank` is below 1, `alpha` or `gamma` not positive, or a name unknown; when
        called, if the kernel has fewer than two axes, the gradient another shape than the kernel,
        or 2 · rank exceeds the shorter side.

    Reference: Wang, Yu, Li, "LoRA-GA: low-rank adaptation with gradient approximation", 2024,
    section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, g = (jinit.he_normal()(jax.random.key(seed), (64, 32)) for seed in (0, 1))
    >>> layer = lora_ga(4, magnitude="unit")(jax.random.key(2), w, g)
    >>> bool(jnp.allclose(layer.a.T @ layer.a, jnp.eye(4), atol=1e-5))
    True
    """
    return LoraGa(
        **check_adapter_options(rank, alpha, scaling, dtype),
        direction=check_choice("direction", direction, _DIRECTIONS),
        magnitude=check_choice("magnitude", magnitude, _MAGNITUDES),
        gamma=check_positive("gamma", gamma),
    )


def _direction_indices(adapter: LoraGa, key: Array, copies: tuple[int, ...]) -> Array:
    """Return the indices of the directions for A and for B; shape (*copies, 2, rank)."""
    rank = adapter.rank
    if adapter.direction == "random":
        # The sort order of uniform draws is a random permutation for every copy.
        uniform = draw_uniform(key, (*copies, 2 * rank), jnp.float32)
        return jnp.argsort(uniform, axis=-1).reshape(*copies, 2, rank)
    leading = np.arange(2 * rank)
    order = {
        "ArB2r": leading,
        "A2rBr": np.roll(leading, rank),
        "ArBr": np.concatenate([leading[1::2], leading[0::2]]),
    }[adapter.direction]
    return jnp.broadcast_to(order.reshape(2, rank), (*copies, 2, rank))


def _factor_norm(adapter: LoraGa, kernel: Array) -> Array | float:
    """Return the norm of each column of A and each row of B."""
    if adapter.magnitude == "stable":
        return kernel.shape[1] ** 0.25 / math.sqrt(adapter.gamma)
    if adapter.magnitude == "gradient_descent":
        return 1 / adapter.scale
    if adapter.magnitude == "weight":
        values = jnp.linalg.svd(kernel, compute_uv=False)[: adapter.rank]
        return jnp.sqrt(values / adapter.scale).mean()
    return 1.0


def _check_gradient(adapter: LoraGa, kernel: Array, gradient: ArrayLike) -> Array:
    """Return the gradient as a JAX array; raise if it does not belong to the kernel."""
    array, shorter_side = jnp.asarray(gradient), min(kernel.shape[-2:])
    if array.shape != kernel.shape:
        raise ValueError(
            f"lora_ga: expected the gradient of the loss with respect to the kernel, of shape "
            f"{kernel.shape}, got shape {array.shape}; use the same leaf of the result of jax.grad"
        )
    if 2 * adapter.rank > shorter_side:
        raise ValueError(
            f"lora_ga: rank {adapter.rank} needs {2 * adapter.rank} singular directions, but a "
            f"kernel of shape {kernel.shape} has {shorter_side}; use a lower rank for this layer"
        )
    return check_floating(adapter.name, "gradient", array)
