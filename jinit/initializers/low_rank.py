"""Thin factorizations of a kernel, or of every kernel of a stack, one matrix at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.sampling import product


def for_each(solve: Callable[..., Any], *stacks: Array) -> Any:
    """`solve` of one matrix of every stack, for all indices of the leading axes, one at a time.

    One at a time also under vmap: jax 0.10.0 to 0.11.0 on CPU can deadlock when one program holds
    several batched LAPACK calls.
    """
    alone = jax.custom_batching.sequential_vmap(solve)
    for _ in range(stacks[0].ndim - 2):
        alone = jax.vmap(alone)
    return alone(*stacks)


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Thin `u diag(s) v`, s falling; the entry of largest modulus in every row of v is positive.

    A singular vector is known up to its sign only: without a rule, it would be the library's
    whim and could change from one version or backend to the next.
    """
    u, s, v = jnp.linalg.svd(matrix, full_matrices=False)
    largest = jnp.argmax(jnp.abs(v), axis=1, keepdims=True)
    sign = _sign(jnp.take_along_axis(v, largest, axis=1))
    return u * sign.T, s, v * sign


def randomized_svd(matrix: Array, sketch: Array, iterations: int) -> tuple[Array, Array, Array]:
    """The leading part of `svd`, found in the subspace that `sketch` (columns, rank) falls into.

    Every iteration multiplies by the matrix and its transpose, so that what is left of the
    (rank + 1)-th direction shrinks by `(s[rank] / s[rank - 1])²`.
    """

    def sharpened(_: Array, basis: Array) -> Array:
        return frame(product(matrix, frame(product(matrix.T, basis))))

    basis = lax.fori_loop(0, iterations, sharpened, frame(product(matrix, sketch)))
    u, s, v = svd(product(basis.T, matrix))
    return product(basis, u), s, v


def frame(matrix: Array) -> Array:
    """Orthonormal columns: the Q of the QR decomposition whose R has no negative diagonal."""
    q, r = jnp.linalg.qr(matrix)
    return q * _sign(jnp.diagonal(r))[None, :]


def shared(rank: int, scale: float, u: Array, s: Array, v: Array) -> tuple[Array, Array]:
    """A and B with `scale · A B = u diag(s) v` of the leading triplets, equally large."""
    root = jnp.sqrt(s[:rank] / scale)
    return u[:, :rank] * root[None, :], root[:, None] * v[:rank]


def _sign(values: Array) -> Array:
    return jnp.where(values < 0, -1, 1).astype(values.dtype)
