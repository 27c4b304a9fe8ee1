"""Step sizes and decay rates of state space layers, including Mamba's.

Both are positive. A layer stores their logarithm or their inverse softplus, and the initializers
here draw these parameters.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import (
    Initializer,
    check_non_negative,
    check_ordered,
    check_positive,
    dtype_name,
)
from jinit.initializers.fans import fans
from jinit.initializers.hippo import StateVector
from jinit.initializers.marginals import Marginal, uniform_marginal
from jinit.sampling import draw_uniform, pin_rounding, round_to_dtype, sampling_dtypes


@dataclass(frozen=True, repr=False)
class LogStep(Initializer):
    """Logarithm of a log-uniform step size."""

    name = "log_step"
    variance_formula = "log(maximum / minimum)² / 12"
    minimum: float = 1e-3
    maximum: float = 0.1

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        del shape
        return uniform_marginal(math.log(self.minimum), math.log(self.maximum))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw uniform entries."""
        return draw_uniform(key, shape, dtype, math.log(self.minimum), math.log(self.maximum))


@dataclass(frozen=True, repr=False)
class StepBias(Initializer):
    """Bias whose softplus is a log-uniform step size."""

    name = "step_bias"
    minimum: float = 1e-3
    maximum: float = 0.1
    floor: float = 1e-4

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the largest step size, which is above its inverse softplus."""
        del shape
        return self.maximum

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the inverse softplus of the step sizes."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        low, high = math.log(self.minimum), math.log(self.maximum)
        logarithm = draw_uniform(key, shape, draw_dtype, low, high)
        return round_to_dtype(_inverse_softplus(logarithm, self.floor), dtype)


@dataclass(frozen=True, repr=False)
class MambaLogDecay(StateVector):
    """Logarithm of Mamba's decay rates."""

    name = "mamba_log_decay"

    def vector(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return `log(n + 1)` for the states n = 0, 1, ...."""
        return np.log(np.arange(1, shape[-1] + 1))


@dataclass(frozen=True, repr=False)
class MambaStepKernel(Initializer):
    """Kernel of the projection onto Mamba's step sizes: uniform on `±scale / √dt_rank`."""

    name = "mamba_step_kernel"
    variance_formula = "scale² / (3 fan_in)"
    scale: float = 1.0

    def bound(self, shape: tuple[int, ...]) -> float:
        """Return the largest absolute value of an entry."""
        return self.scale / math.sqrt(max(fans(shape).fan_in, 1))

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the uniform distribution of an entry."""
        return uniform_marginal(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw uniform entries with the bound of this shape."""
        return draw_uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class Mamba2LogDecay(Initializer):
    """Logarithm of a uniform decay rate."""

    name = "mamba2_log_decay"
    variance_formula = "1 - low high log(high / low)² / (high - low)²"
    low: float = 1.0
    high: float = 16.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the exponential distribution between the logarithms of the bounds."""
        del shape
        low, high, width = self.low, self.high, self.high - self.low
        mean = (high * math.log(high) - low * math.log(low)) / width - 1
        variance = 1 - low * high * (math.log(high / low) / width) ** 2
        std = math.sqrt(max(variance, 0))
        return Marginal(mean, std, math.log(low), math.log(high), lambda x: np.exp(x) / width)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the logarithm of uniform entries."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        rate = draw_uniform(key, shape, draw_dtype, self.low, self.high)
        return round_to_dtype(lax.log(rate), dtype)


def log_step(
    minimum: float = 1e-3, maximum: float = 0.1, dtype: DTypeLike | None = None
) -> LogStep:
    """Logarithm of a log-uniform step size: uniform on `[log(minimum), log(maximum))`.

    The step size Δ of a discretized state space layer (S4, S4D, S5) sets its time scale, about 1/Δ
    samples. The time scales of the channels are then log-uniform.

    Args:
      minimum: smallest step size, > 0.
      maximum: largest step size, > minimum.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a step size is not a number.
      ValueError: if the step sizes are not positive and finite, or not in order.

    Reference: Gu, Goel, Ré, "Efficiently modeling long sequences with structured state spaces",
    2022, as in the authors' code.

    >>> import jax
    >>> step = jax.numpy.exp(log_step()(jax.random.key(0), (1000,)))
    >>> bool((step > 0.00099).all() and (step < 0.101).all())
    True
    """
    low, high = _check_step_sizes(minimum, maximum)
    return LogStep(minimum=low, maximum=high, dtype=dtype_name(dtype))


def step_bias(
    minimum: float = 1e-3,
    maximum: float = 0.1,
    floor: float = 1e-4,
    dtype: DTypeLike | None = None,
) -> StepBias:
    """Bias `b` of Mamba's step sizes: `softplus(b)` is log-uniform and at least `floor`.

    `b = Δ + log(-expm1(-Δ))` is the inverse softplus, accurate also for small Δ.

    Args:
      minimum: smallest step size Δ, > 0.
      maximum: largest step size Δ, > minimum.
      floor: smaller step sizes are raised to this value, 0 <= floor < maximum.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a step size or the floor is not a number.
      ValueError: if the step sizes are not positive and finite, or not in order; if the floor is
        negative or not below `maximum`.

    Reference: Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    section 3.6; the floor as in the authors' code.

    >>> import jax
    >>> step = jax.nn.softplus(step_bias()(jax.random.key(0), (1000,)))
    >>> bool((step > 0.00099).all() and (step < 0.101).all())
    True
    """
    low, high = _check_step_sizes(minimum, maximum)
    if (lowest := check_non_negative("floor", floor)) >= high:
        raise ValueError(
            f"floor: expected less than maximum={high!r}, got {lowest!r}: every step size would "
            "be raised to the floor"
        )
    return StepBias(minimum=low, maximum=high, floor=lowest, dtype=dtype_name(dtype))


def mamba_log_decay(dtype: DTypeLike | None = None) -> MambaLogDecay:
    """`log(1), log(2), ..., log(N)` along the last axis: Mamba's `A_log`, with `A = -exp(A_log)`.

    The parameter has the shape `(inner, N)` for N states per channel. All channels have equal
    values.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, if the shape has no axis.

    Reference: Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    section 3.6 (S4D-Real).

    >>> import jax
    >>> rate = jax.numpy.exp(mamba_log_decay()(jax.random.key(0), (4, 16)))
    >>> bool(abs(rate - jax.numpy.arange(1, 17)[None]).max() < 1e-4)
    True
    """
    return MambaLogDecay(dtype=dtype_name(dtype))


def mamba_step_kernel(scale: float = 1.0, dtype: DTypeLike | None = None) -> MambaStepKernel:
    """Uniform on `±scale / √dt_rank`: the kernel `(dt_rank, inner)` before Mamba's step sizes.

    The variance of its output is `scale² / 3` times the second moment of its input, for every rank.
    The level of the step sizes is set by `step_bias`. For layers stacked in one array use
    `stacked(mamba_step_kernel())`.

    Args:
      scale: factor on the bound, >= 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number.
      ValueError: if `scale` is negative or not finite; when called, if the shape has fewer than two
        axes.

    Reference: Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    as in the authors' code.

    >>> import jax
    >>> w = mamba_step_kernel()(jax.random.key(0), (16, 256))
    >>> bool((abs(w) <= 0.25).all())
    True
    """
    return MambaStepKernel(check_non_negative("scale", scale), dtype=dtype_name(dtype))


def mamba2_log_decay(
    low: float = 1.0, high: float = 16.0, dtype: DTypeLike | None = None
) -> Mamba2LogDecay:
    """Logarithm of a decay rate uniform on `[low, high)`: Mamba-2's `A_log`, one per head.

    Args:
      low: smallest decay rate, > 0.
      high: largest decay rate, > low.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a rate is not a number.
      ValueError: if the rates are not positive and finite, or not in order.

    Reference: Dao & Gu, "Transformers are SSMs: generalized models and efficient algorithms
    through structured state space duality", 2024, as in the authors' code.

    >>> import jax
    >>> rate = jax.numpy.exp(mamba2_log_decay()(jax.random.key(0), (64,)))
    >>> bool((rate > 0.999).all() and (rate < 16.001).all())
    True
    """
    lower, upper = check_ordered("low", check_positive("low", low), "high", high)
    return Mamba2LogDecay(low=lower, high=upper, dtype=dtype_name(dtype))


def _check_step_sizes(minimum: object, maximum: object) -> tuple[float, float]:
    return check_ordered("minimum", check_positive("minimum", minimum), "maximum", maximum)


@partial(jax.jit, static_argnums=1)
def _inverse_softplus(logarithm: Array, floor: float) -> Array:
    step = pin_rounding(jnp.maximum(lax.exp(logarithm), floor))
    return step + pin_rounding(lax.log(-lax.expm1(-step)))
