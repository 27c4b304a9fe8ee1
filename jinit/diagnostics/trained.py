"""What is trained of a network, and its loss as a function of that."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.audit import leaves_of
from jinit.diagnostics.batch import Batch
from jinit.diagnostics.losses import Loss, chosen
from jinit.diagnostics.statistics import wide
from jinit.model import Model


def parts(name: str, model: Model, params: Any) -> tuple[list[Array], list[Any]]:
    """Leaves that are trained, in float32 at least, and the others."""
    leaves = leaves_of(model, params)
    flags = _trained(model)
    own = [wide(jnp.asarray(leaf)) for leaf, flag in zip(leaves, flags, strict=True) if flag]
    if not own:
        raise ValueError(
            f"{name}: none of the model's {len(leaves)} parameters is trained: it needs at least "
            "one floating-point array that is no state"
        )
    return own, [leaf for leaf, flag in zip(leaves, flags, strict=True) if not flag]


def whole(model: Model, own: Sequence[Array], fixed: Sequence[Any]) -> Any:
    """The tree of parameters, in their own dtypes, from the two lists of `parts`."""
    given, others = iter(own), iter(fixed)
    leaves, tree = jax.tree.flatten(model.params)
    return tree.unflatten(
        next(given).astype(leaf.dtype) if flag else next(others)
        for leaf, flag in zip(leaves, _trained(model), strict=True)
    )


def batch_loss(
    model: Model, loss: Loss | None, fixed: Sequence[Any], batch: Batch
) -> Callable[[Sequence[Array]], Array]:
    """The loss of a batch as a function of the trained leaves."""

    def function(own: Sequence[Array]) -> Array:
        outputs = model.apply(whole(model, own, fixed), *batch.inputs)
        value = chosen(loss, outputs, batch.rest)[0](outputs, batch.rest)
        return wide(jnp.asarray(value))

    return function


def _trained(model: Model) -> list[bool]:
    return [
        jnp.issubdtype(leaf.dtype, jnp.floating) and path not in model.untrained
        for path, leaf in zip(model.paths, jax.tree.leaves(model.params), strict=True)
    ]
