"""Linear recurrences with eigenvalues on a ring: LRU, and RG-LRU of Griffin and RecurrentGemma.

A state that is multiplied by λ every step remembers for about `1 / (1 - |λ|)` steps. Points that
are uniform by area on the ring `r_min < |λ| < r_max` have `|λ|²` uniform and any phase alike.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.initializers.base import Initializer, dtype_name, ordered, positive
from jinit.sampling import fence, float_stream, rounded, uniform
from jinit.theory import Marginal


@dataclass(frozen=True, repr=False)
class LruLogDecay(Initializer):
    """Double logarithm of the moduli of eigenvalues that are uniform on a ring."""

    name = "lru_log_decay"
    r_min: float = 0.0
    r_max: float = 1.0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`log(-log|λ|)`."""
        stream, dtype = float_stream(dtype, self.name)
        return rounded(lax.log(_ring_decay(key, shape, stream, self.r_min, self.r_max)), dtype)


@dataclass(frozen=True, repr=False)
class LruLogPhase(Initializer):
    """Logarithm of a uniform phase."""

    name = "lru_log_phase"
    spread = "1"
    max_phase: float = 2 * math.pi

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """Exponential below the logarithm of the largest phase."""
        del shape
        top, scale = math.log(self.max_phase), self.max_phase
        return Marginal(top - 1, 1.0, -math.inf, top, lambda x: np.exp(x) / scale)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The logarithm of uniform entries."""
        stream, dtype = float_stream(dtype, self.name)
        share = _inside_unit(key, shape, stream)
        return rounded(_log_multiple(share, self.max_phase), dtype)


@dataclass(frozen=True, repr=False)
class RgLruDecay(Initializer):
    """Parameter whose softplus is `-log r`, r the modulus of a point uniform on a ring."""

    name = "rg_lru_decay"
    r_min: float = 0.9
    r_max: float = 0.999

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`log(1 / r - 1)`."""
        stream, dtype = float_stream(dtype, self.name)
        decay = _ring_decay(key, shape, stream, self.r_min, self.r_max)
        return rounded(_log_expm1(decay), dtype)


def lru_log_decay(
    r_min: float = 0.0, r_max: float = 1.0, dtype: DTypeLike | None = None
) -> LruLogDecay:
    r"""`ν = log(-log|λ|)` of eigenvalues uniform on the ring between two radii: LRU's `nu_log`.

    `|λ| = exp(-exp(ν))`, so that training cannot leave the unit circle; `|λ|²` is uniform on
    `(r_min², r_max²)`. The phases are `lru_log_phase`'s.

    Args:
      r_min, r_max: radii, 0 <= r_min < r_max <= 1. dtype: default dtype of the result.

    Raises:
      ValueError: radii out of order, or beyond the unit circle.

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    lemma 3.2 and section 3.3.

    >>> import jax, jax.numpy as jnp
    >>> modulus = jnp.exp(-jnp.exp(lru_log_decay(0.5, 0.9)(jax.random.key(0), (1000,))))
    >>> bool((modulus > 0.499).all() and (modulus < 0.901).all())
    True
    """
    return LruLogDecay(*_radii(r_min, r_max), dtype=dtype_name(dtype))


def lru_log_phase(max_phase: float = 2 * math.pi, dtype: DTypeLike | None = None) -> LruLogPhase:
    """Logarithm of a phase uniform on `(0, max_phase)`: LRU's `theta_log`.

    Small phases turn slowly: long sequences profit from a `max_phase` of about π/10.

    Args:
      max_phase: largest phase in radians, > 0. dtype: default dtype of the result.

    Raises:
      ValueError: `max_phase <= 0`.

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    lemma 3.2 and section 3.4.

    >>> import jax
    >>> phase = jax.numpy.exp(lru_log_phase()(jax.random.key(0), (1000,)))
    >>> bool((phase > 0).all() and (phase < 6.2832).all())
    True
    """
    return LruLogPhase(positive("max_phase", max_phase), dtype=dtype_name(dtype))


