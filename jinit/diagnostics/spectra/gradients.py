"""Gradient quotient and gradient noise at initialization."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.measuring.batch import Batch, check_examples, fit_model, prepare_loss_batch
from jinit.diagnostics.measuring.floating import widen
from jinit.diagnostics.measuring.losses import Loss, choose_loss
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.diagnostics.measuring.trained import (
    SplitParams,
    join_params,
    loss_function,
    split_params,
)
from jinit.diagnostics.spectra.outputs import gram_matrix
from jinit.model import Model, PyTree


@dataclass(frozen=True)
class GradientNoise:
    """Agreement of the gradients of single examples; divisions by zero follow NumPy."""

    squared_norm: float
    """`‖ḡ‖²` of the mean gradient ḡ."""
    noise: float
    """Trace of the covariance over examples, `Σ ‖g_i - ḡ‖² / (examples - 1)`."""
    signal_to_noise: float
    """`‖ḡ‖² / noise`; infinite where all gradients are equal. Its inverse estimates the simple
    noise scale, the batch size at which noise and signal are equal."""
    confusion: float
    """Smallest correlation (uncentered) of the gradients of two examples: below 0 they oppose each
    other."""
    examples: int
    """Number of examples."""


def gradient_quotient(
    model: Model,
    params: PyTree,
    *batch: PyTree,
    loss: Loss | None = None,
    key: Array | None = None,
    epsilon: float = 1e-5,
) -> float:
    r"""Return the mean over parameters of `|(g - Hg) / (g + ε s) - 1|`, where s is the sign of g.

    The sign of 0 counts as 1. The quotient is the change of the gradient in one step of gradient
    descent, relative to the gradient: 0 where the loss is linear. A parameter without gradient
    counts as 1.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained do not count.
      *batch: inputs, then targets, which imply the loss, as in `jinit.diagnose`.
      loss: `loss(outputs, *targets)`, a mean over examples, as in `jinit.diagnose`.
      key: key of a random direction, and of inputs that are not given.
      epsilon: ε, which limits the weight of small gradients; above 0.

    Raises:
      TypeError: if `model` is not a Model, `key` is not a key or `loss` is not a function.
      ValueError: if `epsilon` is not above 0 and finite, parameters or batch are not like the
        model's, the targets imply no loss, nothing is trained, or the model cannot be
        differentiated.

    Reference: Dauphin & Schoenholz, "MetaInit: Initializing learning by learning to initialize",
    2019, section 3.1.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> a, w, x = jnp.array([0.5, 2.0, -1.0]), jnp.ones(3), jnp.ones((1, 3))
    >>> model = trace(lambda w, x: 0.5 * a * w**2, w, x)
    >>> round(gradient_quotient(model, w, x, loss=jnp.sum), 4)
    1.1667
    """
    if not 0 < epsilon < math.inf:
        raise ValueError(f"gradient_quotient: expected an epsilon above 0, got {epsilon!r}")
    model = fit_model("gradient_quotient", model, batch)
    checked = prepare_loss_batch("gradient_quotient", model, batch, loss, key)
    split = split_params("gradient_quotient", model, params)
    with explain_missing_gradient("gradient_quotient"):
        return float(_compute_quotient(model, loss, split, checked, epsilon))


def gradient_noise(
    model: Model,
    params: PyTree,
    *batch: PyTree,
    loss: Loss | None = None,
    key: Array | None = None,
) -> GradientNoise:
    r"""Return signal and noise of the gradient, from inner products of the examples' gradients.

    Row i of the Gram matrix `⟨g_i, g_j⟩` is the derivative of all examples' losses along g_i, so
    that only one gradient is kept in memory. It costs one gradient and one directional derivative
    of the whole batch for each example.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained do not count.
      *batch: inputs, then targets, which imply the loss, as in `jinit.diagnose`.
      loss: `loss(outputs, *targets)`, a mean over examples, as in `jinit.diagnose`. It is called
        with the outputs and targets of one example at a time, in batches of one.
      key: key of random directions, one for each example, and of inputs that are not given.

    Raises:
      TypeError: if `model` is not a Model, `key` is not a key or `loss` is not a function.
      ValueError: if there are fewer than two examples, the outputs have no axis of examples,
        parameters or batch are not like the model's, the targets imply no loss, nothing is
        trained, or the model cannot be differentiated.

    Reference: McCandlish et al., "An empirical model of large-batch training", 2018, section 2.2;
    Sankararaman et al., "The impact of neural network overparameterization on gradient confusion
    and stochastic gradient descent", 2020.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> w, x = jnp.ones((2, 1)), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> noise = gradient_noise(trace(lambda w, x: x @ w, w, x), w, x, loss=jnp.mean)
    >>> noise.squared_norm, noise.noise, noise.confusion
    (0.5, 1.0, 0.0)
    """
    model = fit_model("gradient_noise", model, batch)
    checked = prepare_loss_batch("gradient_noise", model, batch, loss, key)
    count = check_examples("gradient_noise", checked.inputs)
    if count < 2:
        raise ValueError(
            f"gradient_noise: expected at least 2 examples to compare, got {count}; trace the "
            "model with a larger batch"
        )
    split = split_params("gradient_noise", model, params)
    with explain_missing_gradient("gradient_noise"):
        gram = _compute_example_gram(model, loss, count, split, checked)
    return _noise_from_gram(np.asarray(gram, np.float64))


@jit_recent(2)
def _compute_quotient(
    model: Model, loss: Loss | None, split: SplitParams, batch: Batch, epsilon: Array
) -> Array:
    gradient_function = jax.grad(loss_function(model, loss, split.fixed, batch))
    gradient = gradient_function(split.trained)
    _, hessian_product = jax.jvp(gradient_function, (split.trained,), (gradient,))
    g, _ = ravel_pytree(gradient)
    hg, _ = ravel_pytree(hessian_product)
    return jnp.abs((g - hg) / (g + jnp.where(g >= 0, epsilon, -epsilon)) - 1).mean()


@jit_recent(3)
def _compute_example_gram(
    model: Model, loss: Loss | None, count: int, split: SplitParams, batch: Batch
) -> Array:
    def example_loss(outputs: PyTree, targets: list[PyTree]) -> Array:
        value = choose_loss(loss, outputs, targets).function(outputs, targets)
        return widen(jnp.asarray(value)).reshape(1)

    def losses(trained: list[Array]) -> Array:
        outputs = model.apply(join_params(model, trained, split.fixed), *batch.inputs)
        _check_rows(outputs, count)
        return jax.vmap(example_loss)(
            _split_examples(outputs, count), _split_examples(batch.targets, count)
        )

    return gram_matrix(losses, split.trained, jnp.ones((1, 1)))


def _check_rows(outputs: PyTree, count: int) -> None:
    """Raise if axis 0 of an output does not enumerate the examples."""
    for shape in map(jnp.shape, jax.tree.leaves(outputs)):
        if not shape or shape[0] != count:
            raise ValueError(
                f"gradient_noise: axis 0 of every output has to enumerate the {count} examples, "
                f"but there is one of shape {shape}; trace a function that returns an array with a "
                "row for each example"
            )


def _split_examples(tree: PyTree, count: int) -> PyTree:
    """Return every row as a batch of one; arrays without an axis of examples are repeated."""

    def split_leaf(leaf: Array) -> Array:
        if leaf.ndim and leaf.shape[0] == count:
            return leaf[:, None]
        return jnp.broadcast_to(leaf, (count, *leaf.shape))

    return jax.tree.map(lambda leaf: split_leaf(jnp.asarray(leaf)), tree)


def _noise_from_gram(products: np.ndarray) -> GradientNoise:
    """Return the gradient noise for a matrix of inner products of the examples' gradients."""
    count = len(products)
    products = (products + products.T) / 2
    signal, squares = float(products.mean()), np.diag(products)
    noise = max(float(squares.sum() - count * signal) / (count - 1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = products / np.sqrt(np.outer(squares, squares))
        ratio = float(np.divide(signal, noise))
    pairs = correlations[~np.eye(count, dtype=bool)]
    known = pairs[~np.isnan(pairs)]
    return GradientNoise(
        squared_norm=signal,
        noise=noise,
        signal_to_noise=ratio,
        confusion=float(np.clip(known.min(), -1, 1)) if known.size else math.nan,
        examples=count,
    )
