"""Statistics of everything that passes through a network on one way forward and back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import Array

from jinit.diagnostics.limits import limits_of
from jinit.diagnostics.observe import Branch, Loss, Outputs, Seen, Signals, observe
from jinit.diagnostics.statistics import (
    Back,
    Made,
    Number,
    Taken,
    Weight,
    back,
    made,
    taken,
    weight,
)
from jinit.diagnostics.symmetry import Products, products
from jinit.model import Contraction, Leaf, Model


class Layer(NamedTuple):
    """What is measured where a kernel is applied; in a loop, with an axis more for its rounds."""

    taken: Taken
    made: Made
    back: Back
    kernel_second: Number
    """Mean square of the kernel as it is applied."""
    bias_second: Number
    """Mean square of the bias that is added; zero without one."""


class Found(NamedTuple):
    """All that is measured of one network at its starting point."""

    loss: Array
    outputs: Outputs
    layers: tuple[Layer, ...]
    """One for each of the model's contractions."""
    branches: tuple[Branch, ...]
    """One for each of the model's residual sums."""
    weights: dict[str, Weight]
    """By path; trained parameters of floating-point numbers only."""
    products: dict[str, Products]
    """By path; of parameters with two axes at least."""
    gradient_products: dict[str, Products]
    """The same of their gradients."""


def measure(
    model: Model, params: Any, inputs: Sequence[Any], loss: Loss, optimizer: Any = None
) -> Found:
    """Measure a network; pure, so that it can be jitted and vmapped.

    Args:
      model: the traced network. params: its parameters.
      inputs: one batch, as traced; axis 0 of the first enumerates examples.
      loss: outputs -> mean loss over the batch.
      optimizer: whose first update is measured, an optax transformation.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> found = measure(model, w, [x], lambda y: y.sum() / 8)
    >>> bool(jnp.allclose(found.layers[1].made.second, jnp.tanh(1.0) ** 2))
    True
    """
    seen = observe(model, params, inputs, loss, optimizer)
    return summarize(model, params, seen, examples_of(inputs))


def summarize(model: Model, params: Any, seen: Seen, examples: int) -> Found:
    """Statistics of what passed through a network with these parameters.

    Outside of a compiled function each is a program of its own, compiled once for all layers of a
    shape, of this network and others: a deep network is then measured several times sooner.
    """
    limits = limits_of(model)
    words = {leaf.path: _words(leaf) for leaf in model.leaves}
    values = dict(zip(model.paths, jax.tree.leaves(params), strict=True))
    matrices = {path: each for path, each in seen.changes.items() if values[path].ndim > 1}
    return Found(
        seen.loss,
        seen.outputs,
        tuple(
            _layer(layer, limits.get(layer.place), examples, signals)
            for layer, signals in zip(model.contractions, seen.layers, strict=True)
        ),
        seen.branches,
        {path: weight(values[path], *each) for path, each in seen.changes.items()},
        {path: products(values[path], words[path]) for path in matrices},
        {path: products(each.gradient, words[path]) for path, each in matrices.items()},
    )


def examples_of(inputs: Sequence[Any]) -> int:
    """Examples in a batch."""
    first = jax.tree.leaves(list(inputs))
    return first[0].shape[0] if first and first[0].ndim else 1


def _words(leaf: Leaf) -> tuple[str, ...]:
    return tuple(leaf.axes) or ("",) * len(leaf.shape)


def _layer(
    layer: Contraction, ends: tuple[float, float] | None, examples: int, signals: Signals
) -> Layer:
    each = partial(_by_round, len(layer.rounds))
    return Layer(
        each(partial(taken, units=layer.inputs, ends=ends), signals.taken),
        each(partial(made, units=layer.units), signals.made),
        each(partial(back, examples=examples), signals.gradient),
        signals.kernel_second,
        signals.bias_second,
    )


def _by_round(loops: int, statistic: Callable[[Array], Any], value: Array) -> Any:
    for _ in range(loops):
        statistic = jax.vmap(statistic)
    return statistic(value)
