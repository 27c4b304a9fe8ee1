"""Matrix products whose bits do not depend on how their sums are ordered."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.sampling.distributions import fence


@jax.jit
def exact_product(left: Array, right: Array) -> Array:
    """`left @ right`, with the same bits in whatever order the terms are summed.

    A float product depends on how the compiler or a device mesh splits the sum. Here both factors
    are cut into slices of so few bits that every partial sum of a product of slices is exact; the
    slice products are then added elementwise, in one order. The result is more accurate than a
    float product, at the price of nine to sixteen of them for k up to 2000.

    Args:
      left: `(..., k)`; its rows have norm at most 1, up to rounding.
      right: `(k, n)`; its columns have norm at most 1, up to rounding.

    Reference: Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication by
    using fast routines of matrix multiplication and its applications", 2012.

    >>> import jax
    >>> from jinit.sampling import orthonormal
    >>> a = orthonormal(jax.random.key(0), 64, 64)
    >>> bool((exact_product(a, a) == exact_product(a[:, ::-1], a[::-1])).all())
    True
    """
    bits = _slicing(right.shape[0], right.dtype)
    lefts, rights = _slices(left, bits), _slices(right, bits)
    # Column block d of the long matrix meets the pairs of slices whose places add up to d.
    shifted = [jnp.pad(rights[: len(bits) - i], ((i, 0), (0, 0), (0, 0))) for i in range(len(bits))]
    both = (((0, left.ndim), (0, 2)), ((), ()))
    terms = lax.dot_general(lefts, jnp.stack(shifted), both, precision=lax.Precision.HIGHEST)
    *larger, total = jnp.unstack(fence(terms), axis=-2)
    for term in reversed(larger):  # smallest first
        total = total + term
    return total


def _slicing(terms: int, dtype: np.dtype) -> tuple[int, ...]:
    """How many bits each slice holds, so that the sums over k terms are exact, and few are lost.

    In its own unit the first slice has rows and columns of norm at most 2^first, and a later one
    integers up to 2^(bits - 1). The slice products that share a unit then sum to at most
    `2^(first + bits) √k + (count - 2) 4^(bits - 1) k`; integers are exact up to 2^precision.
    """
    precision = jnp.finfo(dtype).nmant + 1 - jnp.issubdtype(dtype, jnp.complexfloating)
    first, root = precision // 2 - 1, math.sqrt(terms)
    for count, bits in itertools.product(range(2, precision), range(first, 0, -1)):
        largest = 2 ** (first + bits) * root + (count - 2) * 4 ** (bits - 1) * terms
        kept = first + (count - 1) * bits
        lost = math.log2(root) - 2 * first - (count - 2) * bits  # the largest product left out
        if largest < 0.9 * 2**precision and min(kept, -lost) >= precision + 4:
            return (first, *[bits] * (count - 1))
    raise ValueError(f"exact_product: a sum of {terms} terms cannot be split exactly")


def _slices(matrix: Array, bits: tuple[int, ...]) -> Array:
    """Parts that add up to the matrix (to its last bits), each a multiple of its last bit."""
    if jnp.iscomplexobj(matrix):
        return lax.complex(*(_slices(part, bits) for part in (matrix.real, matrix.imag)))
    units = 2.0 ** -np.cumsum(bits).reshape(-1, *[1] * matrix.ndim)
    units = units.astype(matrix.dtype)
    cumulated = jnp.round(matrix[None] / units) * units
    return jnp.diff(cumulated, axis=0, prepend=np.zeros((), matrix.dtype))
