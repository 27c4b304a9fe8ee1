"""Normal values beyond a bound, where the normal distribution has little mass."""

import math
from functools import partial
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri
from jax.typing import DTypeLike

from jinit.sampling.distributions import draw_uniform
from jinit.sampling.rounding import round_to_dtype, sampling_dtypes


def draw_normal_tail(
    key: Array,
    lower: float,
    upper: float,
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = float,
    *,
    scale: float = 1.0,
) -> Array:
    """Draw `scale` times a standard normal value conditioned on `lower <= z <= upper`.

    z is drawn by inversion of the complementary distribution function: `z = -Φ⁻¹(q)`, where q is
    uniform on `[Φ(-upper), Φ(-lower))`. Near zero floating-point numbers are dense, so that the
    values have full precision where `erf(z/√2)` rounds to one.

    Args:
      key: one key.
      lower: lower bound in standard deviations, from 0 to 12.
      upper: upper bound in standard deviations, > lower.
      shape: shape of the result.
      dtype: a real floating dtype.
      scale: factor applied after truncation.

    Raises:
      TypeError: if `dtype` is not a real floating dtype, or `key` is not a key.
      ValueError: if `key` holds several keys.

    Reference: Burkardt, "The truncated normal distribution", 2014, section 3.

    >>> import jax
    >>> z = draw_normal_tail(jax.random.key(0), 5.0, 8.0, (1000,))
    >>> bool(abs(z.mean() - 5.187) < 0.03)
    True
    """
    draw_dtype, dtype = sampling_dtypes(dtype, "normal_tail")
    share = _survival(lower)
    # The smallest uniform number is zero. It must not give a bound far outside, an outlier.
    farthest = -NormalDist().inv_cdf(share * float(jnp.finfo(draw_dtype).eps) / 2)
    shares = _survival(min(upper, farthest)), share
    return _normal_tail(key, shares, (lower, upper), scale, tuple(shape), draw_dtype, dtype)


def _survival(bound: float) -> float:
    """Return the probability that a standard normal value exceeds a bound."""
    return math.erfc(bound / math.sqrt(2)) / 2


@partial(jax.jit, static_argnums=(4, 5, 6))
def _normal_tail(
    key: Array,
    shares: tuple[float, float],
    bounds: tuple[float, float],
    scale: float,
    shape: tuple[int, ...],
    draw_dtype: np.dtype,
    dtype: np.dtype,
) -> Array:
    least, greatest = (jnp.asarray(share, draw_dtype) for share in shares)
    lower, upper = (jnp.asarray(bound, draw_dtype) for bound in bounds)
    share = draw_uniform(key, shape, draw_dtype, least, greatest)
    value = jnp.clip(-ndtri(share), lower, upper)
    return round_to_dtype(value * jnp.asarray(scale, draw_dtype), dtype)
