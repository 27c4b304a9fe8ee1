"""Size of the signal and of its gradient at every layer, before any training."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.measure import Found, measure
from jinit.model import Model


class Signal(NamedTuple):
    """Statistics by layer, in execution order; arrays of one entry per layer."""

    activation_std: Array
    """Standard deviation of the pre-activations over examples and units."""
    activation_second_moment: Array
    """Mean square of the pre-activations."""
    gradient_std: Array
    """Standard deviation of the loss gradient with respect to the pre-activations, per example."""
    dead_fraction: Array
    """Share of units whose activation is 0 for every example; NaN for the last layer."""
    saturated_fraction: Array
    """Share of activations at a limit of a bounded activation; NaN for the last layer."""
    identical: Array
    """Whether all units of the layer compute the same thing."""


def signal(
    model: Model, params: Any, inputs: Sequence[Any], loss: Callable[[Any], Array]
) -> tuple[Array, Signal]:
    """Loss and statistics of one forward and one backward pass; pure, so it can be vmapped.

    Read off the contractions of weights with signals: the result of each is a pre-activation, the
    signal operand of the one it flows into is its activation. Axis 0 enumerates examples.

    Args:
      model: the traced network. params: its parameters.
      inputs: one batch, as traced. loss: outputs -> mean loss over the batch.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> _, found = signal(model, w, [x], lambda y: y.sum() / 8)
    >>> bool(jnp.allclose(found.activation_second_moment, jnp.array([1, jnp.tanh(1.0) ** 2])))
    True
    """
    found = measure(model, params, inputs, loss)
    rows = [_row(model, found, number) for number in range(len(model.contractions))]
    ordered = [
        rows[number] if step is None else _round(rows[number], step)
        for number, step in model.layers
    ]
    if not ordered:
        return found.loss, Signal(*(jnp.zeros(0) for _ in Signal._fields))
    return found.loss, Signal(*(jnp.stack(column) for column in zip(*ordered, strict=True)))


def _row(model: Model, found: Found, number: int) -> Signal:
    """Of a contraction; of one in a loop, by rounds if its kernels are stacked, else their mean."""
    layer = model.contractions[number]
    made, back = found.layers[number].made, found.layers[number].back
    places = {each.place: place for place, each in enumerate(model.contractions)}
    after = None if layer.follower is None else found.layers[places[layer.follower]].taken
    missing = jnp.full(layer.rounds, jnp.nan)
    constant = found.weights[model.paths[layer.kernel]].spread == 0
    row = Signal(
        jnp.sqrt(jnp.maximum(made.second - made.mean**2, 0)),
        made.second,
        jnp.sqrt(jnp.maximum(back.second - back.mean**2, 0)),
        missing if after is None else after.dead,
        missing if after is None else after.saturated,
        jnp.where(jnp.isnan(made.identical), constant, made.identical == 1),
    )
    if not layer.rounds or layer.stacked:
        return Signal(*(each.reshape(-1) if layer.rounds else each for each in row))
    means = Signal(*(each.mean() for each in row))
    return means._replace(identical=row.identical.all())


def _round(row: Signal, step: int) -> Signal:
    return Signal(*(each[step] for each in row))
