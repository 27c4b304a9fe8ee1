"""Linear recurrences with eigenvalues on a ring: LRU, and RG-LRU of Griffin and RecurrentGemma.

A state that is multiplied by λ at every step has a memory of about `1 / (1 - |λ|)` steps. Points
that are uniform by area on the ring `r_min < |λ| < r_max` have uniform `|λ|²` and uniform phase.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.initializers.base import Initializer, check_ordered, check_positive, dtype_name
from jinit.initializers.marginals import Marginal
from jinit.sampling import draw_uniform, pin_rounding, round_to_dtype, sampling_dtypes


@dataclass(frozen=True, repr=False)
class LruLogDecay(Initializer):
    """Double logarithm of the moduli of eigenvalues that are uniform on a ring."""

    name = "lru_log_decay"
    r_min: float = 0.0
    r_max: float = 1.0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `log(-log|λ|)`."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        decay = _draw_ring_decay(key, shape, draw_dtype, self.r_min, self.r_max)
        return round_to_dtype(lax.log(decay), dtype)


@dataclass(frozen=True, repr=False)
class LruLogPhase(Initializer):
    """Logarithm of a uniform phase."""

    name = "lru_log_phase"
    variance_formula = "1"
    max_phase: float = 2 * math.pi

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the exponential distribution below the logarithm of the largest phase."""
        del shape
        top, scale = math.log(self.max_phase), self.max_phase
        return Marginal(top - 1, 1.0, -math.inf, top, lambda x: np.exp(x) / scale)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the logarithm of uniform entries."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        fraction = _draw_open_unit(key, shape, draw_dtype)
        return round_to_dtype(_log_multiple(fraction, self.max_phase), dtype)


