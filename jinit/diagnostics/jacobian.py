"""Singular values of the Jacobian of a network's outputs by its inputs, example by example."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.audit import leaves_of
from jinit.diagnostics.batch import prepared
from jinit.diagnostics.krylov import both_ways, fresh
from jinit.diagnostics.statistics import wide
from jinit.diagnostics.tangent import examples_of, rows
from jinit.model import Model

_ALL = 256
"""Up to this size the iteration goes on until nothing is left."""


@dataclass(frozen=True)
class Jacobian:
    """Singular values of ∂f(x)/∂x, of one example."""

    largest: float
    """Largest singular value, median over examples."""
    smallest: float
    """The least of min(inputs, outputs) singular values, median over examples; if not `exact`,
    no more than an upper bound."""
    mean_square: float
    """`‖J‖_F² / inputs`, mean over examples: what a small random change of the input is multiplied
    by, squared; 1 for a network that keeps distances."""
    mean_square_error: float
    """Standard error of that, from the random probes; 0 if it is exact."""
    residual: float
    """Largest `‖Jᵀu - σv‖` of any example's largest singular value, which bounds its error."""
    exact: bool
    """Whether all singular values were found, to rounding."""
    inputs: int
    outputs: int
    examples: int
    """Examples that were looked at; `inputs` and `outputs` are the numbers of one of them."""


def jacobian(
    model: Model,
    params: Any,
    *inputs: Any,
    key: Array | None = None,
    probes: int = 16,
    iterations: int = 48,
    examples: int = 4,
) -> Jacobian:
    r"""Largest, smallest and mean squared singular value of the Jacobian of outputs by inputs.

    Golub-Kahan bidiagonalization, each vector being orthogonalized twice against all before. With
    at most 256 inputs or outputs it goes on until the space is exhausted, and all singular values
    are exact; otherwise for `iterations` steps, and `E‖J v‖²/inputs` over normal v is the mean
    square. A step makes one product with J and one with Jᵀ. An example is run by itself if its
    outputs are then the same, and else within its batch, as batch normalization needs it.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters.
      inputs: a batch like that which the model was traced with; axis 0 of the first enumerates
        examples, and so does that of all others of the same length. Without any, normal numbers.
      key: of the probes, the first vectors, and of inputs that are not given.
      probes: random directions for each example, at least 2.
      iterations: steps, at least 1; more of them if `residual` is too large.
      examples: how many to look at, spread evenly over the batch.

    Raises:
      TypeError: `model` is no Model.
      ValueError: no input of floating-point numbers for each example; parameters or inputs unlike
        the model's; outputs without an axis of examples; a number that is too small.

    Reference: Golub & Kahan, "Calculating the singular values and pseudo-inverse of a matrix",
    1965; Pennington, Schoenholz & Ganguli, "Resurrecting the sigmoid in deep learning through
    dynamical isometry", 2017; Hutchinson, "A stochastic estimator of the trace", 1990.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> w, x = jnp.diag(jnp.array([3.0, 2.0, 1.0])), jnp.ones((2, 3))
    >>> found = jacobian(trace(lambda w, x: x @ w, w, x), w, x)
    >>> [round(each, 4) for each in (found.largest, found.smallest, found.mean_square)]
    [3.0, 1.0, 4.6667]
    """
    least = {"probes": (probes, 2), "iterations": (iterations, 1), "examples": (examples, 1)}
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise ValueError(f"jacobian: expected at least {lowest} {name}, got {value!r}")
    batch = prepared("jacobian", model, inputs, key)
    if batch.rest:
        raise ValueError(
            f"jacobian: the model takes {len(model.inputs)} inputs, got {len(inputs)}; a Jacobian "
            "has no targets, so leave them out"
        )
    count = examples_of("jacobian", batch.inputs)
    _check_floats(batch.inputs, count)
    whole = jax.tree.unflatten(jax.tree.structure(model.params), leaves_of(model, params))
    alone = count == 1 or _independent(model, count, whole, batch.inputs)
    seen = np.unique(np.linspace(0, count - 1, min(examples, count)).round().astype(int))
    numbers = count, alone, iterations, probes
    found = _measured(model, numbers, whole, batch.inputs, seen, batch.key)
    return _jacobian(*(np.asarray(each, np.float64) for each in found))


def _check_floats(inputs: Any, count: int) -> None:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    if not any(_moves(leaf, count) for leaf in leaves):
        seen = ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves)
        raise ValueError(
            "jacobian: no input holds floating-point numbers for each example, so there is nothing "
            f"to differentiate by (inputs are {seen}); for tokens, give embeddings: trace the part "
            "of the network behind its embedding"
        )


def _moves(leaf: Array, count: int) -> bool:
    return _counts(leaf, count) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _counts(leaf: Array, count: int) -> bool:
    return leaf.ndim > 0 and leaf.shape[0] == count


def _row(tree: Any, index: Any, count: int) -> Any:
    """One example, as a batch of one; what has no axis of examples stays as it is."""
    return jax.tree.map(
        lambda leaf: lax.dynamic_slice_in_dim(leaf, index, 1) if _counts(leaf, count) else leaf,
        jax.tree.map(jnp.asarray, tree),
    )


def _independent(model: Model, count: int, params: Any, inputs: Any) -> bool:
    """Whether the network takes one example by itself, and makes the same of it."""
    try:
        return bool(_same(model, count, params, inputs))
    except (TypeError, ValueError):
        return False


