"""The tangent kernel of a network on a batch, as it is: at this width and with these weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.diagnostics.batch import prepared
from jinit.diagnostics.krylov import both_ways
from jinit.diagnostics.statistics import wide
from jinit.diagnostics.trained import parts, whole
from jinit.model import Model

_FEW_OUTPUTS = 16
"""With at most so many numbers for an example, all of them are used."""


@dataclass(frozen=True)
class EmpiricalKernel:
    """Spectrum of a tangent kernel."""

    condition_number: float
    """Largest over smallest eigenvalue; infinite where rounding hides the smallest."""
    largest: float
    """Largest eigenvalue."""
    smallest: float
    """Smallest eigenvalue."""
    trace: float
    """Sum of the eigenvalues."""
    points: int
    """Examples, which is the size of the kernel."""
    outputs: int
    """Numbers that the network makes of one example."""
    probes: int
    """Random directions of the outputs that the kernel was estimated from; 0 if it is exact."""


def tangent_kernel(
    model: Model, params: Any, *inputs: Any, key: Array | None = None, probes: int = 16
) -> EmpiricalKernel:
    r"""Eigenvalues of the neural tangent kernel `Θ_ij = Σ_o ⟨∇f_o(x_i), ∇f_o(x_j)⟩ / outputs`.

    The gradients are by the trained parameters as they are stored, so that a layer counts with its
    fan-in, other than in the parametrization of `jinit.theory.ntk`; where all fan-ins are equal,
    the two kernels are proportional. One row of the kernel costs a gradient and a directional
    derivative of the whole batch for every direction of the outputs; no more than one gradient is
    in memory at a time.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters.
      inputs: a batch like that which the model was traced with; axis 0 of the first enumerates
        examples. Without any, normal numbers.
      key: of the random directions, and of inputs that are not given.
      probes: random signs in place of outputs if there are more than 16. The kernel is then an
        unbiased estimate; its smallest eigenvalue tends to be too small if probes are few.

    Raises:
      TypeError: `model` is no Model.
      ValueError: inputs unlike the model's; outputs without an axis of examples; no probes.

    Reference: Jacot, Gabriel & Hongler, "Neural tangent kernel", 2018; Xiao, Pennington &
    Schoenholz, "Disentangling trainability and generalization in deep neural networks", 2020.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.ones((2, 3))
    >>> found = tangent_kernel(trace(lambda w, x: x @ w, w, x), w, x)
    >>> found.condition_number, found.trace
    (4.0, 5.0)
    """
    if probes < 1:
        raise ValueError(f"tangent_kernel: expected at least 1 probe, got {probes!r}")
    batch = prepared("tangent_kernel", model, inputs, key)
    if batch.rest:
        raise ValueError(
            f"tangent_kernel: the model takes {len(model.inputs)} inputs, got {len(inputs)}; a "
            "kernel has no targets, so leave them out"
        )
    count = examples_of("tangent_kernel", batch.inputs)
    own, fixed = parts("tangent_kernel", model, params)
    kernel, outputs = _kernel(model, count, probes, own, fixed, batch.inputs, batch.key)
    found = np.asarray(kernel, np.float64)
    outputs = int(outputs)
    return _spectrum(found, outputs, 0 if outputs <= _FEW_OUTPUTS else probes)


def examples_of(name: str, inputs: Sequence[Any]) -> int:
    """Number of examples: the length of axis 0 of the first input."""
    leaves = jax.tree.leaves(list(inputs))
    if not leaves or not np.ndim(leaves[0]):
        seen = "no input" if not leaves else "a number as the first input"
        raise ValueError(
            f"{name}: axis 0 of the first input enumerates examples, but there is {seen}; trace "
            "the model with a batch of examples"
        )
    return int(np.shape(leaves[0])[0])


def rows(name: str, outputs: Any, count: int) -> Array:
    """All floating-point outputs as an array (examples, numbers of one example)."""
    leaves = [leaf for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    bad = [leaf.shape for leaf in leaves if not leaf.ndim or leaf.shape[0] != count]
    if bad or not leaves:
        seen = f"there is one of shape {bad[0]}" if bad else "there is none"
        raise ValueError(
            f"{name}: axis 0 of every floating-point output has to enumerate the {count} examples, "
            f"but {seen}; trace a function that returns an array with a row for each example"
        )
    return jnp.concatenate([wide(leaf).reshape(count, -1) for leaf in leaves], 1)


def gram(function: Callable[[Any], Array], at: Any, directions: Array) -> Array:
    """`Σ_d ⟨∇(d·f_i), ∇(d·f_j)⟩` of a function to an array (i, outputs), one gradient at a time."""
    values, forward, backward = both_ways(function, at)
    count = values.shape[0]

    def row(index: Array) -> Array:
        def of(direction: Array) -> Array:
            gradient = backward(jnp.zeros_like(values).at[index].set(direction))
            return forward(gradient) @ direction

        return lax.map(of, directions).sum(0)

    return lax.map(row, jnp.arange(count))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _kernel(
    model: Model, count: int, probes: int, own: Any, fixed: Any, inputs: Any, key: Array
) -> tuple[Array, Array]:
    def function(own: Any) -> Array:
        return rows("tangent_kernel", model.apply(whole(model, own, fixed), *inputs), count)

    outputs = jax.eval_shape(function, own)
    size, dtype = outputs.shape[1], outputs.dtype
    if size <= _FEW_OUTPUTS:
        directions = jnp.eye(size, dtype=dtype)
    else:
        directions = jax.random.rademacher(key, (probes, size), dtype) / math.sqrt(probes)
    return gram(function, own, directions) / size, jnp.asarray(size)


def _spectrum(kernel: np.ndarray, outputs: int, probes: int) -> EmpiricalKernel:
    points = len(kernel)
    values = np.full(points, math.nan)
    if np.isfinite(kernel).all():
        values = np.linalg.eigvalsh((kernel + kernel.T) / 2)
    largest, smallest = float(values[-1]), float(values[0])
    hidden = smallest <= points * np.finfo(np.float32).eps * largest
    condition = math.inf if hidden else largest / smallest
    return EmpiricalKernel(
        condition, largest, smallest, float(values.sum()), points, outputs, probes
    )
