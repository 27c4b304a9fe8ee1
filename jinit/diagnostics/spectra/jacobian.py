"""Singular values of the Jacobian of a network's outputs with respect to its inputs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import check_examples, fit_model, prepare_inputs
from jinit.diagnostics.measuring.floating import floating_leaves, is_floating, widen
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.spectra.krylov import bidiagonalize, jacobian_products
from jinit.diagnostics.spectra.outputs import output_rows
from jinit.model import Model, PyTree

_MAX_EXACT_SIZE = 256
"""Largest min(inputs, outputs) at which the iteration runs until the space is exhausted."""


@dataclass(frozen=True)
class Jacobian:
    """Singular values of ∂f(x)/∂x for single examples x."""

    largest: float
    """Largest singular value, median over examples."""
    smallest: float
    """Smallest of the min(inputs, outputs) singular values, median over examples; an upper bound
    if not `exact`."""
    mean_square: float
    """`‖J‖_F² / inputs`, mean over examples: the factor by which a small random change of the input
    grows, squared; 1 for a network that keeps distances."""
    mean_square_error: float
    """Standard error of `mean_square` due to the random probes; 0 if it is exact."""
    residual: float
    """Largest `‖Jᵀu - σv‖` of any example's largest singular value, which bounds its error."""
    exact: bool
    """True if all singular values were found, up to rounding."""
    inputs: int
    """Number of inputs of one example."""
    outputs: int
    """Number of outputs of one example."""
    examples: int
    """Number of examples that were measured."""
    singular_values: tuple[float, ...]
    """All singular values from the largest to the smallest, each the median over examples; empty if
    not `exact`."""


class _Settings(NamedTuple):
    """Static settings of the measurement."""

    batch_size: int
    is_independent: bool
    """True if an example is run in a batch of one."""
    iterations: int
    probes: int


class _ExampleValues(NamedTuple):
    """Measurements of each example."""

    alphas: Array
    """Diagonal α of the bidiagonal matrix."""
    betas: Array
    """Superdiagonal β of the bidiagonal matrix; its last entry gives the residual."""
    probe_squares: Array
    """`‖J v‖²` for each random direction v; empty if all singular values are found."""
    sizes: Array
    """Numbers of inputs and outputs."""


def jacobian(
    model: Model,
    params: PyTree,
    *inputs: PyTree,
    key: Array | None = None,
    probes: int = 16,
    iterations: int = 48,
    examples: int = 4,
) -> Jacobian:
    r"""Return the largest, smallest and mean squared singular value of the input-output Jacobian.

    The method is Golub-Kahan bidiagonalization, with each vector orthogonalized twice against all
    previous ones. With at most 256 inputs or outputs it runs until the space is exhausted, and all
    singular values are exact. Otherwise it runs for `iterations` steps, and the mean square is
    estimated by `E‖J v‖²/inputs` over normal v. A step computes one product with J and one with Jᵀ.
    An example is run in a batch of one if its outputs are then the same, and otherwise within its
    batch, as batch normalization requires.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters.
      *inputs: a batch like the one that the model was traced with, of any number of examples. Axis
        0 of the first input enumerates examples, as does axis 0 of every other input of the same
        length. Without any, normal numbers are drawn.
      key: key of the probes, of the first vectors, and of inputs that are not given.
      probes: number of random directions for each example, at least 2.
      iterations: number of steps, at least 1; take more if `residual` is too large.
      examples: number of examples to measure, spread evenly over the batch; at least 1.

    Raises:
      TypeError: if `model` is not a Model or `key` is not a key.
      ValueError: if no input holds floating-point numbers for each example, parameters or inputs
        are not like the model's, the outputs have no axis of examples, the model cannot be
        differentiated, or `probes`, `iterations` or `examples` is too small.

    Reference: Golub & Kahan, "Calculating the singular values and pseudo-inverse of a matrix",
    1965; Pennington, Schoenholz & Ganguli, "Resurrecting the sigmoid in deep learning through
    dynamical isometry", 2017; Hutchinson, "A stochastic estimator of the trace", 1990.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> w, x = jnp.diag(jnp.array([3.0, 2.0, 1.0])), jnp.ones((2, 3))
    >>> spectrum = jacobian(trace(lambda w, x: x @ w, w, x), w, x)
    >>> round(spectrum.largest, 4), round(spectrum.smallest, 4), round(spectrum.mean_square, 4)
    (3.0, 1.0, 4.6667)
    """
    _check_minimum(probes, 2, "2 probes")
    _check_minimum(iterations, 1, "1 iteration")
    _check_minimum(examples, 1, "1 example")
    model = fit_model("jacobian", model, inputs)
    batch = prepare_inputs("jacobian", model, inputs, key)
    count = check_examples("jacobian", batch.inputs)
    _check_floating_input(batch.inputs, count)
    leaves = list(model.by_path(params).values())
    tree = jax.tree.unflatten(jax.tree.structure(model.params), leaves)
    settings = _Settings(
        batch_size=count,
        is_independent=count == 1 or _is_independent(model, count, tree, batch.inputs),
        iterations=iterations,
        probes=probes,
    )
    indices = np.unique(np.linspace(0, count - 1, min(examples, count)).round().astype(int))
    with explain_missing_gradient("jacobian"):
        values = _measure_examples(model, settings, tree, batch.inputs, indices, batch.key)
    return _summarize_examples(*(np.asarray(array, np.float64) for array in values))


def _check_minimum(value: int, minimum: int, expected: str) -> None:
    if value < minimum:
        raise ValueError(f"jacobian: expected at least {expected}, got {value!r}")