@partial(jax.jit, static_argnums=(0, 1))
def _same(model: Model, count: int, params: Any, inputs: Any) -> Array:
    outputs = model.apply(params, *inputs)
    together = rows("jacobian", outputs, count)[-1:]
    alone = rows("jacobian", model.apply(params, *_row(inputs, count - 1, count)), 1)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(outputs)]
    coarse = max(jnp.finfo(each).eps for each in dtypes if jnp.issubdtype(each, jnp.floating))
    gap = jnp.linalg.norm(together - alone)
    return gap <= float(coarse) ** 0.5 * jnp.linalg.norm(together)


@partial(jax.jit, static_argnums=(0, 1))
def _measured(
    model: Model, numbers: tuple[int, ...], params: Any, inputs: Any, seen: Array, key: Array
) -> tuple[Array, ...]:
    """By example: diagonals α and β of the bidiagonal, squared lengths of J v, and J's size."""
    count, alone, iterations, probes = numbers

    def one(index: Array) -> tuple[Array, ...]:
        given = _row(inputs, index, count) if alone else inputs
        function, at = _of_example(model, given, *((0, 1) if alone else (index, count)), params)
        values, forward, backward = both_ways(function, at)
        least = min(at.size, values.size)
        own = jax.random.fold_in(key, index)
        draw = partial(jax.random.normal, shape=at.shape, dtype=at.dtype)
        steps = least if least <= _ALL else iterations
        found = _bidiagonal((forward, backward), at, values, steps, own)
        lengths = jnp.zeros(0)
        if least > _ALL:
            keys = jax.random.split(own, probes)
            lengths = lax.map(lambda own: jnp.sum(forward(draw(own)) ** 2), keys)
        return *found, lengths, jnp.array([at.size, values.size])

    return lax.map(one, seen)


def _of_example(
    model: Model, inputs: Any, index: Any, count: int, params: Any
) -> tuple[Callable[[Array], Array], Array]:
    """Outputs of one example as a function of its inputs, both flat, and the inputs."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, inputs))
    flags = [_moves(leaf, count) for leaf in leaves]
    own = [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]
    at, unravel = ravel_pytree([wide(_row(leaf, index, count)) for leaf in own])

    def function(flat: Array) -> Array:
        values = iter(unravel(flat))
        given = [
            lax.dynamic_update_slice_in_dim(leaf, next(values).astype(leaf.dtype), index, 0)
            if flag
            else leaf
            for leaf, flag in zip(leaves, flags, strict=True)
        ]
        return rows("jacobian", model.apply(params, *tree.unflatten(given)), count)[index]

    return function, at


def _bidiagonal(
    maps: Sequence[Callable[[Array], Array]], right: Array, left: Array, steps: int, key: Array
) -> tuple[Array, Array]:
    """Golub-Kahan bidiagonalization of the map of the shorter of two vectors to the longer one."""
    if left.size < right.size:
        maps, right, left = maps[::-1], left, right
    forward, backward = maps
    zeros = jnp.zeros(steps, right.dtype)
    first = jax.random.normal(jax.random.fold_in(key, steps), right.shape, right.dtype)
    ours = jnp.zeros((steps + 1, right.size), right.dtype).at[0].set(first / jnp.linalg.norm(first))
    theirs = jnp.zeros((steps, left.size), left.dtype)

    def step(number: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        ours, theirs, alphas, betas = state
        scale = jnp.maximum(alphas.max(), betas.max())
        unit, length = fresh(theirs, forward(ours[number]), scale, number)
        theirs, alphas = theirs.at[number].set(unit), alphas.at[number].set(length)
        unit, length = fresh(ours, backward(unit), jnp.maximum(scale, length), number)
        return ours.at[number + 1].set(unit), theirs, alphas, betas.at[number].set(length)

    _, _, alphas, betas = lax.fori_loop(0, steps, step, (ours, theirs, zeros, zeros))
    return alphas, betas.at[-1].set(0) if steps == right.size else betas


def _jacobian(
    alphas: np.ndarray, betas: np.ndarray, lengths: np.ndarray, sizes: np.ndarray
) -> Jacobian:
    inputs, outputs = (int(each) for each in sizes[0])
    exact = min(inputs, outputs) <= _ALL
    values, residual = np.full(alphas.shape, math.nan), math.nan
    if np.isfinite(alphas).all() and np.isfinite(betas).all():
        pairs = zip(alphas, betas, strict=True)
        matrices = [np.diag(own) + np.diag(beside[:-1], 1) for own, beside in pairs]
        left, values, _ = np.linalg.svd(np.stack(matrices))
        residual = float(np.abs(betas[:, -1] * left[:, -1, 0]).max())
    squares = (values**2).sum(1, keepdims=True) if exact else lengths
    return Jacobian(
        float(np.median(values[:, 0])),
        float(np.median(values[:, -1])),
        float(squares.mean()) / inputs,
        0.0 if exact else _error(squares) / inputs,
        residual,
        *(exact, inputs, outputs, len(alphas)),
    )


def _error(squares: np.ndarray) -> float:
    """Standard error of the mean over examples of what was probed of each."""
    return math.sqrt(float(squares.var(1, ddof=1).mean()) / squares.size)
