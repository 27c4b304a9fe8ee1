"""Measure an optimizer's first update, and the loss along it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.floating import floating_leaves, widen
from jinit.diagnostics.measuring.losses import Loss, OutputDirection
from jinit.diagnostics.measuring.optimizers import (
    compute_update,
    trained_leaves,
    trained_paths,
    trained_tree,
)
from jinit.diagnostics.measuring.statistics import Scalar
from jinit.diagnostics.measuring.trained import (
    SplitParams,
    join_params,
    loss_function,
    split_params,
)
from jinit.model import Model, PyTree

HESSIAN_PRODUCTS = 6
"""Lanczos steps, begun at the gradient, for the largest eigenvalue of the Hessian. Four steps are
within 3 % of eight in MLPs and transformers at initialization, where the gradient lies mostly in
the directions of largest curvature."""

_TINY = 1e-37
"""Smallest divisor: the smallest normal float32 is 1.2e-38."""


class FirstUpdate(NamedTuple):
    """The first update u of all parameters, the gradient g, and the Hessian H of the loss.

    Vectors are divided by their largest entry, so that nothing overflows or underflows.
    """

    loss: Scalar
    loss_after: Scalar
    """Loss after the update."""
    update_largest: Scalar
    """Largest absolute entry of u."""
    gradient_largest: Scalar
    """Largest absolute entry of g."""
    update_norm: Scalar
    """Norm of u divided by its largest entry."""
    gradient_norm: Scalar
    """Norm of g divided by its largest entry."""
    slope: Scalar
    """g·u, both divided by their largest entries."""
    bend: Scalar
    """u·Hu, with u divided by its largest entry; NaN without second derivatives."""
    alphas: Array
    """Diagonal of H in the basis of the Lanczos iteration."""
    betas: Array
    """Its off-diagonal, and the length of what is left."""
    updates: dict[str, Array]
    """The update of each trained parameter, by path."""


def first_update(
    model: Model,
    params: PyTree,
    batch: Batch,
    loss: Loss | None,
    optimizer: Any,
    products: int,
) -> FirstUpdate:
    """Measure the first update of an optimizer.

    The function is pure, so that it can be jitted and vmapped. Without targets the loss is half of
    the squared distance to the outputs moved by minus the random direction: it has the gradient of
    the random direction, and a curvature.

    Args:
      model: the traced network.
      params: its parameters.
      batch: inputs and targets.
      loss: the user's loss, or None.
      optimizer: an optax transformation.
      products: number of products with the Hessian for its largest eigenvalue; 0 measures no
        second derivative.
    """
    split = split_params("diagnose", model, params)
    function = _training_loss(model, loss, split, batch)
    point, unravel = ravel_pytree(split.trained)
    (value, gradient), push = _linearize(lambda flat: function(unravel(flat)), point, products)
    updates = _compute_updates(model, optimizer, split, unravel(gradient), value)
    update, _ = ravel_pytree([widen(leaf) for leaf in updates])
    update_unit, update_largest = _divide_by_largest(update)
    gradient_unit, gradient_largest = _divide_by_largest(gradient)
    alphas, betas = _lanczos(push, gradient_unit, products)
    bend = push(update_unit) @ update_unit if products else jnp.full((), jnp.nan)
    return FirstUpdate(
        loss=value,
        loss_after=function(unravel(point + update)),
        update_largest=update_largest,
        gradient_largest=gradient_largest,
        update_norm=jnp.linalg.norm(update_unit),
        gradient_norm=jnp.linalg.norm(gradient_unit),
        slope=gradient_unit @ update_unit,
        bend=bend,
        alphas=alphas,
        betas=betas,
        updates=dict(zip(trained_paths(model), updates, strict=True)),
    )


def _linearize(
    function: Callable[[Array], Array], point: Array, products: int
) -> tuple[tuple[Array, Array], Callable[[Array], Array]]:
    """Return the value and gradient of a function, and the product of its Hessian with a vector."""
    if not products:
        return jax.value_and_grad(function)(point), jnp.zeros_like
    results, push = jax.linearize(jax.value_and_grad(function), point)
    return results, lambda vector: push(vector)[1]


def _training_loss(
    model: Model, loss: Loss | None, split: SplitParams, batch: Batch
) -> Callable[[Sequence[Array]], Array]:
    """Return the loss as a function of the trained leaves."""
    direction = batch.targets[0] if batch.targets else None
    if not isinstance(direction, OutputDirection):
        return loss_function(model, loss, split.fixed, batch)
    here = model.apply(join_params(model, *split), *batch.inputs)
    goals = [
        widen(leaf) - numbers
        for leaf, numbers in zip(floating_leaves(here), direction.leaves, strict=True)
    ]

    def function(trained: Sequence[Array]) -> Array:
        outputs = model.apply(join_params(model, trained, split.fixed), *batch.inputs)
        pairs = zip(floating_leaves(outputs), goals, strict=True)
        return sum((_half_squared_distance(leaf, goal) for leaf, goal in pairs), jnp.zeros(()))

    return function


def _half_squared_distance(output: Array, goal: Array) -> Array:
    """Return half of the squared distance, mean over the examples of axis 0."""
    return jnp.sum((widen(output) - goal) ** 2) / (2 * output.shape[0] if output.ndim else 2)


def _compute_updates(
    model: Model,
    optimizer: Any,
    split: SplitParams,
    gradient: Sequence[Array],
    value: Array,
) -> list[Array]:
    """Return the optimizer's first updates of the trained parameters, given in their dtypes."""
    dtypes = [leaf.dtype for leaf in trained_leaves(model)]
    values, slopes = (
        [leaf.astype(dtype) for leaf, dtype in zip(leaves, dtypes, strict=True)]
        for leaves in (split.trained, gradient)
    )
    params = trained_tree(model, values)
    updates, _ = compute_update(
        optimizer, optimizer.init(params), params, trained_tree(model, slopes), value
    )
    return jax.tree.leaves(updates)


def _divide_by_largest(vector: Array) -> tuple[Array, Array]:
    """Return a vector divided by its largest absolute entry, and that entry."""
    largest = jnp.abs(vector).max()
    return vector / jnp.maximum(largest, _TINY), largest


def _lanczos(product: Callable[[Array], Array], first: Array, steps: int) -> tuple[Array, Array]:
    """Return the tridiagonal matrix of a few Lanczos steps, which keep two vectors in memory."""

    def step(
        state: tuple[Array, Array, Array], _: None
    ) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        previous, current, beta = state
        image = product(current) - beta * previous
        alpha = image @ current
        image = image - alpha * current
        length = jnp.linalg.norm(image)
        return (current, image / jnp.maximum(length, _TINY), length), (alpha, length)

    start = first / jnp.maximum(jnp.linalg.norm(first), _TINY)
    state = (jnp.zeros_like(start), start, jnp.zeros((), start.dtype))
    _, (alphas, betas) = lax.scan(step, state, None, length=min(steps, first.size))
    return alphas, betas