def _check_floating_input(inputs: Sequence[PyTree], count: int) -> None:
    """Raise if there is no input with respect to which the outputs can be differentiated."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    if not any(_is_differentiable(leaf, count) for leaf in leaves):
        seen = ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves)
        raise ValueError(
            "jacobian: no input holds floating-point numbers for each example, so there is nothing "
            f"to differentiate by (inputs are {seen}); for tokens, give embeddings: trace the part "
            "of the network after its embedding"
        )


def _is_differentiable(leaf: Array, count: int) -> bool:
    return _has_examples(leaf, count) and is_floating(leaf)


def _has_examples(leaf: Array, count: int) -> bool:
    return leaf.ndim > 0 and leaf.shape[0] == count


def _single_example(tree: PyTree, index: Any, count: int) -> PyTree:
    """Return one example as a batch of one; arrays without an axis of examples are unchanged."""

    def select(leaf: Any) -> Array:
        array = jnp.asarray(leaf)
        return lax.dynamic_slice_in_dim(array, index, 1) if _has_examples(array, count) else array

    return jax.tree.map(select, tree)


def _is_independent(model: Model, count: int, params: PyTree, inputs: Sequence[PyTree]) -> bool:
    """Return True if the network accepts a batch of one, and its output is then the same."""
    try:
        return bool(_has_equal_output(model, count, params, inputs))
    except (TypeError, ValueError):
        return False


@jit_recent(2)
def _has_equal_output(model: Model, count: int, params: PyTree, inputs: Sequence[PyTree]) -> Array:
    """Compare the outputs of the last example within its batch and in a batch of one."""
    outputs = model.apply(params, *inputs)
    single = model.apply(params, *_single_example(inputs, count - 1, count))
    expected = output_rows("jacobian", outputs, count)[-1:]
    difference = output_rows("jacobian", single, 1) - expected
    epsilon = max(float(jnp.finfo(leaf.dtype).eps) for leaf in floating_leaves(outputs))
    return jnp.linalg.norm(difference) <= epsilon**0.5 * jnp.linalg.norm(expected)


@jit_recent(2)
def _measure_examples(
    model: Model,
    settings: _Settings,
    params: PyTree,
    inputs: Sequence[PyTree],
    indices: Array,
    key: Array,
) -> _ExampleValues:
    def measure_example(index: Array) -> _ExampleValues:
        if settings.is_independent:
            single = _single_example(inputs, index, settings.batch_size)
            function, point = _example_function(model, single, 0, 1, params)
        else:
            function, point = _example_function(model, inputs, index, settings.batch_size, params)
        values, forward, backward = jacobian_products(function, point)
        rank = min(point.size, values.size)
        is_exact = rank <= _MAX_EXACT_SIZE
        example_key = jax.random.fold_in(key, index)
        alphas, betas = bidiagonalize(
            (forward, backward),
            (point, values),
            rank if is_exact else settings.iterations,
            example_key,
        )

        probe_squares = jnp.zeros(0)
        if not is_exact:
            keys = jax.random.split(example_key, settings.probes)
            probe_squares = lax.map(
                lambda key: jnp.sum(forward(jax.random.normal(key, point.shape, point.dtype)) ** 2),
                keys,
            )
        return _ExampleValues(
            alphas=alphas,
            betas=betas,
            probe_squares=probe_squares,
            sizes=jnp.array([point.size, values.size]),
        )

    return lax.map(measure_example, indices)


def _example_function(
    model: Model, inputs: Sequence[PyTree], index: Any, count: int, params: PyTree
) -> tuple[Callable[[Array], Array], Array]:
    """Return one example's outputs as a function of its inputs, both flat, and the inputs."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, inputs))
    flags = [_is_differentiable(leaf, count) for leaf in leaves]
    differentiable = [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]
    point, unravel = ravel_pytree(
        [widen(_single_example(leaf, index, count)) for leaf in differentiable]
    )

    def function(flat: Array) -> Array:
        values = iter(unravel(flat))
        replaced = [
            lax.dynamic_update_slice_in_dim(leaf, next(values).astype(leaf.dtype), index, 0)
            if flag
            else leaf
            for leaf, flag in zip(leaves, flags, strict=True)
        ]
        outputs = model.apply(params, *tree.unflatten(replaced))
        return output_rows("jacobian", outputs, count)[index]

    return function, point


def _summarize_examples(
    alphas: np.ndarray, betas: np.ndarray, probe_squares: np.ndarray, sizes: np.ndarray
) -> Jacobian:
    inputs, outputs = (int(size) for size in sizes[0])
    is_exact = min(inputs, outputs) <= _MAX_EXACT_SIZE
    values, residual = np.full(alphas.shape, math.nan), math.nan
    if np.isfinite(alphas).all() and np.isfinite(betas).all():
        diagonals = zip(alphas, betas, strict=True)
        matrices = [np.diag(alpha) + np.diag(beta[:-1], 1) for alpha, beta in diagonals]
        left, values, _ = np.linalg.svd(np.stack(matrices))
        residual = float(np.abs(betas[:, -1] * left[:, -1, 0]).max())
    squares = (values**2).sum(1, keepdims=True) if is_exact else probe_squares
    return Jacobian(
        largest=float(np.median(values[:, 0])),
        smallest=float(np.median(values[:, -1])),
        mean_square=float(squares.mean()) / inputs,
        mean_square_error=0.0 if is_exact else _standard_error(squares) / inputs,
        residual=residual,
        exact=is_exact,
        inputs=inputs,
        outputs=outputs,
        examples=len(alphas),
        singular_values=tuple(np.median(values, 0).tolist()) if is_exact else (),
    )


def _standard_error(squares: np.ndarray) -> float:
    """Return the standard error of the mean over examples and probes, due to the probes."""
    return math.sqrt(float(squares.var(1, ddof=1).mean()) / squares.size)
