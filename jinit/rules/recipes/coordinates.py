"""The coordinate check: whether training moves activations alike at every width."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jinit.model import Model, tapped
from jinit.rules.initialize import init

Optimizer = optax.GradientTransformation | Callable[[Model], optax.GradientTransformation]


@dataclass(frozen=True)
class CoordinateCheck:
    """How far a few steps of training move every layer's activations, width by width."""

    widths: tuple[int, ...]
    changes: dict[str, tuple[float, ...]]
    """By layer, the mean |change| of its pre-activations at every width."""

    @property
    def slopes(self) -> dict[str, float]:
        """By layer, the least-squares slope of log |change| over log width."""
        x = np.log(self.widths)
        return {
            layer: float(np.polyfit(x, np.log(change), 1)[0])
            for layer, change in self.changes.items()
        }

    def __str__(self) -> str:
        width = max(map(len, self.changes))
        lines = [f"{'layer':{width}}  slope  |change| at {', '.join(map(str, self.widths))}"]
        for layer, slope in self.slopes.items():
            numbers = "  ".join(f"{change:.3g}" for change in self.changes[layer])
            lines.append(f"{layer:{width}}  {slope:+.2f}  {numbers}")
        return "\n".join(lines)


def coordinate_check(
    build: Callable[[int], Model],
    widths: Sequence[int],
    inputs: Sequence[Any],
    loss: Callable[[Any], Array],
    rules: Any,
    optimizer: Optimizer,
    *,
    steps: int = 3,
    seeds: int = 4,
    key: Array | None = None,
) -> CoordinateCheck:
    r"""Mean |change| of every layer's pre-activations in a few steps, at several widths.

    Under maximal update parametrization it does not depend on the width, up to finite-width
    effects: slopes near 0. Otherwise some layers' changes grow or vanish with the width.

    Args:
      build: the traced network of a width, with equal layer names at all widths.
      widths: at least two. inputs: one batch. loss: outputs of the network to a number.
      rules: for `jinit.init`, such as `mup(base)`.
      optimizer: an optax transformation, or a function of the model that returns one.
      steps: of training on this batch. seeds: starts over which is averaged. key: of all starts,
        `jax.random.key(0)` by default.

    Raises:
      ValueError: fewer than two widths, layers whose names differ, or a change that is zero or not
        finite.

    Reference: Yang & Hu et al., "Tensor programs V", 2022, appendix D.1.

    >>> import jinit, optax, jax.numpy as jnp
    >>> x = jnp.ones((4, 3))
    >>> def build(width):
    ...     kernels = [jnp.ones((3, width)), jnp.ones((width, 1))]
    ...     return jinit.trace(lambda w, x: x @ w[0] @ w[1], kernels, x)
    >>> rules, sgd = {"**": "lecun_normal"}, optax.sgd(0.1)
    >>> sorted(coordinate_check(build, (16, 64), [x], jnp.mean, rules, sgd).slopes)
    ['0', '1']
    """
    if len(set(widths)) < 2:
        raise ValueError(f"coordinate_check: expected at least two widths, got {list(widths)}")
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    changes: dict[str, list[float]] = {}
    for width in widths:
        model = _as_tree(build(width))
        chosen = optimizer(model) if callable(optimizer) else optimizer
        starts = [init(model, each, rules) for each in keys]
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
        found = jax.jit(jax.vmap(_moved(model, inputs, loss, chosen, steps)))(params)
        for layer, change in zip(model.layer_names, found.mean(0).tolist(), strict=True):
            changes.setdefault(layer, []).append(_sound(layer, width, change))
    if uneven := [layer for layer, each in changes.items() if len(each) < len(widths)]:
        raise ValueError(f"coordinate_check: {', '.join(uneven)} is a layer at some widths only")
    return CoordinateCheck(tuple(widths), {layer: tuple(each) for layer, each in changes.items()})


def _as_tree(model: Model) -> Model:
    """The same model, whose `init` returns the tree of its parameters."""
    return replace(model, finish=lambda params, key: params)


def _moved(
    model: Model,
    inputs: Sequence[Any],
    loss: Callable[[Any], Array],
    optimizer: optax.GradientTransformation,
    steps: int,
) -> Callable[[Any], Array]:
    """A function of initial parameters to the mean |change| of every layer."""

    def layers(params: Any) -> list[Array]:
        leaves = [*jax.tree.leaves(params), *jax.tree.leaves(list(inputs))]
        taps = {
            layer.place: lambda operands, result, probe: (result, result)
            for layer in model.contractions
        }
        _, seen = tapped(model.graph, leaves, taps)
        return [
            _round(seen[layer.place], layer.rounds, step)
            for layer, step in ((model.contractions[number], step) for number, step in model.layers)
        ]

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
        params, state = carry
        gradient = jax.grad(lambda params: loss(model.apply(params, *inputs)))(params)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    def moved(params: Any) -> Array:
        (trained, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, steps)
        pairs = zip(layers(params), layers(trained), strict=True)
        return jnp.stack([jnp.mean(jnp.abs(after - before)) for before, after in pairs])

    return moved


def _round(seen: Array, rounds: Sequence[int], step: int | None) -> Array:
    return seen if step is None else seen.reshape(-1, *seen.shape[len(rounds) :])[step]


def _sound(layer: str, width: int, change: float) -> float:
    if math.isfinite(change) and change > 0:
        return change
    raise ValueError(
        f"coordinate_check: the pre-activations of {layer} change by {change} at width {width}; "
        "a zero means that no gradient reaches it, anything else that the learning rate is too high"
    )
