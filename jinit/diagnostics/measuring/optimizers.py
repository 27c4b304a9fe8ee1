"""Call optimizers of optax, which jinit does not import."""

import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.diagnostics.measuring.floating import widen
from jinit.diagnostics.measuring.trained import trained_flags
from jinit.model import Model, PyTree


def trained_leaves(model: Model) -> list[Any]:
    """Return the abstract trained parameters of a model."""
    flags = zip(jax.tree.leaves(model.params), trained_flags(model), strict=True)
    return [leaf for leaf, flag in flags if flag]


def trained_paths(model: Model) -> list[str]:
    """Return the paths of the trained parameters of a model."""
    return [path for path, flag in zip(model.paths, trained_flags(model), strict=True) if flag]


def trained_tree(model: Model, leaves: Sequence[Any]) -> PyTree:
    """Return trained leaves in the tree of the model's parameters, with None for all others."""
    remaining = iter(leaves)
    filled = [next(remaining) if flag else None for flag in trained_flags(model)]
    return jax.tree.unflatten(jax.tree.structure(model.params), filled)


def compute_update(
    optimizer: Any, state: Any, params: PyTree, gradients: PyTree, value: Array
) -> tuple[PyTree, Any]:
    """Return the updates of one step, and the optimizer's next state.

    Args:
      optimizer: an optax transformation; one that asks for the loss is given it.
      state: its state.
      params: parameters.
      gradients: a tree like the parameters.
      value: value of the loss.

    Raises:
      ValueError: if the optimizer asks for more, such as the function of the loss.
    """
    takes_more = any(
        parameter.kind is parameter.VAR_KEYWORD
        for parameter in inspect.signature(optimizer.update).parameters.values()
    )
    more = {"value": value, "grad": gradients} if takes_more else {}
    try:
        return optimizer.update(gradients, state, params, **more)
    except TypeError as error:
        if "required" not in str(error):
            raise
        raise ValueError(
            "diagnose: the optimizer's update asks for more than gradients, parameters and the "
            f"loss ({error}), as line searches do; leave optimizer= out, or give another one"
        ) from error


def schedule_sizes(model: Model, optimizer: Any, steps: int) -> Array:
    """Return the RMS of each of the first updates, for gradients that are always 1.

    All parameters are small arrays of ones. Only what the optimizer itself does over time, such as
    the warm-up of a schedule or the accumulation of gradients, changes its updates.

    Args:
      model: the traced network.
      optimizer: an optax transformation.
      steps: number of updates.
    """
    params = trained_tree(
        model,
        [
            jnp.ones([min(size, 2) for size in leaf.shape], leaf.dtype)
            for leaf in trained_leaves(model)
        ],
    )

    def step(state: Any, _: None) -> tuple[Any, Array]:
        updates, state = compute_update(optimizer, state, params, params, jnp.ones(()))
        return state, jnp.sqrt(_mean_square(jax.tree.leaves(updates)))

    return lax.scan(step, optimizer.init(params), None, length=steps)[1]


def _mean_square(leaves: Sequence[Array]) -> Array:
    """Return the mean square of all entries of several arrays."""
    total = sum((jnp.sum(widen(leaf) ** 2) for leaf in leaves), jnp.zeros(()))
    return total / sum(leaf.size for leaf in leaves)
