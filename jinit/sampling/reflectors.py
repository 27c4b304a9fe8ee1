"""Products of Householder reflections, many at a time, so that they cost matrix products."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array, lax

WIDTH = 256
"""Reflections per panel: wide enough for fast matrix products, narrow enough for small waste."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Panel:
    """Consecutive reflections as one map: `H_1 H_2 ⋯ = I - V T Vᴴ` with V unit lower trapezoidal.

    Reference: Schreiber & Van Loan, "A storage-efficient WY representation for products of
    Householder transformations", 1989.
    """

    vectors: Array
    """V, a column per reflection, `(rows, reflections)`."""
    triangle: Array
    """T, upper triangular."""

    @classmethod
    def of(cls, vectors: Array, factors: Array) -> Self:
        """The panel of the reflections `I - τ v vᴴ`; a τ of zero is the identity."""
        # T⁻¹ = diag(1/τ) + the part of VᴴV above its diagonal; multiplied by τ, zeros do no harm.
        overlap = jnp.triu(product(vectors.conj().T, vectors), 1)
        triangle = lax.linalg.triangular_solve(
            factors[:, None] * overlap, jnp.diag(factors), left_side=True, unit_diagonal=True
        )
        return cls(vectors, triangle)

    @classmethod
    def packed(cls, matrix: Array, factors: Array) -> Self:
        """The panel whose vectors stand below the diagonal of `matrix`, as LAPACK leaves them."""
        return cls.of(unit_lower(matrix), factors)

    def __matmul__(self, matrix: Array) -> Array:
        inner = product(self.vectors.conj().T, matrix)
        return matrix - product(self.vectors, product(self.triangle, inner))

    def undo(self, matrix: Array) -> Array:
        """The inverse map, `I - V Tᴴ Vᴴ`, applied to a matrix."""
        inner = product(self.vectors.conj().T, matrix)
        return matrix - product(self.vectors, product(self.triangle.conj().T, inner))

    def first_columns(self) -> Array:
        """The map applied to the first unit vectors, one per reflection."""
        rows, columns = self.vectors.shape
        inner = product(self.triangle, self.vectors[:columns].conj().T)
        return jnp.eye(rows, columns, dtype=self.vectors.dtype) - product(self.vectors, inner)


def accumulated(panels: Sequence[Panel]) -> Array:
    """The first columns of the product of all panels, each acting on the rows left by the others.

    Works from the last panel on, so that every product meets only the columns it can change.
    """
    columns = panels[-1].first_columns()
    for panel in reversed(panels[:-1]):
        width = panel.triangle.shape[0]
        later = panel @ jnp.pad(columns, ((width, 0), (0, 0)))
        columns = jnp.concatenate([panel.first_columns(), later], axis=1)
    return columns


def unit_lower(matrix: Array) -> Array:
    """The entries below the diagonal, ones on it, zeros above."""
    return jnp.tril(matrix, -1) + jnp.eye(*matrix.shape, dtype=matrix.dtype)


def product(left: Array, right: Array) -> Array:
    """Matrix product in full precision, also where the device would rather round its factors."""
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)
