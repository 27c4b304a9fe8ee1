"""Low-rank adapters that look at the task: at the kernel's gradient, or at the layer's inputs."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.adapters.adapter import (
    Adapter,
    LowRank,
    fitted,
    floating,
    kernel_of,
    shared_options,
)
from jinit.initializers.base import positive
from jinit.initializers.choice import one_of
from jinit.initializers.low_rank import for_each, shared, svd
from jinit.sampling import product, uniform

_DIRECTIONS = ("ArB2r", "A2rBr", "ArBr", "random")
_MAGNITUDES = ("stable", "gradient_descent", "weight", "unit")
_MODES = ("instruction_previewed", "knowledge_preserved")
_DAMPING = 0.01  # of the mean square of an input, where the authors' code starts


@dataclass(frozen=True, repr=False)
class LoraGa(Adapter):
    """Singular directions of the gradient."""

    name = "lora_ga"
    splits = True
    direction: str = "ArB2r"
    magnitude: str = "stable"
    gamma: float = 16.0

    def __call__(self, key: Array, weight: Array, gradient: Array) -> LowRank:
        """Factors for `weight` (..., in, out) from the loss's gradient with respect to it."""
        kernel = kernel_of(self, weight)
        return fitted(self, key, kernel, _gradient_of(self, kernel, gradient))

    def factors(self, key: Array, weight: Array, gradient: Array) -> tuple[Array, Array]:
        """Half of the leading singular vectors on either side, for A and for B."""
        orders = _orders(self, key, weight.shape[:-2])

        def solve(matrix: Array, gradient: Array, order: Array) -> tuple[Array, Array]:
            u, _, v = svd(gradient)
            size = _size(self, matrix)
            return size * u[:, order[0]], size * v[order[1]]

        return for_each(solve, weight, gradient, orders)


@dataclass(frozen=True, repr=False)
class Eva(Adapter):
    """Principal components of the layer's inputs."""

    name = "eva"

    def __call__(self, key: Array, weight: Array, inputs: Array) -> LowRank:
        """Factors for `weight` (..., in, out) from `inputs` (..., samples, in)."""
        kernel = kernel_of(self, weight)
        return fitted(self, key, kernel, _inputs_of(self, kernel, inputs))

    def factors(self, key: Array, weight: Array, inputs: Array) -> tuple[Array, Array]:
        """A the directions of largest variance, B zero."""
        del key

        def solve(samples: Array) -> Array:
            centred = samples - samples.mean(axis=0, keepdims=True)
            return svd(centred)[2][: self.rank].T

        *copies, _, outputs = weight.shape
        return for_each(solve, inputs), jnp.zeros((*copies, self.rank, outputs), weight.dtype)


@dataclass(frozen=True, repr=False)
class Corda(Adapter):
    """Singular directions of the kernel as its inputs see it."""

    name = "corda"
    splits = True
    mode: str = "instruction_previewed"

    def __call__(self, key: Array, weight: Array, inputs: Array) -> LowRank:
        """Factors for `weight` (..., in, out) from `inputs` (..., samples, in)."""
        kernel = kernel_of(self, weight)
        return fitted(self, key, kernel, _inputs_of(self, kernel, inputs))

    def factors(self, key: Array, weight: Array, inputs: Array) -> tuple[Array, Array]:
        """The largest or smallest triplets of `C W`, mapped back by the inverse of C."""
        del key

        def solve(matrix: Array, samples: Array) -> tuple[Array, Array]:
            covariance = _damped_covariance(samples)
            u, s, v = svd(product(covariance, matrix))
            if self.mode == "knowledge_preserved":
                u, s, v = u[:, -self.rank :], s[-self.rank :], v[-self.rank :]
            a, b = shared(self.rank, self.scale, u, s, v)
            return jax.scipy.linalg.solve(covariance, a, assume_a="pos"), b

        return for_each(solve, weight, inputs)


