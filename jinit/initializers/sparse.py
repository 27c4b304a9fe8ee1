"""Sparse initialization: each unit is connected to a few inputs."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, check_finite, check_non_negative, dtype_name
from jinit.sampling import draw_bits, draw_normal


@dataclass(frozen=True, repr=False)
class Sparse(Initializer):
    """Normal, with a fixed number of zeros among the incoming weights of every unit."""

    name = "sparse"
    positional = ("sparsity",)
    sparsity: float
    stddev: float = 0.01

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw normal entries and set a random choice of them to zero for every output."""
        if len(shape) < 2:
            raise ValueError(
                f"sparse: expected a kernel (..., in, out) of at least two axes, got shape {shape}"
            )
        inputs, outputs = math.prod(shape[:-1]), shape[-1]
        choice_key, weight_key = jax.random.split(key)
        weights = draw_normal(weight_key, (inputs, outputs), dtype, scale=self.stddev)
        order = jnp.argsort(draw_bits(choice_key, (inputs, outputs), jnp.uint32), axis=0)
        rank = jnp.argsort(order, axis=0)
        is_kept = rank >= math.ceil(self.sparsity * inputs)
        return jnp.where(is_kept, weights, np.zeros((), dtype)).reshape(shape)


def sparse(sparsity: float, stddev: float = 0.01, dtype: DTypeLike | None = None) -> Sparse:
    """Normal, with `⌈sparsity · n_in⌉` of the incoming weights of every unit set to zero.

    Units with few inputs are initially different from each other and not saturated. n_in is the
    product of all axes of the kernel `(..., in, out)` but the last, taps included.

    Args:
      sparsity: fraction of zeros, from 0 to 1.
      stddev: standard deviation of the other weights, >= 0.
      dtype: default dtype of the result.

    Raises:
      TypeError: if an option is not a number.
      ValueError: if `sparsity` is outside [0, 1], or `stddev` is negative or not finite; when
        called, if the shape has fewer than two axes.

    Reference: Martens, "Deep learning via Hessian-free optimization", 2010, section 5.

    >>> import jax
    >>> w = sparse(0.75)(jax.random.key(0), (16, 10))
    >>> ((w != 0).sum(0) == 4).all().item()
    True
    """
    if not 0 <= (fraction := check_finite("sparsity", sparsity)) <= 1:
        raise ValueError(f"sparsity: expected a fraction from 0 to 1, got {sparsity!r}")
    return Sparse(fraction, check_non_negative("stddev", stddev), dtype=dtype_name(dtype))
