"""Matrix products in full precision, and products whose bits no order of summation changes."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.sampling.rounding import pin_rounding


@jax.jit
def exact_product(left: Array, right: Array) -> Array:
    """Return `left @ right` with the same bits in every order of summation.

    The bits of a floating-point product depend on how the compiler or a device mesh splits the
    sum. Here both factors are cut into slices of so few bits that every partial sum of a product
    of slices is exact. The slice products are then added elementwise in a fixed order. The result
    is more accurate than a floating-point product and costs as much as nine to sixteen of them for
    k ≤ 2000.

    Args:
      left: `(..., k)`; its rows have norm at most 1, up to rounding.
      right: `(k, n)`; its columns have norm at most 1, up to rounding.

    Returns:
      The product, `(..., n)`.

    Raises:
      ValueError: if k is too large for exact partial sums.

    Reference: Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication by
    using fast routines of matrix multiplication and its applications", 2012.

    >>> import jax
    >>> from jinit.sampling import draw_orthonormal
    >>> a = draw_orthonormal(jax.random.key(0), 64, 64)
    >>> bool((exact_product(a, a) == exact_product(a[:, ::-1], a[::-1])).all())
    True
    """
    bits = _slice_bits(right.shape[0], right.dtype)
    left_slices, right_slices = _slices(left, bits), _slices(right, bits)
    # Block d of the columns holds the products of slices whose indices add up to d.
    shifted = [
        jnp.pad(right_slices[: len(bits) - index], ((index, 0), (0, 0), (0, 0)))
        for index in range(len(bits))
    ]
    contracted = (((0, left.ndim), (0, 2)), ((), ()))
    terms = lax.dot_general(
        left_slices, jnp.stack(shifted), contracted, precision=lax.Precision.HIGHEST
    )
    *larger, total = jnp.unstack(pin_rounding(terms), axis=-2)
    for term in reversed(larger):  # the smallest first
        total = total + term
    return total


def _slice_bits(terms: int, dtype: np.dtype) -> tuple[int, ...]:
    """Return the number of bits of each slice, such that sums over `terms` products are exact.

    In its own unit, the first slice has rows and columns of norm at most 2^first, and every later
    slice has integers up to 2^(bits - 1). Slice products of equal unit then sum to at most
    `2^(first + bits) √k + (count - 2) 4^(bits - 1) k`. Integers up to 2^precision are exact. The
    slices must also hold all but the last bits of the factors and of the product.
    """
    precision = jnp.finfo(dtype).nmant + 1 - jnp.issubdtype(dtype, jnp.complexfloating)
    first, root = precision // 2 - 1, math.sqrt(terms)
    for count, bits in itertools.product(range(2, precision), range(first, 0, -1)):
        largest = 2 ** (first + bits) * root + (count - 2) * 4 ** (bits - 1) * terms
        kept = first + (count - 1) * bits
        # log2 of the largest slice product that is left out.
        lost = math.log2(root) - 2 * first - (count - 2) * bits
        if largest < 0.9 * 2**precision and min(kept, -lost) >= precision + 4:
            return (first, *[bits] * (count - 1))
    raise ValueError(
        f"exact_product: a sum of {terms} {np.dtype(dtype).name} products cannot be made exact: "
        "use fewer terms or a wider dtype"
    )


def _slices(matrix: Array, bits: tuple[int, ...]) -> Array:
    """Return slices that sum to the matrix; each is a multiple of the unit of its last bit."""
    if jnp.iscomplexobj(matrix):
        return lax.complex(*(_slices(part, bits) for part in (matrix.real, matrix.imag)))
    units = 2.0 ** -np.cumsum(bits).reshape(-1, *[1] * matrix.ndim)
    units = units.astype(matrix.dtype)
    cumulative = jnp.round(matrix[None] / units) * units
    return jnp.diff(cumulative, axis=0, prepend=np.zeros((), matrix.dtype))


def full_precision_product(left: Array, right: Array) -> Array:
    """Return `left @ right` in full precision, even on devices that round the factors by default.

    Args:
      left: `(..., m, k)`.
      right: `(..., k, n)`.

    >>> import jax.numpy as jnp
    >>> full_precision_product(jnp.ones((2, 3)), jnp.ones((3, 1))).tolist()
    [[3.0], [3.0]]
    """
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)
