"""LoRA initializations from the inputs of the layer: EVA and CorDA."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp
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
from jinit.initializers.factorizations import balanced_factors, map_matrices, svd
from jinit.sampling import full_precision_product

_MODES = ("instruction_previewed", "knowledge_preserved")
_RELATIVE_DAMPING = 0.01
"""Damping over the mean square of an input: the initial value in the authors' code."""


class InputAdapter(Adapter):
    """An adapter that is computed from the kernel and the inputs of its layer."""

    def __call__(self, key: Array, weight: ArrayLike, inputs: ArrayLike) -> LowRank:
        """Return factors for `weight` (..., in, out) from `inputs` (..., samples, in)."""
        kernel = check_kernel(self, weight)
        return build_low_rank(self, key, kernel, _check_inputs(self, kernel, inputs))

    @abstractmethod
    def factors(self, key: Array, weight: Array, inputs: Array) -> tuple[Array, Array]:
        """Return A and B in the dtype of `weight`; kernel and inputs are already checked."""


@dataclass(frozen=True, repr=False)
class Eva(InputAdapter):
    """Principal components of the layer's inputs."""

    name = "eva"

    def factors(self, key: Array, weight: Array, inputs: Array) -> tuple[Array, Array]:
        """Return the directions of largest variance as A, and B = 0."""
        del key

        def principal_components(samples: Array) -> Array:
            centered = samples - samples.mean(axis=0, keepdims=True)
            return svd(centered)[2][: self.rank].T

        *copies, _, outputs = weight.shape
        b = jnp.zeros((*copies, self.rank, outputs), weight.dtype)
        return map_matrices(principal_components, inputs), b


@dataclass(frozen=True, repr=False)
class Corda(InputAdapter):
    """Singular directions of the kernel, weighted by the covariance of its inputs."""

    name = "corda"
    is_product_subtracted = True
    mode: str = "instruction_previewed"

    def factors(self, key: Array, weight: Array, inputs: Array) -> tuple[Array, Array]:
        """Return the largest or smallest triplets of `C W`, with A multiplied by `C⁻¹`."""
        del key

        def factorize(matrix: Array, samples: Array) -> tuple[Array, Array]:
            covariance = _damped_covariance(samples)
            u, s, v = svd(full_precision_product(covariance, matrix))
            if self.mode == "knowledge_preserved":
                u, s, v = u[:, -self.rank :], s[-self.rank :], v[-self.rank :]
            a, b = balanced_factors(self.rank, self.scale, u, s, v)
            return jax.scipy.linalg.solve(covariance, a, assume_a="pos"), b

        return map_matrices(factorize, weight, inputs)


def eva(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Eva:
    """EVA: A holds the principal components of the layer's inputs, B is zero.

    The columns of A are the orthonormal directions of largest variance, which maximizes the
    explained variance. The inputs are centered, as in PEFT's incremental version. The adapted layer
    initially equals the base layer. Ranks are not redistributed across layers, unlike in the paper.

    The adapter is called as `adapter(key, weight, inputs)` with inputs (..., samples, in). All axes
    between the kernel's copies and its features, such as (batch, time), are samples.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel
        or the inputs are not arrays of real floating-point values.
      ValueError: if `rank` is below 1, `alpha` not positive, or `scaling` unknown; when called, if
        the kernel has fewer than two axes, its shorter side is below the rank, the inputs do not
        fit the kernel, or there are not more samples than the rank.

    Reference: Paischer et al., "Parameter efficient fine-tuning via explained variance adaptation",
    2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, x = (jinit.normal(1.0)(jax.random.key(seed), (32, 32)) for seed in (0, 1))
    >>> layer = eva(4)(jax.random.key(2), w, x)
    >>> bool(jnp.allclose(layer.a.T @ layer.a, jnp.eye(4), atol=1e-5))
    True
    """
    return Eva(**check_adapter_options(rank, alpha, scaling, dtype))


def corda(
    rank: int,
    alpha: float | None = None,
    mode: str = "instruction_previewed",
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Corda:
    """CorDA: the part of the kernel with the most, or the least, effect on the inputs is trained.

    Let C be the mean of `x xᵀ` over the inputs, plus a hundredth of the mean of its diagonal on the
    diagonal, and `C W = U diag(s) V`. Then `A = C⁻¹ U_r √(s_r / scale)`, `B = √(s_r / scale) V_r`,
    and the frozen weight is `W - scale · A B`. The authors' code scales C differently, which moves
    a factor from A to B and does not change A B.

    The adapter is called as `adapter(key, weight, inputs)` with inputs (..., samples, in). All axes
    between the kernel's copies and its features, such as (batch, time), are samples.

    Args:
      rank: columns of A and rows of B, at least 1.
      alpha: numerator of the scale, > 0; None means the rank, which makes the standard scale 1.
      mode: "instruction_previewed" trains the r largest triplets, for inputs of the new task;
        "knowledge_preserved" trains the r smallest, for inputs of the knowledge to preserve.
      scaling: "standard" for the scale alpha / rank, "rank_stabilized" for alpha / √rank.
      dtype: dtype of the factors; None means the dtype of the kernel.

    Raises:
      TypeError: if `rank` is not an integer, or `alpha` not a number; when called, if the kernel
        or the inputs are not arrays of real floating-point values.
      ValueError: if `rank` is below 1, `alpha` not positive, or a name unknown; when called, if
        the kernel has fewer than two axes, its shorter side is below the rank, the inputs do not
        fit the kernel, or there are not more samples than the rank.

    Reference: Yang et al., "CorDA: context-oriented decomposition adaptation of large language
    models", 2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, x = (jinit.normal(1.0)(jax.random.key(seed), (32, 32)) for seed in (0, 1))
    >>> layer = corda(4)(jax.random.key(2), w, x)
    >>> bool(jnp.allclose(layer.merged_kernel(), w, atol=1e-5))
    True
    """
    return Corda(
        **check_adapter_options(rank, alpha, scaling, dtype),
        mode=check_choice("mode", mode, _MODES),
    )


def _damped_covariance(samples: Array) -> Array:
    """Return the mean of `x xᵀ`, damped so that it is invertible."""
    covariance = full_precision_product(samples.T, samples) / samples.shape[0]
    damping = _RELATIVE_DAMPING * jnp.diagonal(covariance).mean()
    return covariance + damping * jnp.eye(samples.shape[1], dtype=samples.dtype)


def _check_inputs(adapter: InputAdapter, kernel: Array, inputs: ArrayLike) -> Array:
    """Return the inputs as (..., samples, in); raise if they do not fit the kernel."""
    array, (*copies, features, outputs) = jnp.asarray(inputs), kernel.shape
    leading, last = array.shape[: len(copies)], array.shape[-1:]
    if array.ndim < kernel.ndim or leading != tuple(copies) or last != (features,):
        axes = ", ".join(map(str, (*copies, "samples", features)))
        hint = ": these look like its outputs" if last == (outputs,) else ""
        raise ValueError(
            f"{adapter.name}: expected inputs of the layer, with axes ({axes}) for a kernel of "
            f"shape {kernel.shape}, got shape {array.shape}{hint}"
        )
    samples = math.prod(array.shape[len(copies) : -1])
    if samples <= adapter.rank:
        raise ValueError(
            f"{adapter.name}: expected more samples than the rank {adapter.rank}, got {samples} "
            f"in inputs of shape {array.shape}; pass more samples, or use a lower rank"
        )
    return check_floating(adapter.name, "batch of inputs", array).reshape(
        *copies, samples, features
    )
