"""Sparse starts: every unit listens to a few of its inputs."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers.base import Initializer, dtype_name, finite, non_negative
from jinit.sampling import bits, normal


@dataclass(frozen=True, repr=False)
class Sparse(Initializer):
    """Normal, with a fixed number of zeros among the weights into every unit."""

    name = "sparse"
    leading = ("sparsity",)
    sparsity: float
    stddev: float = 0.01

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Normal entries, of which a random choice per output is zero."""
        if len(shape) < 2:
            raise ValueError(
                f"sparse: expected a kernel (..., in, out) of at least two axes, got shape {shape}"
            )
        inputs, outputs = math.prod(shape[:-1]), shape[-1]
        choice, weights = jax.random.split(key)
        drawn = normal(weights, (inputs, outputs), dtype, scale=self.stddev)
        order = jnp.argsort(bits(choice, (inputs, outputs), jnp.uint32), axis=0)
        rank = jnp.argsort(order, axis=0)
        kept = rank >= math.ceil(self.sparsity * inputs)
        return jnp.where(kept, drawn, np.zeros((), dtype)).reshape(shape)


def sparse(
    sparsity: float, stddev: float = 0.01, dtype: jax.typing.DTypeLike | None = None
) -> Sparse:
    """Normal, with `⌈sparsity · n_in⌉` of the weights into every unit set to zero.

    Units that listen to few inputs start out different from each other and unsaturated. The
    zeros are counted along the inputs of a kernel `(..., in, out)`, taps included.

    Args:
      sparsity: share of zeros, 0 <= sparsity <= 1. stddev: of the other weights, >= 0.
      dtype: default dtype of the result.

    Raises:
      ValueError: an option out of its range; when called, fewer than two axes.

    Reference: Martens, "Deep learning via Hessian-free optimization", 2010, section 5.

    >>> import jax
    >>> w = sparse(0.75)(jax.random.key(0), (16, 10))
    >>> ((w != 0).sum(0) == 4).all().item()
    True
    """
    if not 0 <= (share := finite("sparsity", sparsity)) <= 1:
        raise ValueError(f"sparsity: expected a share between 0 and 1, got {sparsity!r}")
    return Sparse(share, non_negative("stddev", stddev), dtype=dtype_name(dtype))
