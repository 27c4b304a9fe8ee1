"""Empirical tangent kernel of a network on a batch."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch, check_examples, fit_model, prepare_inputs
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.trained import SplitParams, join_params, split_params
from jinit.diagnostics.spectra.outputs import gram_matrix, output_rows
from jinit.model import Model, PyTree

_MAX_EXACT_OUTPUTS = 16
"""Largest number of outputs of one example that are all used; more are probed at random."""


@dataclass(frozen=True)
class EmpiricalKernel:
    """Spectrum of a tangent kernel."""

    condition_number: float
    """Largest over smallest eigenvalue; infinite where the smallest is rounding error."""
    largest: float
    """Largest eigenvalue."""
    smallest: float
    """Smallest eigenvalue."""
    trace: float
    """Sum of the eigenvalues."""
    points: int
    """Number of examples, which is the size of the kernel."""
    outputs: int
    """Number of outputs of the network for one example."""
    probes: int
    """Number of random directions of the outputs that were used; 0 if the kernel is exact."""


def tangent_kernel(
    model: Model, params: PyTree, *inputs: PyTree, key: Array | None = None, probes: int = 16
) -> EmpiricalKernel:
    r"""Return the spectrum of the tangent kernel `Θ_ij = Σ_o ⟨∇f_o(x_i), ∇f_o(x_j)⟩ / outputs`.

    The gradients are taken with respect to the trained parameters as they are stored, so that a
    layer counts in proportion to its fan-in. This differs from the parametrization of
    `jinit.theory.ntk`; where all fan-ins are equal, the two kernels are proportional. One row of
    the kernel costs a gradient and a directional derivative of the whole batch for every direction
    of the outputs. Only one gradient is kept in memory at a time.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters.
      *inputs: a batch like the one that the model was traced with, of any number of examples; axis
        0 of the first input enumerates examples. Without any, normal numbers are drawn.
      key: key of the random directions, and of inputs that are not given.
      probes: number of random sign vectors that replace the outputs if there are more than 16.
        The kernel is then an unbiased estimate; its smallest eigenvalue tends to be too small if
        there are few probes.

    Raises:
      TypeError: if `model` is not a Model or `key` is not a key.
      ValueError: if `probes` is below 1, parameters or inputs are not like the model's, nothing is
        trained, the outputs have no axis of examples, or the model cannot be differentiated.

    Reference: Jacot, Gabriel & Hongler, "Neural tangent kernel", 2018; Xiao, Pennington &
    Schoenholz, "Disentangling trainability and generalization in deep neural networks", 2020.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.ones((2, 3))
    >>> kernel = tangent_kernel(trace(lambda w, x: x @ w, w, x), w, x)
    >>> kernel.condition_number, kernel.trace
    (4.0, 5.0)
    """
    if probes < 1:
        raise ValueError(f"tangent_kernel: expected at least 1 probe, got {probes!r}")
    model = fit_model("tangent_kernel", model, inputs)
    batch = prepare_inputs("tangent_kernel", model, inputs, key)
    count = check_examples("tangent_kernel", batch.inputs)
    split = split_params("tangent_kernel", model, params)
    with explain_missing_gradient("tangent_kernel"):
        kernel, outputs = _compute_kernel(model, count, probes, split, batch)
    return _kernel_spectrum(np.asarray(kernel, np.float64), int(outputs), probes)


@jit_recent(3)
def _compute_kernel(
    model: Model, count: int, probes: int, split: SplitParams, batch: Batch
) -> tuple[Array, Array]:
    """Return the kernel, and the number of outputs of one example."""

    def rows(trained: list[Array]) -> Array:
        outputs = model.apply(join_params(model, trained, split.fixed), *batch.inputs)
        return output_rows("tangent_kernel", outputs, count)

    abstract = jax.eval_shape(rows, split.trained)
    size, dtype = abstract.shape[1], abstract.dtype
    if size <= _MAX_EXACT_OUTPUTS:
        directions = jnp.eye(size, dtype=dtype)
    else:
        directions = jax.random.rademacher(batch.key, (probes, size), dtype) / math.sqrt(probes)
    return gram_matrix(rows, split.trained, directions) / size, jnp.asarray(size)


def _kernel_spectrum(kernel: np.ndarray, outputs: int, probes: int) -> EmpiricalKernel:
    points = len(kernel)
    values = np.full(points, math.nan)
    if np.isfinite(kernel).all():
        values = np.linalg.eigvalsh((kernel + kernel.T) / 2)
    largest, smallest = float(values[-1]), float(values[0])
    is_rounding = smallest <= points * np.finfo(np.float32).eps * largest
    return EmpiricalKernel(
        condition_number=math.inf if is_rounding else largest / smallest,
        largest=largest,
        smallest=smallest,
        trace=float(values.sum()),
        points=points,
        outputs=outputs,
        probes=0 if outputs <= _MAX_EXACT_OUTPUTS else probes,
    )
