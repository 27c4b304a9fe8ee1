"""Trained parameters, and the loss as a function of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.floating import is_floating, widen
from jinit.diagnostics.measuring.losses import Loss, choose_loss
from jinit.model import Model, PyTree


class SplitParams(NamedTuple):
    """The leaves of a parameter tree, in its order."""

    trained: list[Array]
    """Trained parameters, in float32 or their own higher precision."""
    fixed: list[Any]
    """All other leaves."""


def trained_flags(model: Model) -> list[bool]:
    """Return, for each parameter, True if it is trained and holds floating-point numbers."""
    return [
        is_floating(leaf) and path not in model.untrained_paths
        for path, leaf in model.by_path(model.params).items()
    ]


def split_params(name: str, model: Model, params: PyTree) -> SplitParams:
    """Return the trained leaves and the others.

    Raises:
      ValueError: if the tree is not like the model's, or nothing in it is trained.
    """
    leaves = list(model.by_path(params).values())
    flags = trained_flags(model)
    trained = [widen(jnp.asarray(leaf)) for leaf, flag in zip(leaves, flags, strict=True) if flag]
    if not trained:
        raise ValueError(
            f"{name}: none of the model's {len(leaves)} parameters is trained: it needs at least "
            "one floating-point array that is not state"
        )
    return SplitParams(
        trained, [leaf for leaf, flag in zip(leaves, flags, strict=True) if not flag]
    )


def join_leaves(model: Model, trained: Sequence[Array], fixed: Sequence[Any]) -> list[Any]:
    """Return the leaves in the order of the model's tree, trained ones in its dtypes."""
    trained_leaves: Iterator[Array] = iter(trained)
    fixed_leaves: Iterator[Any] = iter(fixed)
    return [
        next(trained_leaves).astype(leaf.dtype) if flag else next(fixed_leaves)
        for leaf, flag in zip(jax.tree.leaves(model.params), trained_flags(model), strict=True)
    ]


def join_params(model: Model, trained: Sequence[Array], fixed: Sequence[Any]) -> PyTree:
    """Return the parameter tree that `split_params` has split."""
    return jax.tree.unflatten(jax.tree.structure(model.params), join_leaves(model, trained, fixed))


def loss_function(
    model: Model, loss: Loss | None, fixed: Sequence[Any], batch: Batch
) -> Callable[[Sequence[Array]], Array]:
    """Return the loss of a batch as a function of the trained leaves."""

    def function(trained: Sequence[Array]) -> Array:
        outputs = model.apply(join_params(model, trained, fixed), *batch.inputs)
        chosen = choose_loss(loss, outputs, batch.targets)
        return widen(jnp.asarray(chosen.function(outputs, batch.targets)))

    return function
