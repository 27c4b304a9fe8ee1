"""Step sizes of state space layers, and the gated ones of Mamba.

Steps and decay rates are positive: a layer keeps them as a logarithm or under a softplus, and
these are the parameters drawn here.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, dtype_name, non_negative, ordered, positive
from jinit.initializers.fans import fans
from jinit.initializers.state_space import StateVector
from jinit.sampling import fence, float_stream, rounded, uniform
from jinit.theory import Marginal, uniform_law


@dataclass(frozen=True, repr=False)
class LogStep(Initializer):
    """Logarithm of a log-uniform step size."""

    name = "log_step"
    spread = "log(maximum / minimum)² / 12"
    minimum: float = 1e-3
    maximum: float = 0.1

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        del shape
        return uniform_law(math.log(self.minimum), math.log(self.maximum))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Uniform entries."""
        return uniform(key, shape, dtype, math.log(self.minimum), math.log(self.maximum))


@dataclass(frozen=True, repr=False)
class StepBias(Initializer):
    """Bias whose softplus is a log-uniform step size."""

    name = "step_bias"
    minimum: float = 1e-3
    maximum: float = 0.1
    floor: float = 1e-4

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The inverse softplus of the steps."""
        stream, dtype = float_stream(dtype, self.name)
        logarithm = uniform(key, shape, stream, math.log(self.minimum), math.log(self.maximum))
        return rounded(_step_bias(logarithm, self.floor), dtype)


@dataclass(frozen=True, repr=False)
class MambaLogDecay(StateVector):
    """Logarithm of Mamba's decay rates."""

    name = "mamba_log_decay"

    def along(self, shape: tuple[int, ...]) -> np.ndarray:
        """`log(n + 1)`."""
        return np.log(np.arange(1, shape[-1] + 1))


@dataclass(frozen=True, repr=False)
class MambaStepKernel(Initializer):
    """Projection onto Mamba's step sizes: uniform on `±scale / √dt_rank`."""

    name = "mamba_step_kernel"
    spread = "scale² / (3 fan_in)"
    scale: float = 1.0

    def bound(self, shape: tuple[int, ...]) -> float:
        """Largest absolute value of an entry."""
        return self.scale / math.sqrt(max(fans(shape).fan_in, 1))

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Uniform."""
        return uniform_law(-self.bound(shape), self.bound(shape))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Uniform entries with the bound of this shape."""
        return uniform(key, shape, dtype, -1, 1, scale=self.bound(shape))


@dataclass(frozen=True, repr=False)
class Mamba2LogDecay(Initializer):
    """Logarithm of a uniform decay rate."""

    name = "mamba2_log_decay"
    spread = "1 - low high log(high / low)² / (high - low)²"
    low: float = 1.0
    high: float = 16.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Exponential between the logarithms of the bounds."""
        del shape
        low, high, width = self.low, self.high, self.high - self.low
        mean = (high * math.log(high) - low * math.log(low)) / width - 1
        variance = 1 - low * high * (math.log(high / low) / width) ** 2
        ends = math.log(low), math.log(high)
        return Marginal(mean, math.sqrt(max(variance, 0)), *ends, lambda x: np.exp(x) / width)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The logarithm of uniform entries."""
        stream, dtype = float_stream(dtype, self.name)
        return rounded(lax.log(uniform(key, shape, stream, self.low, self.high)), dtype)


def log_step(
    minimum: float = 1e-3, maximum: float = 0.1, dtype: DTypeLike | None = None
) -> LogStep:
    """Logarithm of a log-uniform step: uniform on `[log(minimum), log(maximum))`.

    The step Δ that a state space layer (S4, S4D, S5) is discretized with sets how far it looks
    back, about 1/Δ samples: all lengths in between get their share of channels.

    Args:
      minimum, maximum: the steps, 0 < minimum < maximum. dtype: default dtype of the result.

    Raises:
      ValueError: steps that are not positive, or not in order.

    Reference: Gu, Goel, Ré, "Efficiently modeling long sequences with structured state spaces",
    2022, as in the authors' code.

    >>> import jax
    >>> step = jax.numpy.exp(log_step()(jax.random.key(0), (1000,)))
    >>> bool((step > 0.00099).all() and (step < 0.101).all())
    True
    """
    return LogStep(*_steps(minimum, maximum), dtype=dtype_name(dtype))


