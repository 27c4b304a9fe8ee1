"""Products of Householder reflections, applied in panels, so that they cost matrix products."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.sampling.products import full_precision_product

PANEL_WIDTH = 256
"""Reflections per panel: wide enough for fast matrix products, narrow enough for little waste."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ReflectionPanel:
    """The product of consecutive reflections, `H_1 H_2 ⋯ = I - V T Vᴴ`.

    V is unit lower trapezoidal and T is upper triangular.

    Reference: Schreiber & Van Loan, "A storage-efficient WY representation for products of
    Householder transformations", 1989.
    """

    vectors: Array
    """V, one column per reflection, `(rows, reflections)`."""
    triangle: Array
    """T, `(reflections, reflections)`."""

    @classmethod
    def from_vectors(cls, vectors: Array, factors: Array) -> Self:
        """Return the panel of the reflections `I - τ v vᴴ`; τ = 0 gives the identity.

        Args:
          vectors: v of each reflection, `(rows, reflections)`.
          factors: τ of each reflection, `(reflections,)`.
        """
        # T⁻¹ = diag(1/τ) + triu(VᴴV, 1); both sides are scaled by τ so that τ = 0 is harmless.
        overlap = jnp.triu(full_precision_product(vectors.conj().T, vectors), 1)
        triangle = lax.linalg.triangular_solve(
            factors[:, None] * overlap, jnp.diag(factors), left_side=True, unit_diagonal=True
        )
        return cls(vectors, triangle)

    @classmethod
    def from_packed(cls, matrix: Array, factors: Array) -> Self:
        """Return the panel that LAPACK stores below the diagonal of `matrix`.

        Args:
          matrix: packed QR decomposition, `(rows, reflections)`.
          factors: τ of each reflection, `(reflections,)`.
        """
        return cls.from_vectors(unit_lower_triangle(matrix), factors)

    def __matmul__(self, matrix: Array) -> Array:
        inner = full_precision_product(self.vectors.conj().T, matrix)
        return matrix - full_precision_product(
            self.vectors, full_precision_product(self.triangle, inner)
        )

    def apply_inverse(self, matrix: Array) -> Array:
        """Apply the inverse, `I - V Tᴴ Vᴴ`, to a matrix."""
        inner = full_precision_product(self.vectors.conj().T, matrix)
        return matrix - full_precision_product(
            self.vectors, full_precision_product(self.triangle.conj().T, inner)
        )

    def first_columns(self) -> Array:
        """Return the leading columns of the product, one per reflection."""
        rows, columns = self.vectors.shape
        inner = full_precision_product(self.triangle, self.vectors[:columns].conj().T)
        return jnp.eye(rows, columns, dtype=self.vectors.dtype) - full_precision_product(
            self.vectors, inner
        )


def panel_product(panels: Sequence[ReflectionPanel]) -> Array:
    """Return the leading columns of the product of all panels.

    Each panel acts on the rows below the diagonal block of the panel before it. Panels are
    applied from the last to the first, so that each multiplies only the columns it can change.
    """
    columns = panels[-1].first_columns()
    for panel in reversed(panels[:-1]):
        width = panel.triangle.shape[0]
        later = panel @ jnp.pad(columns, ((width, 0), (0, 0)))
        columns = jnp.concatenate([panel.first_columns(), later], axis=1)
    return columns


def unit_lower_triangle(matrix: Array) -> Array:
    """Return the entries below the diagonal, with ones on it and zeros above."""
    return jnp.tril(matrix, -1) + jnp.eye(*matrix.shape, dtype=matrix.dtype)
