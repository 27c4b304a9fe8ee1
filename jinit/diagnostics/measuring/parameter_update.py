"""Statistics of the update of one parameter."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from jinit.diagnostics.measuring.floating import widen
from jinit.diagnostics.measuring.statistics import Scalar


class ParameterUpdate(NamedTuple):
    """The first update of one parameter."""

    value_second: Scalar
    """Mean square of the parameter."""
    update_second: Scalar
    """Mean square of its update."""
    kept_fraction: Scalar
    """Fraction of the entries with an update that are the same number after it, in the parameter's
    dtype."""
    mean: Scalar
    """Mean of the parameter."""


@jax.jit
def parameter_update(value: Array, update: Array, factor: ArrayLike) -> ParameterUpdate:
    """Return the statistics of an update.

    Args:
      value: the parameter.
      update: its update.
      factor: number that the update is multiplied by first.
    """
    info = jnp.finfo(value.dtype)
    step = (update * jnp.asarray(factor, update.dtype)).astype(update.dtype)
    # XLA may leave out a conversion to a narrow dtype and back; it keeps `reduce_precision`.
    after = lax.reduce_precision(widen(value) + widen(step), info.nexp, info.nmant)
    is_updated = (step != 0).astype(jnp.float32)
    is_kept = is_updated * (after == widen(value))
    return ParameterUpdate(
        value_second=jnp.mean(widen(value) ** 2),
        update_second=jnp.mean(widen(step) ** 2),
        kept_fraction=is_kept.sum() / jnp.maximum(is_updated.sum(), 1),
        mean=widen(value).mean(),
    )