def step_bias(
    minimum: float = 1e-3,
    maximum: float = 0.1,
    floor: float = 1e-4,
    dtype: DTypeLike | None = None,
) -> StepBias:
    """Bias `b` of Mamba's step sizes: `softplus(b)` is log-uniform, and at least `floor`.

    `b = Δ + log(-expm1(-Δ))`, the inverse softplus, exact also where Δ is small.

    Args:
      minimum, maximum: the steps Δ, 0 < minimum < maximum.
      floor: steps below it are raised to it, 0 <= floor < maximum.
      dtype: default dtype of the result.

    Raises:
      ValueError: steps that are not positive, or not in order; a floor that would be every step.

    Reference: Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    section 3.6; the floor as in the authors' code.

    >>> import jax
    >>> step = jax.nn.softplus(step_bias()(jax.random.key(0), (1000,)))
    >>> bool((step > 0.00099).all() and (step < 0.101).all())
    True
    """
    steps = _steps(minimum, maximum)
    if (lowest := non_negative("floor", floor)) >= steps[1]:
        raise ValueError(
            f"floor: expected less than maximum={steps[1]!r}, got {lowest!r}: every step would be "
            "raised to the floor"
        )
    return StepBias(*steps, lowest, dtype=dtype_name(dtype))


def mamba_log_decay(dtype: DTypeLike | None = None) -> MambaLogDecay:
    """`log(1), log(2), ..., log(N)` along the last axis: Mamba's `A_log`, with `A = -exp(A_log)`.

    The parameter has the shape `(inner, N)` for N states per channel; all channels start alike.

    Args:
      dtype: default dtype of the result.

    Raises:
      ValueError: when called, no axis.

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

    Whatever the rank, it hands `scale² / 3` of its input's variance on to the steps, whose level
    `step_bias` sets. Layers stacked in one array take `stacked(mamba_step_kernel())`.

    Args:
      scale: factor on the bound, >= 0. dtype: default dtype of the result.

    Raises:
      ValueError: `scale < 0`; when called, fewer than two axes.

    Reference: Gu & Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    as in the authors' code.

    >>> import jax
    >>> w = mamba_step_kernel()(jax.random.key(0), (16, 256))
    >>> bool((abs(w) <= 0.25).all())
    True
    """
    return MambaStepKernel(non_negative("scale", scale), dtype=dtype_name(dtype))


def mamba2_log_decay(
    low: float = 1.0, high: float = 16.0, dtype: DTypeLike | None = None
) -> Mamba2LogDecay:
    """Logarithm of a decay rate uniform on `[low, high)`: Mamba-2's `A_log`, one per head.

    Args:
      low, high: the rates, 0 < low < high. dtype: default dtype of the result.

    Raises:
      ValueError: rates that are not positive, or not in order.

    Reference: Dao & Gu, "Transformers are SSMs: generalized models and efficient algorithms
    through structured state space duality", 2024, as in the authors' code.

    >>> import jax
    >>> rate = jax.numpy.exp(mamba2_log_decay()(jax.random.key(0), (64,)))
    >>> bool((rate > 0.999).all() and (rate < 16.001).all())
    True
    """
    rates = ordered("low", positive("low", low), "high", high)
    return Mamba2LogDecay(*rates, dtype=dtype_name(dtype))


def _steps(minimum: object, maximum: object) -> tuple[float, float]:
    return ordered("minimum", positive("minimum", minimum), "maximum", maximum)


@partial(jax.jit, static_argnums=1)
def _step_bias(logarithm: Array, floor: float) -> Array:
    step = fence(jnp.maximum(lax.exp(logarithm), floor))
    return step + fence(lax.log(-lax.expm1(-step)))
