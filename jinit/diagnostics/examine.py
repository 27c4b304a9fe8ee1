"""A network at its starting point: measured, compared with theory, judged."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.audit import leaves_of
from jinit.diagnostics.batch import Batch, outputs_of, with_targets
from jinit.diagnostics.conclude import About, conclude, conclude_seeds, equal_leaves
from jinit.diagnostics.diagnosis import Diagnosis
from jinit.diagnostics.losses import Loss, chosen
from jinit.diagnostics.measure import Found, examples_of, summarize
from jinit.diagnostics.observe import Seen, observe
from jinit.model import Model


def diagnose(
    model: Model,
    params: Any,
    *batch: Any,
    loss: Loss | None = None,
    key: Array | None = None,
    optimizer: Any = None,
    seeds: int | None = None,
) -> Diagnosis:
    r"""Run a network once forward and once backward, and say what is wrong with its start.

    Every place where a kernel is applied to a signal is a layer, those inside `nn.scan` included.
    Its measurements are compared with what mean-field theory expects of its weights, activation
    and width: `E[h²]` follows `q' = σ_w² E[φ(√q z)²] + σ_b²`, squared gradients grow by
    `χ = σ_w² E[φ'(√q z)²]` a layer, and `ln q` of a healthy network strays by `√(Σ 5/n)` (relu)
    and, as smooth activations do at criticality, like a power of the depth. Only what leaves that
    band is called vanishing or exploding.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; with `seeds`, a function `key -> params`, or None for the model's own.
      batch: inputs like those that the model was traced with, then targets. Without any, the
        inputs are normal numbers of the traced shapes.
      loss: `loss(outputs, *targets)`, a mean over examples. Without one, integer targets mean
        cross-entropy, targets like the outputs mean squared error, and no targets a random
        direction, whose gradient says what the network alone does.
      key: of the random direction, of inputs that are not given, and of `seeds`.
      optimizer: an optax transformation whose first update is measured.
      seeds: number of starts to measure at once; statistics are then medians over them, the
        verdict is that of most starts, and `shares` has all.

    Raises:
      TypeError: `model` is no Model, `key` no key, `optimizer` no optax transformation.
      ValueError: parameters or a batch unlike the model's; targets that suggest no loss, or labels
        that are no classes; `seeds` below 1; a model that makes nothing, or has complex weights.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016; Schoenholz et al., "Deep information propagation", 2017; Hanin & Nica, "Products
    of many large random matrices and gradients in deep neural networks", 2018.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = list(0.05 * jax.random.normal(jax.random.key(0), (9, 64, 64)))
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jnp.tanh(x @ each)
    ...     return x @ w[0]
    >>> x = jax.random.normal(jax.random.key(1), (32, 64))
    >>> found = jinit.diagnose(jinit.trace(apply, w, x), w, x)
    >>> found.verdict, found.faults[0].cure
    ('vanishing', 'kernel_init=jinit.lecun_normal()')
    """
    given = with_targets("diagnose", model, batch, loss, key)
    _check(model, optimizer, seeds)
    outputs = outputs_of(model)
    classes = jax.tree.leaves(outputs)[0].shape[-1:]
    about = About(model, chosen(loss, outputs, given.rest)[1], *classes or (1,))
    if seeds is not None:
        starts = _drawn(model, _draw(model, params), jax.random.split(given.key, seeds))
        return conclude_seeds(about, _measured(model, loss, optimizer, True, starts, given))
    leaves = _of_own_types(model, leaves_of(model, params))
    whole = jax.tree.unflatten(jax.tree.structure(model.params), leaves)
    found = _measured(model, loss, optimizer, False, whole, given)
    return conclude(about, found, equal_leaves(model, found, leaves))


def _check(model: Model, optimizer: Any, seeds: int | None) -> None:
    if seeds is not None and not (isinstance(seeds, int | np.integer) and seeds > 0):
        raise ValueError(f"diagnose: seeds: expected a number of starts, at least 1, got {seeds!r}")
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            "diagnose: optimizer: expected an optax transformation, such as optax.adam(1e-3), got "
            f"{optimizer!r}"
        )
    if not jax.tree.leaves(outputs_of(model)):
        raise ValueError("diagnose: the model returns no array: there is nothing to look at")
    leaves = zip(model.paths, jax.tree.leaves(model.params), strict=True)
    strange = [path for path, leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.complexfloating)]
    if strange:
        raise ValueError(
            f"diagnose: the parameter {strange[0]!r} is complex, which no theory here is about; "
            "hold its real and imaginary parts as two parameters"
        )


def _of_own_types(model: Model, leaves: list[Any]) -> list[Any]:
    """The same leaves, if their types are those that the model was traced with."""
    abstract = jax.tree.leaves(model.params)
    for path, leaf, like in zip(model.paths, leaves, abstract, strict=True):
        if jnp.issubdtype(like.dtype, jnp.floating) and jnp.result_type(leaf) != like.dtype:
            raise ValueError(
                f"diagnose: {path} is {jnp.result_type(leaf)}, and the model was traced with "
                f"{like.dtype}; trace it with these parameters, or cast them"
            )
    return leaves


def _measured(
    model: Model, loss: Loss | None, optimizer: Any, many: bool, params: Any, batch: Batch
) -> Found:
    """What is measured of one start, or of many along axis 0 of the parameters."""
    seen = _observed(model, loss, optimizer, many, params, batch)
    of_one = partial(summarize, model, examples=examples_of(batch.inputs))
    return jax.device_get((jax.vmap(of_one) if many else of_one)(params, seen))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _observed(
    model: Model, loss: Loss | None, optimizer: Any, many: bool, params: Any, batch: Batch
) -> Seen:
    """One run, or one for each of the starts."""

    def of_outputs(outputs: Any) -> Array:
        return chosen(loss, outputs, batch.rest)[0](outputs, batch.rest)

    def of_one(params: Any) -> Seen:
        return observe(model, params, batch.inputs, of_outputs, optimizer)

    return (jax.vmap(of_one) if many else of_one)(params)


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(model: Model, draw: Callable[[Array], Any], keys: Array) -> Any:
    return jax.vmap(lambda key: model.tree(draw(key)))(keys)


def _draw(model: Model, params: Any) -> Callable[[Array], Any]:
    draw = model.init if params is None else params
    if draw is None or not callable(draw):
        raise ValueError(
            "diagnose: with seeds, params must be a function key -> params, such as "
            "lambda key: jinit.init(model, key, rules), or None for a model with its own init; got "
            f"{type(params).__name__}"
        )
    leaves_of(model, jax.eval_shape(lambda key: model.tree(draw(key)), jax.random.key(0)))
    return draw
