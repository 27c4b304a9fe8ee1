"""Extreme eigenvalues of the Hessian of the loss, and the largest stable learning rate."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch, fit_model, prepare_loss_batch
from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.trained import SplitParams, loss_function, split_params
from jinit.diagnostics.spectra.krylov import orthogonalize
from jinit.model import Model, PyTree


@dataclass(frozen=True)
class Curvature:
    """Extreme eigenvalues of a Hessian."""

    largest: float
    """Largest eigenvalue λ_max."""
    smallest: float
    """Smallest eigenvalue; negative where the loss has a direction of negative curvature."""
    learning_rate_ceiling: float
    """2/λ_max, above which gradient descent diverges along that direction; infinite if
    λ_max ≤ 0."""
    residual: float
    """The larger `‖Hv - λv‖` of the two eigenpairs, which bounds the error of each eigenvalue."""
    iterations: int
    """Number of products with the Hessian."""


class Extremes(NamedTuple):
    """Extreme eigenvalues of a tridiagonal matrix, and the larger of their residuals."""

    largest: float
    smallest: float
    residual: float


def curvature(
    model: Model,
    params: PyTree,
    *batch: PyTree,
    loss: Loss | None = None,
    key: Array | None = None,
    iterations: int = 32,
) -> Curvature:
    r"""Return the largest and smallest eigenvalue of the Hessian `∂²L/∂θ²`, by Lanczos iteration.

    Each step computes one product of the Hessian with a vector, as the directional derivative of
    the gradient, and orthogonalizes it twice against all previous vectors. One vector of the
    parameters' size per step is kept in memory. After as many steps as there are parameters the
    eigenvalues are exact.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained stay fixed.
      *batch: inputs, then targets, which imply the loss, as in `jinit.diagnose`.
      loss: `loss(outputs, *targets)`, a mean over examples, as in `jinit.diagnose`.
      key: key of the first vector, of a random direction, and of inputs that are not given.
      iterations: number of steps, at least 1; take more if `residual` is too large.

    Raises:
      TypeError: if `model` is not a Model, `key` is not a key or `loss` is not a function.
      ValueError: if `iterations` is below 1, parameters or batch are not like the model's, the
        targets imply no loss, nothing is trained, or the model cannot be differentiated.

    Reference: Lanczos, "An iteration method for the solution of the eigenvalue problem", 1950;
    Ghorbani, Krishnan & Xiao, "An investigation into neural net optimization via Hessian
    eigenvalue density", 2019.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: x @ w, jnp.ones((2, 1)), jnp.ones((2, 2)))
    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> hessian = curvature(model, jnp.ones((2, 1)), x, jnp.zeros((2, 1)))
    >>> (
    ...     round(hessian.largest, 4),
    ...     round(hessian.smallest, 4),
    ...     round(hessian.learning_rate_ceiling, 4),
    ... )
    (4.0, 1.0, 0.5)
    """
    if iterations < 1:
        raise ValueError(f"curvature: expected at least 1 iteration, got {iterations!r}")
    model = fit_model("curvature", model, batch)
    checked = prepare_loss_batch("curvature", model, batch, loss, key)
    split = split_params("curvature", model, params)
    steps = min(iterations, sum(leaf.size for leaf in split.trained))
    with explain_missing_gradient("curvature"):
        alphas, betas = _run_lanczos(model, loss, steps, split, checked)
    extremes = extreme_eigenvalues(np.asarray(alphas, np.float64), np.asarray(betas, np.float64))
    ceiling = math.nan if math.isnan(extremes.largest) else math.inf
    return Curvature(
        largest=extremes.largest,
        smallest=extremes.smallest,
        learning_rate_ceiling=2 / extremes.largest if extremes.largest > 0 else ceiling,
        residual=extremes.residual,
        iterations=steps,
    )


@jit_recent(3)
def _run_lanczos(
    model: Model, loss: Loss | None, steps: int, split: SplitParams, batch: Batch
) -> tuple[Array, Array]:
    """Return the diagonals α and β of the Hessian in the basis of the Lanczos iteration."""
    function = loss_function(model, loss, split.fixed, batch)
    point, unravel = ravel_pytree(split.trained)
    _, product = jax.linearize(jax.grad(lambda flat: function(unravel(flat))), point)
    first = jax.random.normal(jax.random.fold_in(batch.key, 1), point.shape, point.dtype)
    basis = jnp.zeros((steps + 1, point.size), point.dtype)
    basis = basis.at[0].set(first / jnp.linalg.norm(first))

    def step(number: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, alphas, betas = state
        image = product(basis[number])
        alphas = alphas.at[number].set(image @ basis[number])
        scale = jnp.maximum(jnp.abs(alphas).max(), betas.max())
        unit, length = orthogonalize(basis, image, scale, number)
        return basis.at[number + 1].set(unit), alphas, betas.at[number].set(length)

    zeros = jnp.zeros(steps, point.dtype)
    _, alphas, betas = lax.fori_loop(0, steps, step, (basis, zeros, zeros))
    return alphas, betas.at[-1].set(0) if steps == point.size else betas


def extreme_eigenvalues(alphas: np.ndarray, betas: np.ndarray) -> Extremes:
    """Return the extreme eigenvalues, and the larger of their residuals |β_k s_k|."""
    if not (np.isfinite(alphas).all() and np.isfinite(betas).all()):
        return Extremes(math.nan, math.nan, math.nan)
    off_diagonal = np.diag(betas[:-1], 1)
    values, vectors = np.linalg.eigh(np.diag(alphas) + off_diagonal + off_diagonal.T)
    residual = betas[-1] * np.abs(vectors[-1, [0, -1]]).max()
    return Extremes(float(values[-1]), float(values[0]), float(residual))
