"""Haar-distributed orthonormal frames, by two engines that draw from the same distribution.

- `qr_frame`, on CPU: the QR decomposition of a normal matrix, with the values of jax.random.
- `reflection_frame`, on GPU and TPU: the Householder reflections of this decomposition are drawn
  instead of computed, because each belongs to an independent normal vector. Only matrix products
  remain.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from jinit.sampling.distributions import draw_normal
from jinit.sampling.products import full_precision_product
from jinit.sampling.reflectors import PANEL_WIDTH, ReflectionPanel, panel_product
from jinit.sampling.rounding import check_dtype, factorization_dtype, round_to_dtype
from jinit.sampling.threefry import check_key

# From this many columns on, matrix products beat LAPACK's accumulation of reflections.
_BLOCKED_COLUMNS = 256


def draw_orthonormal(
    key: Array, rows: int, columns: int, dtype: DTypeLike = float, *, scale: ArrayLike = 1.0
) -> Array:
    """Draw a Haar-distributed matrix with orthonormal columns (orthonormal rows, if it is wide).

    The result is `scale · Q sign(diag R)` of the QR decomposition of a standard normal matrix,
    computed in at least float32 and rounded to `dtype`; it is unitary for a complex dtype. On CPU,
    float32 values are those of `jax.random.orthogonal`: the same bits if the shorter side is below
    256, within 1e-6 otherwise. GPU and TPU draw reflections: the same distribution, with other
    values.

    Args:
      key: one key.
      rows: rows of the result.
      columns: columns of the result.
      dtype: a floating or complex dtype.
      scale: factor on every entry; may be traced.

    Raises:
      TypeError: if `dtype` is neither floating nor complex, or `key` is not a key.
      ValueError: if `key` holds several keys.

    Reference: Mezzadri, "How to generate random matrices from the classical compact groups",
    2007, section 5; Stewart, "The efficient generation of random orthogonal matrices with an
    application to condition estimators", 1980, section 3.

    >>> import jax, jax.numpy as jnp
    >>> frame = draw_orthonormal(jax.random.key(0), 8, 3)
    >>> bool(jnp.allclose(frame.T @ frame, jnp.eye(3), atol=1e-6))
    True
    """
    check_key(key)
    check_dtype(dtype, jnp.inexact, "orthonormal draws floating-point or complex values")
    return _orthonormal(key, scale, rows, columns, jax.dtypes.canonicalize_dtype(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _orthonormal(key: Array, scale: ArrayLike, rows: int, columns: int, dtype: np.dtype) -> Array:
    options = {
        "shape": (max(rows, columns), min(rows, columns)),
        "dtype": factorization_dtype(dtype),
    }
    frame = lax.platform_dependent(
        key, cpu=partial(qr_frame, **options), default=partial(reflection_frame, **options)
    )
    return scale_frame(frame, scale, wide=rows < columns, dtype=dtype)


def scale_frame(frame: Array, scale: ArrayLike, *, wide: bool, dtype: np.dtype) -> Array:
    """Scale a tall frame, transpose it if the result is wide, and round it to `dtype`."""
    factor = jnp.asarray(scale, frame.dtype)
    return round_to_dtype(factor * (frame.T if wide else frame), dtype)


def qr_frame(key: Array, shape: tuple[int, int], dtype: np.dtype) -> Array:
    """Draw a normal matrix, square or tall, and return its Q with a positive diagonal of R."""
    return _orthonormalize(draw_normal(key, shape, dtype))


@jax.custom_batching.sequential_vmap
def _orthonormalize(matrix: Array) -> Array:
    """Return the Q factor; under vmap the matrices of the batch are processed one by one.

    jax 0.10.0 to 0.11.0 on CPU can deadlock when one program holds several batched LAPACK calls:
    each waits on a thread-pool worker for the others. A batch of one runs inline and cannot wait.
    """
    rows, columns = matrix.shape
    if columns < _BLOCKED_COLUMNS:
        q, r = jnp.linalg.qr(matrix)
        return q * jnp.sign(jnp.diagonal(r))[None, :]
    if rows >= 2 * columns:
        return cholesky_qr(matrix, full_precision_product(matrix.conj().T, matrix))
    packed, factors = jnp.linalg.qr(matrix, mode="raw")
    packed = packed.T
    panels = [
        ReflectionPanel.from_packed(
            packed[first:, first : first + PANEL_WIDTH], factors[first : first + PANEL_WIDTH]
        )
        for first in range(0, columns, PANEL_WIDTH)
    ]
    return panel_product(panels) * jnp.sign(jnp.diagonal(packed))[None, :]


def cholesky_qr(matrix: Array, gram: Array) -> Array:
    """Return Q = A L⁻ᴴ, where AᴴA = L Lᴴ is the Gram matrix `gram`.

    This is as exact as reflections because A is so well conditioned: the condition number of a
    normal matrix twice as tall as wide is near (√2 + 1)/(√2 - 1) = 5.8, and it concentrates there
    as the number of columns grows.
    """
    return lax.linalg.triangular_solve(
        lax.linalg.cholesky(gram), matrix, lower=True, transpose_a=True, conjugate_a=True
    )


def reflection_frame(key: Array, shape: tuple[int, int], dtype: np.dtype) -> Array:
    """Draw a frame of the same distribution from reflections, by matrix products."""
    reflections = draw_reflections(key, shape, dtype)
    return panel_product(reflections.panels) * reflections.signs[None, :]


@dataclass(frozen=True)
class Reflections:
    """The QR decomposition of a normal matrix, drawn instead of computed."""

    panels: list[ReflectionPanel]
    """Householder reflections; panel p acts on the rows from `p · PANEL_WIDTH` on."""
    signs: Array
    """Signs (phases) of the diagonal of R, `(columns,)`."""


def draw_reflections(key: Array, shape: tuple[int, int], dtype: np.dtype) -> Reflections:
    """Draw the reflections of independent normal vectors, each shorter by one than the previous."""
    rows, columns = shape
    panels, signs = [], []
    for number, first in enumerate(range(0, columns, PANEL_WIDTH)):
        width = min(PANEL_WIDTH, columns - first)
        normals = draw_normal(jax.random.fold_in(key, number), (rows - first, width), dtype)
        panel, sign = _reflection_panel(jnp.tril(normals, -1), jnp.diagonal(normals))
        panels.append(panel)
        signs.append(sign)
    return Reflections(panels, jnp.concatenate(signs))


def _reflection_panel(lower: Array, diagonal: Array) -> tuple[ReflectionPanel, Array]:
    """Return the reflections that turn each vector x into a multiple of e₁, and R's signs.

    A vector x consists of its first entry (in `diagonal`) and the entries below (in `lower`).
    `H = I - τ v vᴴ` with `v = (1, lower / (first + sign ‖x‖))` and `τ = (sign first + ‖x‖) / ‖x‖`
    for the sign (phase) of the first entry, so that nothing cancels. It maps x to `-sign ‖x‖ e₁`.
    """
    length = jnp.sqrt((jnp.abs(lower) ** 2).sum(0) + jnp.abs(diagonal) ** 2)
    sign = jnp.where(diagonal == 0, 1, jnp.sign(diagonal))
    vectors = lower / (diagonal + sign * length)[None, :] + jnp.eye(*lower.shape, dtype=lower.dtype)
    factors = ((jnp.abs(diagonal) + length) / length).astype(lower.dtype)
    return ReflectionPanel.from_vectors(vectors, factors), -sign
