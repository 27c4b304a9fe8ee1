"""Extreme eigenvalues of the Hessian of the loss, and the learning rate that they allow."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.batch import Batch, with_targets
from jinit.diagnostics.krylov import fresh
from jinit.diagnostics.losses import Loss
from jinit.diagnostics.trained import batch_loss, parts
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
    given = with_targets("curvature", model, batch, loss, key)
    own, fixed = parts("curvature", model, params)
    steps = min(iterations, sum(leaf.size for leaf in own))
    found = _tridiagonal(model, loss, steps, own, fixed, given)
    largest, smallest, residual = _ends(*(np.asarray(each, np.float64) for each in found))
    ceiling = math.nan if math.isnan(largest) else math.inf
    return Curvature(largest, smallest, 2 / largest if largest > 0 else ceiling, residual, steps)


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
