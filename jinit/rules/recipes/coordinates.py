"""The coordinate check: how the change of activations in training depends on the width."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jinit.model import Model, apply_taps
from jinit.rules.initialize import init

_ModelOptimizer = optax.GradientTransformation | Callable[[Model], optax.GradientTransformation]


@dataclass(frozen=True)
class CoordinateCheck:
    """Change of the pre-activations of every layer in a few training steps, at several widths."""

    widths: tuple[int, ...]
    """Widths of the networks."""
    changes: dict[str, tuple[float, ...]]
    """Mean absolute change of the pre-activations by layer, one value per width."""

    @property
    def slopes(self) -> dict[str, float]:
        """Least-squares slope of log |change| over log width, by layer."""
        log_widths = np.log(self.widths)
        return {
            layer: float(np.polyfit(log_widths, np.log(change), 1)[0])
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
    optimizer: _ModelOptimizer,
    *,
    steps: int = 3,
    seeds: int = 4,
    key: Array | None = None,
) -> CoordinateCheck:
    r"""Measure the change of every layer's pre-activations in a few steps, at several widths.

    In maximal update parametrization the change does not depend on the width, up to finite-width
    effects, and the slopes are near 0. Otherwise the change of some layers grows or vanishes with
    the width.

    Args:
      build: function of a width that returns the traced network, with the same layer names at all
        widths.
      widths: at least two different widths.
      inputs: one batch, as arguments of the network.
      loss: function of the network's outputs that returns a scalar.
      rules: rules for `jinit.init`, such as `mup(base)`.
      optimizer: an optax transformation, or a function of the model that returns one.
      steps: training steps on this batch.
      seeds: number of initializations to average over.
      key: key of all initializations, `jax.random.key(0)` by default.

    Raises:
      ValueError: if there are fewer than two widths, layer names differ between widths, or a change
        is zero or not finite.

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
        raise ValueError(
            f"coordinate_check: expected at least two widths, got {list(widths)}; "
            "use several, such as [64, 128, 256]"
        )
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    changes: dict[str, list[float]] = {}
    for width in widths:
        model = _tree_model(build(width))
        transformation = optimizer(model) if callable(optimizer) else optimizer
        trees = [init(model, seed_key, rules) for seed_key in keys]
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
        measure = _change_function(model, inputs, loss, transformation, steps)
        means = jax.jit(jax.vmap(measure))(params).mean(0).tolist()
        for layer, change in zip(model.layer_names, means, strict=True):
            changes.setdefault(layer, []).append(_check_change(layer, width, change))
    if missing := [layer for layer, values in changes.items() if len(values) < len(widths)]:
        raise ValueError(
            f"coordinate_check: expected the same layer names at all widths, but some networks do "
            f"not have {', '.join(missing)}"
        )
    return CoordinateCheck(
        widths=tuple(widths),
        changes={layer: tuple(values) for layer, values in changes.items()},
    )


def _tree_model(model: Model) -> Model:
    """Return the model with an `init` that returns the tree of its parameters."""
    return replace(model, wrap=lambda params, key: params)


def _change_function(
    model: Model,
    inputs: Sequence[Any],
    loss: Callable[[Any], Array],
    optimizer: optax.GradientTransformation,
    steps: int,
) -> Callable[[Any], Array]:
    """Return a function of initial parameters that returns the mean |change| of every layer."""
    layers = [(model.contractions[layer.contraction], layer.iteration) for layer in model.layers]

    def pre_activations(params: Any) -> list[Array]:
        leaves = [*jax.tree.leaves(params), *jax.tree.leaves(list(inputs))]
        taps = {
            contraction.place: lambda operands, result, probe: (result, result)
            for contraction in model.contractions
        }
        _, values = apply_taps(model.graph, leaves, taps)
        return [
            _select_iteration(values[contraction.place], contraction.loop_lengths, iteration)
            for contraction, iteration in layers
        ]

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
        params, state = carry
        gradient = jax.grad(lambda params: loss(model.apply(params, *inputs)))(params)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    def change(params: Any) -> Array:
        (trained, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, steps)
        pairs = zip(pre_activations(params), pre_activations(trained), strict=True)
        return jnp.stack([jnp.mean(jnp.abs(after - before)) for before, after in pairs])

    return change


def _select_iteration(values: Array, loop_lengths: Sequence[int], iteration: int | None) -> Array:
    """Return the values of one iteration of the loops, or all values if there is no iteration."""
    if iteration is None:
        return values
    return values.reshape(-1, *values.shape[len(loop_lengths) :])[iteration]


def _check_change(layer: str, width: int, change: float) -> float:
    if math.isfinite(change) and change > 0:
        return change
    raise ValueError(
        f"coordinate_check: the pre-activations of {layer} change by {change} at width {width}; "
        "expected a positive finite change: zero means that no gradient reaches the layer, inf or "
        "nan that the learning rate is too high"
    )
