"""Normal entries conditioned on an interval of values, as in timm and PyTorch."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.base import (
    Initializer,
    check_finite,
    check_ordered,
    check_positive,
    dtype_name,
)
from jinit.initializers.marginals import Marginal, truncated_normal_marginal
from jinit.sampling import (
    draw_normal_tail,
    draw_truncated_normal,
    round_to_dtype,
    sampling_dtypes,
)


@dataclass(frozen=True, repr=False)
class BoundedNormal(Initializer):
    """Normal conditioned on an interval of values."""

    is_entrywise = True
    name = "timm_trunc_normal"
    variance_formula = "less than stddev²"
    positional = ("mean", "stddev", "minval", "maxval")
    mean: float = 0.0
    stddev: float = 1.0
    minval: float = -2.0
    maxval: float = 2.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the truncated normal distribution of an entry."""
        del shape
        return truncated_normal_marginal(self.stddev, *self._standard_bounds(), shift=self.mean)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `mean + stddev · z`, z standard normal between the bounds."""
        draw_dtype, _ = sampling_dtypes(dtype, self.name)
        deviation = self._draw_deviation(key, shape, draw_dtype)
        return round_to_dtype(jnp.clip(deviation + self.mean, self.minval, self.maxval), dtype)

    def _draw_deviation(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the difference from the mean, in the tail if the mean is not between the bounds."""
        lower, upper = self._standard_bounds()
        if lower > 0:
            return draw_normal_tail(key, lower, upper, shape, dtype, scale=self.stddev)
        if upper < 0:
            return -draw_normal_tail(key, -upper, -lower, shape, dtype, scale=self.stddev)
        # Beyond this limit erf rounds to one, and the draw would return the bound, an outlier.
        limit = 8.0 if dtype == np.float64 else 5.25
        lower, upper = np.clip((lower, upper), -limit, limit)
        return draw_truncated_normal(key, lower, upper, shape, dtype, scale=self.stddev)

    def _standard_bounds(self) -> tuple[float, float]:
        """Return the bounds in standard deviations from the mean."""
        return (self.minval - self.mean) / self.stddev, (self.maxval - self.mean) / self.stddev


def timm_trunc_normal(
    mean: float = 0.0,
    stddev: float = 1.0,
    minval: float = -2.0,
    maxval: float = 2.0,
    dtype: DTypeLike | None = None,
) -> BoundedNormal:
    """Normal conditioned on `[minval, maxval]`, with absolute bounds as in timm and PyTorch.

    With the small `stddev` of a transformer, 0.02, the default bounds have no effect. The bounds of
    JAX's `truncated_normal` are in standard deviations.

    Args:
      mean: mean before truncation.
      stddev: standard deviation before truncation, > 0.
      minval: lower bound.
      maxval: upper bound, > minval.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an option is not a number.
      ValueError: if `stddev <= 0`, an option is not finite, `minval >= maxval`, or the interval
        lies more than five standard deviations from the mean, where the distribution has almost
        no mass.

    Reference: Burkardt, "The truncated normal distribution", 2014, section 3; Wightman, "PyTorch
    image models", 2019, timm.layers.trunc_normal_.

    >>> import jax
    >>> w = timm_trunc_normal(0.0, 1.0, -0.5, 2.0)(jax.random.key(0), (1000,))
    >>> bool((w >= -0.5).all() and (w <= 2).all())
    True
    """
    low, high = check_ordered("minval", minval, "maxval", maxval)
    initializer = BoundedNormal(
        mean=check_finite("mean", mean),
        stddev=check_positive("stddev", stddev),
        minval=low,
        maxval=high,
        dtype=dtype_name(dtype),
    )
    if max(low - initializer.mean, initializer.mean - high) > 5 * initializer.stddev:
        raise ValueError(
            f"timm_trunc_normal: expected bounds within five standard deviations of the mean, got "
            f"minval={low}, maxval={high}, mean={initializer.mean}, stddev={initializer.stddev}; "
            "the bounds are absolute values, not multiples of stddev"
        )
    return initializer
