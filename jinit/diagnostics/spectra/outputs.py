"""Outputs of a batch as rows, and the Gram matrix of their gradients."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from jinit.diagnostics.measuring.floating import floating_leaves, widen
from jinit.diagnostics.spectra.krylov import jacobian_products
from jinit.model import PyTree


def output_rows(name: str, outputs: PyTree, count: int) -> Array:
    """Return all floating-point outputs as an array (examples, outputs of one example).

    Args:
      name: function that the user called, for messages.
      outputs: outputs of the model.
      count: number of examples.

    Raises:
      ValueError: if no output is floating-point, or axis 0 of one is not the axis of examples.
    """
    leaves = floating_leaves(outputs)
    bad_shapes = [leaf.shape for leaf in leaves if not leaf.ndim or leaf.shape[0] != count]
    if bad_shapes or not leaves:
        seen = f"there is one of shape {bad_shapes[0]}" if bad_shapes else "there is none"
        raise ValueError(
            f"{name}: axis 0 of every floating-point output has to enumerate the {count} examples, "
            f"but {seen}; trace a function that returns an array with a row for each example"
        )
    return jnp.concatenate([widen(leaf).reshape(count, -1) for leaf in leaves], 1)


def gram_matrix(function: Callable[[PyTree], Array], point: PyTree, directions: Array) -> Array:
    """Return `Σ_d ⟨∇(d·f_i), ∇(d·f_j)⟩`, keeping one gradient in memory at a time.

    Args:
      function: f, a tree to an array (i, outputs).
      point: the tree at which the gradients are taken.
      directions: the directions d, an array (directions, outputs).
    """
    values, forward, backward = jacobian_products(function, point)
    count = values.shape[0]

    def row(index: Array) -> Array:
        def direction_products(direction: Array) -> Array:
            gradient = backward(jnp.zeros_like(values).at[index].set(direction))
            return forward(gradient) @ direction

        return lax.map(direction_products, directions).sum(0)

    return lax.map(row, jnp.arange(count))