def rg_lru_decay(
    r_min: float = 0.9, r_max: float = 0.999, dtype: DTypeLike | None = None
) -> RgLruDecay:
    """`log(1 / r - 1)` with `r²` uniform on `(r_min², r_max²)`: RecurrentGemma's `a_param`.

    `r = exp(-softplus(parameter))`. The layer itself then multiplies its state by
    `r^(8 gate)`, a gate in (0, 1).

    Args:
      r_min, r_max: radii, 0 <= r_min < r_max <= 1. dtype: default dtype of the result.

    Raises:
      ValueError: radii out of order, or beyond the unit circle.

    Reference: De et al., "Griffin: mixing gated linear recurrences with local attention for
    efficient language models", 2024, section 2.4; the radii as in RecurrentGemma's code.

    >>> import jax, jax.numpy as jnp
    >>> r = jnp.exp(-jax.nn.softplus(rg_lru_decay()(jax.random.key(0), (1000,))))
    >>> bool((r > 0.8999).all() and (r < 0.9991).all())
    True
    """
    return RgLruDecay(*_radii(r_min, r_max), dtype=dtype_name(dtype))


def lru_log_gain(log_decay: ArrayLike) -> Array:
    """`log √(1 - |λ|²)` for `|λ| = exp(-exp(log_decay))`: LRU's `gamma_log`.

    An input scaled by `√(1 - |λ|²)` keeps the state's variance at the input's own, whatever λ.
    Exact also for |λ| near 1, where `1 - |λ|²` itself would cancel.

    Args:
      log_decay: what `lru_log_decay` drew, or a trained value; real and floating.

    Raises:
      TypeError: a `log_decay` that is not real and floating.

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    equation 7.

    >>> import jax.numpy as jnp
    >>> modulus = jnp.exp(-jnp.exp(0.5))
    >>> bool(abs(jnp.exp(2 * lru_log_gain(0.5)) + modulus**2 - 1) < 1e-6)
    True
    """
    values = jnp.asarray(log_decay)
    stream, dtype = float_stream(values.dtype, "lru_log_gain")
    return rounded(_log_gain(values.astype(stream)), dtype)


def _radii(r_min: object, r_max: object) -> tuple[float, float]:
    low, high = ordered("r_min", r_min, "r_max", r_max)
    if low < 0 or high > 1:
        raise ValueError(
            f"expected 0 <= r_min < r_max <= 1, got r_min={low!r}, r_max={high!r}: they are radii, "
            "and a state explodes when its eigenvalue lies outside the unit circle"
        )
    return low, high


def _inside_unit(key: Array, shape: tuple[int, ...], stream: np.dtype) -> Array:
    """Uniform on the open interval (0, 1): a share of exactly 0 has no logarithm."""
    return uniform(key, shape, stream, 2.0 ** -(jnp.finfo(stream).nmant + 1), 1)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _ring_decay(
    key: Array, shape: tuple[int, ...], stream: np.dtype, r_min: float, r_max: float
) -> Array:
    """`-log|λ|` of points uniform on the ring, to full precision at both of its edges."""
    share = _inside_unit(key, shape, stream)
    width = r_max**2 - r_min**2
    square = r_min**2 + fence((1 - share) * width)
    missing = (1 - r_max) * (1 + r_max) + fence(share * width)  # 1 - |λ|²
    return jnp.where(square > 0.5, -lax.log1p(-missing), -lax.log(square)) / 2


@partial(jax.jit, static_argnums=1)
def _log_multiple(share: Array, factor: float) -> Array:
    return lax.log(fence(share * factor))


@jax.jit
def _log_expm1(decay: Array) -> Array:
    return lax.log(lax.expm1(decay))


@jax.jit
def _log_gain(log_decay: Array) -> Array:
    return lax.log(-lax.expm1(-2 * lax.exp(log_decay))) / 2
