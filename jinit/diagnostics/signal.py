"""Size of the signal and of its gradient at every layer, before any training."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model import Contraction, Model

# An entry is saturated within this share of its activation's range from either limit: for tanh
# that is |y| > 0.95, for the logistic function the same inputs doubled.
_SATURATION_MARGIN = 0.025
# Pre-activations at which a bounded activation has reached its limits and an unbounded one has not.
_FAR, _FARTHER = 1e3, 1e4


class Signal(NamedTuple):
    """Statistics by layer, in execution order; arrays of one entry per contraction."""

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
    leaves = [*jax.tree.leaves(params), *jax.tree.leaves(list(inputs))]
    layers = model.contractions
    structure = jax.tree.structure(jax.eval_shape(model.apply, params, *inputs))

    def forward(offsets: dict[int, Array]) -> tuple[Array, dict[int, tuple[Any, ...]]]:
        outputs, seen = model.graph.run(leaves, _adding(offsets))
        return loss(jax.tree.unflatten(structure, outputs)), seen

    zeros = {layer.position: jnp.zeros(layer.shape) for layer in layers}
    (value, seen), gradients = jax.value_and_grad(forward, has_aux=True)(zeros)
    return value, _statistics(layers, seen, gradients, _limits(model, leaves))


def _adding(offsets: dict[int, Array]) -> Callable[[int, Array], Array]:
    def edit(position: int, value: Array) -> Array:
        offset = offsets.get(position)
        return value if offset is None else value + offset.astype(value.dtype)

    return edit


def _limits(model: Model, leaves: list[Any]) -> dict[int, Array]:
    """What every contraction takes in when every pre-activation is held far from zero.

    By position; the leading axis goes through -1e4, -1e3, 1e3, 1e4.
    """
    signals = {layer.position: layer.signal for layer in model.contractions}

    def taken_in(far: Array) -> dict[int, Array]:
        def edit(position: int, value: Array) -> Array:
            return jnp.full_like(value, far) if position in signals else value

        _, seen = model.graph.run(leaves, edit)
        return {position: seen[position][signal] for position, signal in signals.items()}

    return jax.vmap(taken_in)(jnp.array([-_FARTHER, -_FAR, _FAR, _FARTHER]))


def _statistics(
    layers: tuple[Contraction, ...],
    seen: dict[int, tuple[Any, ...]],
    gradients: dict[int, Array],
    limits: dict[int, Array],
) -> Signal:
    rows = []
    by_position = {layer.position: layer for layer in layers}
    for layer in layers:
        before = _wide(seen[layer.position][2])
        gradient = gradients[layer.position] * before.shape[0]
        after = by_position.get(layer.follower) if layer.follower is not None else None
        dead = saturated = jnp.full((), jnp.nan)
        if after is not None:
            taken = _wide(seen[after.position][after.signal])
            dead = jnp.mean(jnp.all(taken == 0, axis=0), dtype=jnp.float32)
            saturated = _saturated(taken, _wide(limits[after.position]))
        rows.append(
            Signal(
                before.std(),
                jnp.mean(before**2),
                gradient.std(),
                dead,
                saturated,
                _identical(before, seen[layer.position][1 - layer.signal], layer),
            )
        )
    if not rows:
        return Signal(*(jnp.zeros(0) for _ in Signal._fields))
    return Signal(*(jnp.stack(column) for column in zip(*rows, strict=True)))


def _wide(value: Array) -> Array:
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))


def _saturated(taken: Array, ends: Array) -> Array:
    """Share of entries near a limit of their activation; 0 where it is not bounded."""
    lowest, low, high, highest = ends
    span = jnp.abs(highest - lowest)
    bounded = (jnp.abs(highest - high) <= 0.01 * span) & (jnp.abs(low - lowest) <= 0.01 * span)
    margin = _SATURATION_MARGIN * span
    near = (jnp.abs(taken - lowest) < margin) | (jnp.abs(taken - highest) < margin)
    return jnp.mean(near & bounded & (span > 0), dtype=jnp.float32)


def _identical(before: Array, kernel: Array, layer: Contraction) -> Array:
    """Whether the units agree on every example; where no signal arrives, whether weights do."""
    if layer.width < 2:
        return jnp.zeros((), bool)
    spread = before.max(layer.units) - before.min(layer.units)
    size = jnp.abs(before).max()
    return jnp.where(size > 0, spread.max() <= 1e-6 * size, kernel.max() == kernel.min())
