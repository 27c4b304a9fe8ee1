"""What the gradient at the start is worth: how soon it turns, and how far examples agree on it."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jinit.diagnostics.batch import Batch, with_targets
from jinit.diagnostics.losses import Loss, chosen
from jinit.diagnostics.statistics import wide
from jinit.diagnostics.tangent import examples_of, gram
from jinit.diagnostics.trained import batch_loss, parts, whole
from jinit.model import Model


@dataclass(frozen=True)
class GradientNoise:
    """How far the gradients of single examples agree; infinities and NaN as NumPy makes them."""

    squared_norm: float
    """‖ḡ‖², of the mean gradient."""
    noise: float
    """Trace of the examples' covariance, `Σ ‖g_i - ḡ‖² / (examples - 1)`."""
    signal_to_noise: float
    """`‖ḡ‖² / noise`: its inverse, which estimates the simple noise scale, is the batch size at
    which noise and signal are equal; infinite where all gradients are the same."""
    confusion: float
    """Least cosine of two examples' gradients: below 0 they pull against each other."""
    examples: int


def gradient_quotient(
    model: Model,
    params: Any,
    *batch: Any,
    loss: Loss | None = None,
    key: Array | None = None,
    epsilon: float = 1e-5,
) -> float:
    r"""Mean over parameters of `|(g - Hg) / (g + ε s) - 1|`, with s = 1 if g ≥ 0 and -1 otherwise.

    How much one step of gradient descent changes the gradient, relative to itself: 0 where the
    loss is linear. A parameter that no gradient arrives at counts as 1.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained do not count.
      batch, loss: as in `jinit.diagnose`: inputs, then targets, which suggest the loss.
      key: of a random direction, and of inputs that are not given.
      epsilon: ε, what keeps small gradients from counting too much; above 0.

    Raises:
      TypeError: `model` is no Model.
      ValueError: parameters or a batch unlike the model's; targets that suggest no loss; nothing
        that is trained; an `epsilon` that is not above 0.

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
    given = with_targets("gradient_quotient", model, batch, loss, key)
    own, fixed = parts("gradient_quotient", model, params)
    return float(_quotient(model, loss, own, fixed, given, epsilon))


def gradient_noise(
    model: Model,
    params: Any,
    *batch: Any,
    loss: Loss | None = None,
    key: Array | None = None,
) -> GradientNoise:
    r"""Signal and noise of the gradient, from inner products of the gradients of single examples.

    Row i of their Gram matrix `⟨g_i, g_j⟩` is the derivative of all examples' losses along g_i, so
    that no more than one gradient is in memory; it costs one gradient and one directional
    derivative of the whole batch for each example.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; those that are not trained do not count.
      batch, loss: as in `jinit.diagnose`; the loss is called with one row of the outputs and of
        the targets at a time, axis 0 being kept, and so has to be a mean over examples.
      key: of random directions, one for each example, and of inputs that are not given.

    Raises:
      TypeError: `model` is no Model.
      ValueError: fewer than two examples; outputs without an axis of examples; parameters or a
        batch unlike the model's; targets that suggest no loss; nothing that is trained.

    Reference: McCandlish et al., "An empirical model of large-batch training", 2018, section 2.2;
    Sankararaman et al., "The impact of neural network overparameterization on gradient confusion
    and stochastic gradient descent", 2020.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> w, x = jnp.ones((2, 1)), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> found = gradient_noise(trace(lambda w, x: x @ w, w, x), w, x, loss=jnp.mean)
    >>> found.squared_norm, found.noise, found.confusion
    (0.5, 1.0, 0.0)
    """
    given = with_targets("gradient_noise", model, batch, loss, key)
    count = examples_of("gradient_noise", given.inputs)
    if count < 2:
        raise ValueError(
            f"gradient_noise: expected at least 2 examples to compare, got {count}; trace the "
            "model with a larger batch"
        )
    own, fixed = parts("gradient_noise", model, params)
    return _noise(np.asarray(_gram(model, loss, count, own, fixed, given), np.float64))


@partial(jax.jit, static_argnums=(0, 1))
def _quotient(
    model: Model, loss: Loss | None, own: Any, fixed: Any, batch: Batch, epsilon: Array
) -> Array:
    slope = jax.grad(batch_loss(model, loss, fixed, batch))
    gradient = slope(own)
    _, bent = jax.jvp(slope, (own,), (gradient,))
    g, h = (ravel_pytree(each)[0] for each in (gradient, bent))
    return jnp.abs((g - h) / (g + jnp.where(g >= 0, epsilon, -epsilon)) - 1).mean()


@partial(jax.jit, static_argnums=(0, 1, 2))
def _gram(model: Model, loss: Loss | None, count: int, own: Any, fixed: Any, batch: Batch) -> Array:
    def one(outputs: Any, rest: Any) -> Array:
        value = chosen(loss, outputs, rest)[0](outputs, rest)
        return wide(jnp.asarray(value)).reshape(1)

    def losses(own: Any) -> Array:
        outputs = model.apply(whole(model, own, fixed), *batch.inputs)
        return jax.vmap(one)(_single(outputs, count, True), _single(batch.rest, count))

    return gram(losses, own, jnp.ones((1, 1)))


def _single(tree: Any, count: int, all_rows: bool = False) -> Any:
    """Every row as a batch of one."""

    def of(leaf: Array) -> Array:
        if leaf.ndim and leaf.shape[0] == count:
            return leaf[:, None]
        if all_rows:
            raise ValueError(
                f"gradient_noise: axis 0 of every output has to enumerate the {count} examples, "
                f"but there is one of shape {leaf.shape}; trace a function that returns an array "
                "with a row for each example"
            )
        return jnp.broadcast_to(leaf, (count, *leaf.shape))

    return jax.tree.map(lambda leaf: of(jnp.asarray(leaf)), tree)


def _noise(products: np.ndarray) -> GradientNoise:
    count = len(products)
    products = (products + products.T) / 2
    signal, squares = float(products.mean()), np.diag(products)
    noise = max(float(squares.sum() - count * signal) / (count - 1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = products / np.sqrt(np.outer(squares, squares))
        ratio = float(np.divide(signal, noise))
    apart = cosines[~np.eye(count, dtype=bool)]
    seen = apart[~np.isnan(apart)]
    confusion = float(np.clip(seen.min(), -1, 1)) if seen.size else math.nan
    return GradientNoise(signal, noise, ratio, confusion, count)