def lora_ga(
    rank: int,
    alpha: float | None = None,
    direction: str = "ArB2r",
    magnitude: str = "stable",
    gamma: float = 16.0,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> LoraGa:
    """Factors along the gradient's singular vectors: the first step is full training's, at rank 2r.

    With `G = U diag(s) V` the gradient, A takes r of the first 2r columns of U and B the other r
    rows of V, both times c; the frozen weight is `W - scale · A B`. A step of gradient descent at
    rate η then moves the merged kernel by `-η (c · scale)² G₂ᵣ` to first order, with G₂ᵣ the best
    approximation of rank 2r.

    Called as `adapter(key, weight, gradient)`, the gradient of a large batch. PEFT's variant also
    multiplies B by s; the theorem asks for orthonormal factors, which the authors' code has.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.
      direction: "ArB2r" gives A the first r and B the next r, "A2rBr" the other way round, "ArBr"
        takes turns beginning with B, "random" deals them out; only this one uses the key.
      magnitude: c is `out^¼ / √gamma` for "stable", at which the size of outputs does not depend on
        the width; `1 / scale` for "gradient_descent", the step of full training itself; the mean
        of `√(s_i(W) / scale)` over the leading r for "weight"; 1 for "unit".
      gamma: of "stable", > 0.

    Raises:
      ValueError: an unknown direction or magnitude, `gamma <= 0`; when called, a gradient of
        another shape than the kernel's, or 2 · rank above its shorter side; otherwise, and
        TypeError, as for `lora`.

    Reference: Wang, Yu, Li, "LoRA-GA: low-rank adaptation with gradient approximation", 2024,
    section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, g = (jinit.he_normal()(jax.random.key(seed), (64, 32)) for seed in (0, 1))
    >>> start = lora_ga(4, magnitude="unit")(jax.random.key(2), w, g)
    >>> bool(jnp.allclose(start.a.T @ start.a, jnp.eye(4), atol=1e-5))
    True
    """
    return LoraGa(
        *shared_options(rank, alpha, scaling, dtype),
        one_of("direction", direction, _DIRECTIONS),
        one_of("magnitude", magnitude, _MAGNITUDES),
        positive("gamma", gamma),
    )


def eva(
    rank: int,
    alpha: float | None = None,
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Eva:
    """A holds the principal components of the layer's inputs, B is zero.

    The columns of A are the orthonormal directions of largest variance – inputs are centred, as in
    PEFT's incremental version –, so no other frame of this rank passes on more of it. The layer
    starts as it was. Ranks are not traded between layers.

    Called as `adapter(key, weight, inputs)`, inputs (..., samples, in); all axes between the
    kernel's copies and its features, such as (batch, time), are samples.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.

    Raises:
      ValueError: when called, inputs that do not fit the kernel, or not more samples than the rank;
        otherwise, and TypeError, as for `lora`.

    Reference: Paischer et al., "Parameter efficient fine-tuning via explained variance adaptation",
    2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, x = (jinit.normal(1.0)(jax.random.key(seed), (32, 32)) for seed in (0, 1))
    >>> start = eva(4)(jax.random.key(2), w, x)
    >>> bool(jnp.allclose(start.a.T @ start.a, jnp.eye(4), atol=1e-5))
    True
    """
    return Eva(*shared_options(rank, alpha, scaling, dtype))


def corda(
    rank: int,
    alpha: float | None = None,
    mode: str = "instruction_previewed",
    scaling: str = "standard",
    dtype: DTypeLike | None = None,
) -> Corda:
    """The part of the kernel that matters most, or least, to the inputs becomes the adapter.

    With C the mean of `x xᵀ` over the inputs, its diagonal raised by a hundredth of its mean, and
    `C W = U diag(s) V`: `A = C⁻¹ U_r √(s_r / scale)`, `B = √(s_r / scale) V_r`, and the frozen
    weight is `W - scale · A B`. The authors' code scales C otherwise, which moves a factor from A
    to B and leaves A B as it is.

    Called as `adapter(key, weight, inputs)`, with inputs as for `eva`.

    Args:
      rank, alpha, scaling, dtype: as for `lora`.
      mode: "instruction_previewed" trains the r largest triplets, on inputs of the new task;
        "knowledge_preserved" the r smallest, on inputs of what is to be kept.

    Raises:
      ValueError: an unknown mode; otherwise, and TypeError, as for `eva`.

    Reference: Yang et al., "CorDA: context-oriented decomposition adaptation of large language
    models", 2024, section 3.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w, x = (jinit.normal(1.0)(jax.random.key(seed), (32, 32)) for seed in (0, 1))
    >>> start = corda(4)(jax.random.key(2), w, x)
    >>> bool(jnp.allclose(start.merged(), w, atol=1e-5))
    True
    """
    return Corda(*shared_options(rank, alpha, scaling, dtype), one_of("mode", mode, _MODES))


def _orders(adapter: LoraGa, key: Array, copies: tuple[int, ...]) -> Array:
    """Which of the leading 2r directions A takes, and which B; shape (*copies, 2, rank)."""
    rank = adapter.rank
    if adapter.direction == "random":
        # Sorting uniform draws deals every copy a permutation of its own.
        drawn = uniform(key, (*copies, 2 * rank), jnp.float32)
        return jnp.argsort(drawn, axis=-1).reshape(*copies, 2, rank)
    leading = np.arange(2 * rank)
    order = {
        "ArB2r": leading,
        "A2rBr": np.roll(leading, rank),
        "ArBr": np.concatenate([leading[1::2], leading[0::2]]),
    }[adapter.direction]
    return jnp.broadcast_to(order.reshape(2, rank), (*copies, 2, rank))


def _size(adapter: LoraGa, kernel: Array) -> Array | float:
    """The common norm of A's columns and B's rows."""
    if adapter.magnitude == "stable":
        return kernel.shape[1] ** 0.25 / math.sqrt(adapter.gamma)
    if adapter.magnitude == "gradient_descent":
        return 1 / adapter.scale
    if adapter.magnitude == "weight":
        values = jnp.linalg.svd(kernel, compute_uv=False)[: adapter.rank]
        return jnp.sqrt(values / adapter.scale).mean()
    return 1.0


def _damped_covariance(samples: Array) -> Array:
    """Mean of `x xᵀ`, lifted so that directions without inputs can still be divided by."""
    covariance = product(samples.T, samples) / samples.shape[0]
    lift = _DAMPING * jnp.diagonal(covariance).mean()
    return covariance + lift * jnp.eye(samples.shape[1], dtype=samples.dtype)


def _gradient_of(adapter: LoraGa, kernel: Array, gradient: Any) -> Array:
    """The gradient as a JAX array, if it is this kernel's."""
    given, shortest = jnp.asarray(gradient), min(kernel.shape[-2:])
    if given.shape != kernel.shape:
        raise ValueError(
            f"lora_ga: expected the loss's gradient with respect to the kernel, with its axes "
            f"{kernel.shape}, got shape {given.shape}: take the same leaf of jax.grad's result"
        )
    if 2 * adapter.rank > shortest:
        raise ValueError(
            f"lora_ga: rank {adapter.rank} takes {2 * adapter.rank} singular directions, but the "
            f"axes (in, out) of shape {kernel.shape} have {shortest}: lower it for this layer"
        )
    return floating(adapter.name, "gradient", given)


def _inputs_of(adapter: Eva | Corda, kernel: Array, inputs: Any) -> Array:
    """The inputs as (..., samples, in), if they are this kernel's."""
    given, (*copies, features, outputs) = jnp.asarray(inputs), kernel.shape
    lead, last = given.shape[: len(copies)], given.shape[-1:]
    if given.ndim < kernel.ndim or lead != tuple(copies) or last != (features,):
        axes = ", ".join(map(str, (*copies, "samples", features)))
        hint = ": these look like its outputs" if last == (outputs,) else ""
        raise ValueError(
            f"{adapter.name}: expected inputs of the layer, with axes ({axes}) for a kernel of "
            f"shape {kernel.shape}, got shape {given.shape}{hint}"
        )
    samples = math.prod(given.shape[len(copies) : -1])
    if samples <= adapter.rank:
        raise ValueError(
            f"{adapter.name}: expected more samples than the rank {adapter.rank}, got {samples} "
            f"in inputs of shape {given.shape}: pass more of them, or lower the rank"
        )
    return floating(adapter.name, "batch of inputs", given).reshape(*copies, samples, features)
