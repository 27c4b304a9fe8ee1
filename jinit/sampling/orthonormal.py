"""Haar-distributed orthonormal frames, by two engines with the same law.

- `factored_frame`, on CPU: the QR decomposition of a normal matrix, the values of jax.random.
- `reflected_frame`, on GPU and TPU: the reflections that this decomposition would find are drawn
  instead of computed, since each is that of an independent normal vector. What is left to do is
  matrix products.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.distributions import normal, rounded
from jinit.sampling.reflectors import WIDTH, Panel, accumulated, product

# From this many columns on, matrix products beat LAPACK's own accumulation of reflections.
_MANY = 256


def orthonormal(
    key: Array, rows: int, columns: int, dtype: DTypeLike = float, *, scale: ArrayLike = 1.0
) -> Array:
    """A `rows × columns` matrix of orthonormal columns (rows, when wide), Haar-distributed.

    `scale · Q sign(diag R)` of the QR decomposition of a standard normal matrix, in float32
    (float64) and rounded to `dtype`; unitary for a complex dtype. On CPU, float32 values are
    `jax.random.orthogonal`'s: the same bits up to 255 on the shorter side, within 1e-6 above. On
    GPU and TPU the same law is drawn from reflections, with other values.

    Args:
      key: one key; rows, columns: shape of the result; dtype: a floating or complex dtype.
      scale: factor on every entry, may be traced.

    Raises:
      TypeError: `dtype` is neither floating nor complex.

    Reference: Mezzadri, "How to generate random matrices from the classical compact groups",
    2007, section 5; Stewart, "The efficient generation of random orthogonal matrices with an
    application to condition estimators", 1980, section 3.

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
    tall = max(rows, columns), min(rows, columns)
    frame = lax.platform_dependent(
        key,
        cpu=partial(factored_frame, shape=tall, dtype=exact),
        default=partial(reflected_frame, shape=tall, dtype=exact),
    )
    return rounded(jnp.asarray(scale, exact) * (frame.T if rows < columns else frame), dtype)


def factored_frame(key: Array, shape: tuple[int, int], dtype: np.dtype) -> Array:
    """Q of the normal matrix of this shape, which is square or tall, with a positive R diagonal."""
    return _orthonormalized(normal(key, shape, dtype))


@jax.custom_batching.sequential_vmap
def _orthonormalized(matrix: Array) -> Array:
    """Q, by a decomposition that vmap turns into a loop of single ones.

    jax 0.10.0 to 0.11.0 on CPU can deadlock when one program holds several batched LAPACK calls:
    each waits on a thread-pool worker for the others. A batch of one runs inline and cannot wait.
    """
    rows, columns = matrix.shape
    if columns < _MANY:
        q, r = jnp.linalg.qr(matrix)
        return q * jnp.sign(jnp.diagonal(r))[None, :]
    if rows >= 2 * columns:
        return _by_cholesky(matrix)
    packed, factors = jnp.linalg.qr(matrix, mode="raw")
    packed = packed.T
    starts = range(0, columns, WIDTH)
    panels = [Panel.packed(packed[s:, s : s + WIDTH], factors[s : s + WIDTH]) for s in starts]
    return accumulated(panels) * jnp.sign(jnp.diagonal(packed))[None, :]


def _by_cholesky(matrix: Array) -> Array:
    """Q = A L⁻ᴴ with AᴴA = L Lᴴ: as exact as reflections, because A is so well conditioned.

    A normal matrix twice as tall as wide has a condition number near (√2 + 1)/(√2 - 1) = 5.8,
    and of many columns none that differs much from it.
    """
    gram = product(matrix.conj().T, matrix)
    return lax.linalg.triangular_solve(
        lax.linalg.cholesky(gram), matrix, lower=True, transpose_a=True, conjugate_a=True
    )


def reflected_frame(key: Array, shape: tuple[int, int], dtype: np.dtype) -> Array:
    """The same law from drawn reflections: matrix products, and small triangular solves."""
    panels, signs = drawn_reflections(key, shape, dtype)
    return accumulated(panels) * signs[None, :]


def drawn_reflections(
    key: Array, shape: tuple[int, int], dtype: np.dtype
) -> tuple[list[Panel], Array]:
    """The reflections of independent normal vectors, each one entry shorter, and R's signs."""
    rows, columns = shape
    panels, signs = [], []
    for number, start in enumerate(range(0, columns, WIDTH)):
        width = min(WIDTH, columns - start)
        drawn = normal(jax.random.fold_in(key, number), (rows - start, width), dtype)
        panel, sign = _reflections(jnp.tril(drawn, -1), jnp.diagonal(drawn))
        panels.append(panel)
        signs.append(sign)
    return panels, jnp.concatenate(signs)


def _reflections(below: Array, first: Array) -> tuple[Panel, Array]:
    """Reflections that turn each vector (first entry, entries below) into a multiple of e₁.

    `H = I - τ v vᴴ` with `v = (1, below / (first + sign ‖x‖))` and `τ = (sign first + ‖x‖) / ‖x‖`
    for the sign (phase) of the first entry, so that nothing cancels; it leaves `-sign ‖x‖ e₁`.
    """
    length = jnp.sqrt((jnp.abs(below) ** 2).sum(0) + jnp.abs(first) ** 2)
    sign = jnp.where(first == 0, 1, jnp.sign(first))
    vectors = below / (first + sign * length)[None, :] + jnp.eye(*below.shape, dtype=below.dtype)
    factors = ((jnp.abs(first) + length) / length).astype(below.dtype)
    return Panel.of(vectors, factors), -sign
