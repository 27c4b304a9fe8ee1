"""Extreme eigenvalues of the Hessian of the loss, and the learning rate that they allow."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.audit import leaves_of
from jinit.diagnostics.diagnosis import _batch
from jinit.diagnostics.losses import Loss, chosen
from jinit.diagnostics.statistics import wide
from jinit.model import Model


@dataclass(frozen=True)
class Curvature:
    """Extreme eigenvalues of a Hessian."""

    largest: float
    """Largest eigenvalue λ_max."""
    smallest: float
    """Smallest eigenvalue; negative where the loss has a direction that bends down."""
    learning_rate_ceiling: float
    """2/λ_max, above which gradient descent climbs along that direction; infinite if λ_max ≤ 0."""
    residual: float
    """Larger one of ‖Hv - λv‖ of the two pairs: an eigenvalue lies within that of each."""
    iterations: int
    """Products with the Hessian that were made."""


class Batch(NamedTuple):
    """Inputs, targets, and a key for what is random."""

    inputs: list[Any]
    rest: list[Any]
    key: Array


def curvature(
    model: Model,
    params: Any,
    *batch: Any,
    loss: Loss | None = None,
    key: Array | None = None,
    iterations: int = 32,
) -> Curvature:
    r"""Largest and smallest eigenvalue of the Hessian `∂²L/∂θ²` of the loss, by Lanczos iteration.

    Each step makes one product of the Hessian with a vector, the directional derivative of the
    gradient, and orthogonalizes it twice against all vectors before; as many vectors of the
    parameters' size as there are steps are kept in memory. After as many steps as there are
    parameters the eigenvalues are exact.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained stay as they are.
      batch, loss: as in `jinit.diagnose`: inputs, then targets, which suggest the loss.
      key: of the first vector, of a random direction, and of inputs that are not given.
      iterations: steps, at least 1; more of them if `residual` is too large.

    Raises:
      TypeError: `model` is no Model.
      ValueError: parameters or a batch unlike the model's; targets that suggest no loss; nothing
        that is trained; no iterations.

    Reference: Lanczos, "An iteration method for the solution of the eigenvalue problem", 1950;
    Ghorbani, Krishnan & Xiao, "An investigation into neural net optimization via Hessian
    eigenvalue density", 2019.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((2, 1)), jnp.ones((2, 2)))
    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> found = curvature(model, jnp.ones((2, 1)), x, jnp.zeros((2, 1)))
    >>> [round(each, 4) for each in (found.largest, found.smallest, found.learning_rate_ceiling)]
    [4.0, 1.0, 0.5]
    """
    if iterations < 1:
        raise ValueError(f"curvature: expected at least 1 iteration, got {iterations!r}")
    given = prepared("curvature", model, batch, key)
    own, fixed = parts("curvature", model, params)
    steps = min(iterations, sum(leaf.size for leaf in own))
    found = _tridiagonal(model, loss, steps, own, fixed, given)
    largest, smallest, residual = _ends(*(np.asarray(each, np.float64) for each in found))
    ceiling = math.nan if math.isnan(largest) else math.inf
    return Curvature(largest, smallest, 2 / largest if largest > 0 else ceiling, residual, steps)


def prepared(name: str, model: Model, batch: Sequence[Any], key: Array | None) -> Batch:
    """A batch by the conventions of `jinit.diagnose`."""
    if not isinstance(model, Model):
        raise TypeError(
            f"{name}: expected a Model, got {type(model).__name__}; make one with "
            "jinit.linen.trace(module, x), jinit.nnx.trace(constructor, x) or "
            "jinit.trace(apply, params, x)"
        )
    key = jax.random.key(0) if key is None else key
    return Batch(*_batch(model, batch, key), key)


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
        value = chosen(loss, outputs, batch.rest)[0](outputs, batch.rest, batch.key)
        return wide(jnp.asarray(value))

    return function


def fresh(basis: Array, vector: Array, scale: Array, number: Array) -> tuple[Array, Array]:
    """The direction of a vector's part off the rows of a basis, and the length of that part.

    Where nothing but rounding is left, the direction of a wave off the basis, and length 0.
    """
    info = jnp.finfo(vector.dtype)

    def off(_: int, vector: Array) -> Array:
        return vector - (basis @ vector) @ basis

    rest = off(0, vector)
    lost = jnp.linalg.norm(rest) <= 10 * info.eps * scale
    wave = jnp.sin(0.618 * (jnp.arange(vector.size, dtype=vector.dtype) + 37.1 * number) ** 2)
    rest = lax.fori_loop(0, 2, off, jnp.where(lost, wave, rest))
    length = jnp.linalg.norm(rest)
    return rest / jnp.maximum(length, info.tiny), jnp.where(lost, 0, length)


def _trained(model: Model) -> list[bool]:
    return [
        jnp.issubdtype(leaf.dtype, jnp.floating) and path not in model.untrained
        for path, leaf in zip(model.paths, jax.tree.leaves(model.params), strict=True)
    ]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _tridiagonal(
    model: Model, loss: Loss | None, steps: int, own: Any, fixed: Any, batch: Batch
) -> tuple[Array, Array]:
    """Diagonals α and β of the Hessian in the basis that Lanczos iteration makes."""
    function = batch_loss(model, loss, fixed, batch)
    at, tree = ravel_pytree(own)
    _, product = jax.linearize(jax.grad(lambda flat: function(tree(flat))), at)
    first = jax.random.normal(jax.random.fold_in(batch.key, 1), at.shape, at.dtype)
    basis = jnp.zeros((steps + 1, at.size), at.dtype).at[0].set(first / jnp.linalg.norm(first))

    def step(number: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, alphas, betas = state
        bent = product(basis[number])
        alphas = alphas.at[number].set(bent @ basis[number])
        scale = jnp.maximum(jnp.abs(alphas).max(), betas.max())
        unit, length = fresh(basis, bent, scale, number)
        return basis.at[number + 1].set(unit), alphas, betas.at[number].set(length)

    _, alphas, betas = lax.fori_loop(0, steps, step, (basis, *jnp.zeros((2, steps), at.dtype)))
    return alphas, betas.at[-1].set(0) if steps == at.size else betas


def _ends(alphas: np.ndarray, betas: np.ndarray) -> tuple[float, float, float]:
    """Extreme eigenvalues, and the larger one of their residuals |β_k s_k|."""
    if not (np.isfinite(alphas).all() and np.isfinite(betas).all()):
        return math.nan, math.nan, math.nan
    inner = np.diag(betas[:-1], 1)
    values, vectors = np.linalg.eigh(np.diag(alphas) + inner + inner.T)
    residual = betas[-1] * np.abs(vectors[-1, [0, -1]]).max()
    return float(values[-1]), float(values[0]), float(residual)
