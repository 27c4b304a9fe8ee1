"""Haar-distributed orthonormal frames."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.distributions import normal, rounded


def orthonormal(
    key: Array, rows: int, columns: int, dtype: DTypeLike = float, *, scale: ArrayLike = 1.0
) -> Array:
    """A `rows × columns` matrix of orthonormal columns (rows, when wide), Haar-distributed.

    `scale · Q sign(diag R)` of the QR decomposition of a standard normal matrix, in float32
    (float64) and rounded to `dtype`; unitary for a complex dtype. Float32 values are
    `jax.random.orthogonal`'s.

    Args:
      key: one key; rows, columns: shape of the result; dtype: a floating or complex dtype.
      scale: factor on every entry, may be traced.

    Raises:
      TypeError: `dtype` is neither floating nor complex.

    Reference: Mezzadri, "How to generate random matrices from the classical compact groups",
    2007, section 5.

    >>> import jax, jax.numpy as jnp
    >>> frame = orthonormal(jax.random.key(0), 8, 3)
    >>> bool(jnp.allclose(frame.T @ frame, jnp.eye(3), atol=1e-6))
    True
    """
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(
            "orthonormal draws floating-point or complex values, got dtype "
            f"{jnp.dtype(dtype).name}: ask for a floating dtype, and convert afterwards"
        )
    return _orthonormal(key, scale, rows, columns, jax.dtypes.canonicalize_dtype(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _orthonormal(key: Array, scale: ArrayLike, rows: int, columns: int, dtype: np.dtype) -> Array:
    exact = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
    tall = normal(key, (max(rows, columns), min(rows, columns)), exact)
    q, r = _qr(tall)
    frame = q * jnp.sign(jnp.diagonal(r))[None, :]
    return rounded(jnp.asarray(scale, exact) * (frame.T if rows < columns else frame), dtype)


@jax.custom_batching.sequential_vmap
def _qr(matrix: Array) -> tuple[Array, Array]:
    """QR that vmap turns into a loop of single decompositions.

    jax 0.10.0 to 0.11.0 on CPU can deadlock when one program holds several batched LAPACK calls:
    each waits on a thread-pool worker for the others. A batch of one runs inline and cannot wait.
    """
    q, r = jnp.linalg.qr(matrix)
    return q, r