@dataclass(frozen=True, repr=False)
class RgLruDecay(Initializer):
    """Parameter whose softplus is `-log r`, r the modulus of a point uniform on a ring."""

    name = "rg_lru_decay"
    r_min: float = 0.9
    r_max: float = 0.999

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `log(1 / r - 1)`."""
        draw_dtype, dtype = sampling_dtypes(dtype, self.name)
        decay = _draw_ring_decay(key, shape, draw_dtype, self.r_min, self.r_max)
        return round_to_dtype(_log_expm1(decay), dtype)


def lru_log_decay(
    r_min: float = 0.0, r_max: float = 1.0, dtype: DTypeLike | None = None
) -> LruLogDecay:
    r"""`ν = log(-log|λ|)` of eigenvalues uniform on the ring between two radii: `nu_log` of LRU.

    `|λ| = exp(-exp(ν))` stays inside the unit circle during training. `|λ|²` is uniform on
    `(r_min², r_max²)`. For the phases see `lru_log_phase`.

    Args:
      r_min: inner radius of the ring, >= 0.
      r_max: outer radius of the ring, r_min < r_max <= 1.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a radius is not a number.
      ValueError: if the radii are not in order, or outside [0, 1].

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    lemma 3.2 and section 3.3.

    >>> import jax, jax.numpy as jnp
    >>> modulus = jnp.exp(-jnp.exp(lru_log_decay(0.5, 0.9)(jax.random.key(0), (1000,))))
    >>> bool((modulus > 0.499).all() and (modulus < 0.901).all())
    True
    """
    return LruLogDecay(*_check_radii(r_min, r_max), dtype=dtype_name(dtype))


def lru_log_phase(max_phase: float = 2 * math.pi, dtype: DTypeLike | None = None) -> LruLogPhase:
    """Logarithm of a phase uniform on `(0, max_phase)`: `theta_log` of LRU.

    States with small phases oscillate slowly. For long sequences use a `max_phase` of about π/10.

    Args:
      max_phase: largest phase in radians, > 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `max_phase` is not a number.
      ValueError: if `max_phase` is not positive and finite.

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    lemma 3.2 and section 3.4.

    >>> import jax
    >>> phase = jax.numpy.exp(lru_log_phase()(jax.random.key(0), (1000,)))
    >>> bool((phase > 0).all() and (phase < 6.2832).all())
    True
    """
    return LruLogPhase(check_positive("max_phase", max_phase), dtype=dtype_name(dtype))


def rg_lru_decay(
    r_min: float = 0.9, r_max: float = 0.999, dtype: DTypeLike | None = None
) -> RgLruDecay:
    """`log(1 / r - 1)` with `r²` uniform on `(r_min², r_max²)`: `a_param` of RecurrentGemma.

    `r = exp(-softplus(parameter))`. The layer multiplies its state by `r^(8 gate)` with a gate in
    (0, 1).

    Args:
      r_min: smallest modulus, >= 0.
      r_max: largest modulus, r_min < r_max <= 1.
      dtype: default dtype of the result.

    Raises:
      TypeError: if a radius is not a number.
      ValueError: if the radii are not in order, or outside [0, 1].

    Reference: De et al., "Griffin: mixing gated linear recurrences with local attention for
    efficient language models", 2024, section 2.4; the radii as in RecurrentGemma's code.

    >>> import jax, jax.numpy as jnp
    >>> r = jnp.exp(-jax.nn.softplus(rg_lru_decay()(jax.random.key(0), (1000,))))
    >>> bool((r > 0.8999).all() and (r < 0.9991).all())
    True
    """
    return RgLruDecay(*_check_radii(r_min, r_max), dtype=dtype_name(dtype))


def lru_log_gain(log_decay: ArrayLike) -> Array:
    """Return `log √(1 - |λ|²)` for `|λ| = exp(-exp(log_decay))`: `gamma_log` of LRU.

    If the input is scaled by `√(1 - |λ|²)`, the state has the variance of the input for every λ.
    The result is accurate also for |λ| near 1, where computing `1 - |λ|²` would cancel.

    Args:
      log_decay: values of `lru_log_decay`, initial or trained, with a real floating-point dtype.

    Returns:
      An array with the shape and dtype of `log_decay`.

    Raises:
      TypeError: if `log_decay` does not have a real floating-point dtype.

    Reference: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
    equation 7.

    >>> import jax.numpy as jnp
    >>> modulus = jnp.exp(-jnp.exp(0.5))
    >>> bool(abs(jnp.exp(2 * lru_log_gain(0.5)) + modulus**2 - 1) < 1e-6)
    True
    """
    values = jnp.asarray(log_decay)
    draw_dtype, dtype = sampling_dtypes(values.dtype, "lru_log_gain")
    return round_to_dtype(_log_gain(values.astype(draw_dtype)), dtype)


def _check_radii(r_min: object, r_max: object) -> tuple[float, float]:
    low, high = check_ordered("r_min", r_min, "r_max", r_max)
    if low < 0 or high > 1:
        raise ValueError(
            f"expected 0 <= r_min < r_max <= 1, got r_min={low!r}, r_max={high!r}: these are "
            "radii, and a state explodes if its eigenvalue lies outside the unit circle"
        )
    return low, high


def _draw_open_unit(key: Array, shape: tuple[int, ...], draw_dtype: np.dtype) -> Array:
    """Draw from the open interval (0, 1), without 0, whose logarithm is not finite."""
    return draw_uniform(key, shape, draw_dtype, 2.0 ** -(jnp.finfo(draw_dtype).nmant + 1), 1)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _draw_ring_decay(
    key: Array, shape: tuple[int, ...], draw_dtype: np.dtype, r_min: float, r_max: float
) -> Array:
    """Draw `-log|λ|` of points uniform on the ring, with full precision at both radii."""
    fraction = _draw_open_unit(key, shape, draw_dtype)
    width = r_max**2 - r_min**2
    square = r_min**2 + pin_rounding((1 - fraction) * width)
    complement = (1 - r_max) * (1 + r_max) + pin_rounding(fraction * width)  # 1 - |λ|²
    return jnp.where(square > 0.5, -lax.log1p(-complement), -lax.log(square)) / 2


@partial(jax.jit, static_argnums=1)
def _log_multiple(values: Array, factor: float) -> Array:
    return lax.log(pin_rounding(values * factor))


@jax.jit
def _log_expm1(decay: Array) -> Array:
    return lax.log(lax.expm1(decay))


@jax.jit
def _log_gain(log_decay: Array) -> Array:
    return lax.log(-lax.expm1(-2 * lax.exp(log_decay))) / 2
