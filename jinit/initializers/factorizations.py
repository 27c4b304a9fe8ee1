"""Thin factorizations of a kernel, or of each kernel of a stack, one matrix at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.sampling import full_precision_product


class Triplets(NamedTuple):
    """Singular triplets of a matrix `u diag(s) vh`, with `s` in descending order."""

    u: Array
    """Left singular vectors, (rows, rank)."""
    s: Array
    """Singular values, (rank,)."""
    vh: Array
    """Right singular vectors, transposed: (rank, columns)."""


def map_matrices(solve: Callable[..., Any], *stacks: Array) -> Any:
    """Return `solve(*matrices)` for each index of the leading axes of the stacks.

    The matrices are solved one after another, also under vmap: jax 0.10.0 to 0.11.0 on CPU can
    deadlock when one program has several batched LAPACK calls.
    """
    solve_next = jax.custom_batching.sequential_vmap(solve)
    for _ in range(stacks[0].ndim - 2):
        solve_next = jax.vmap(solve_next)
    return solve_next(*stacks)


def svd(matrix: Array) -> Triplets:
    """Return the thin singular value decomposition, with fixed signs.

    A decomposition determines a singular vector only up to its sign, which then depends on the
    library, its version and the backend. Here the entry of largest modulus in each row of `vh` is
    positive.
    """
    u, s, vh = jnp.linalg.svd(matrix, full_matrices=False)
    largest = jnp.argmax(jnp.abs(vh), axis=1, keepdims=True)
    sign = _sign(jnp.take_along_axis(vh, largest, axis=1))
    return Triplets(u=u * sign.T, s=s, vh=vh * sign)


def randomized_svd(matrix: Array, sketch: Array, iterations: int) -> Triplets:
    """Return approximate leading triplets, found in the image of `sketch` (columns, rank).

    Each iteration multiplies by the transposed matrix and the matrix. It reduces the part of the
    (rank + 1)-th singular direction in the subspace by the factor `(s[rank] / s[rank - 1])²`.
    """

    def iterate(_: Array, basis: Array) -> Array:
        return orthonormal_columns(
            full_precision_product(
                matrix, orthonormal_columns(full_precision_product(matrix.T, basis))
            )
        )

    basis = lax.fori_loop(
        0, iterations, iterate, orthonormal_columns(full_precision_product(matrix, sketch))
    )
    triplets = svd(full_precision_product(basis.T, matrix))
    return triplets._replace(u=full_precision_product(basis, triplets.u))


def orthonormal_columns(matrix: Array) -> Array:
    """Return the Q of the QR decomposition in which no diagonal entry of R is negative."""
    q, r = jnp.linalg.qr(matrix)
    return q * _sign(jnp.diagonal(r))[None, :]


def balanced_factors(rank: int, scale: float, u: Array, s: Array, vh: Array) -> tuple[Array, Array]:
    """Return A and B with `scale · A B = u diag(s) vh` for the leading triplets.

    The singular values are split evenly: A and Bᵀ have columns of equal lengths.
    """
    root = jnp.sqrt(s[:rank] / scale)
    return u[:, :rank] * root[None, :], root[:, None] * vh[:rank]


def _sign(values: Array) -> Array:
    return jnp.where(values < 0, -1, 1).astype(values.dtype)
