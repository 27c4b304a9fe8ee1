"""One program that runs a network forward and backward and looks at everything on the way."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

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
    wide,
)
from jinit.diagnostics.symmetry import Products, products
from jinit.model import Activation, Contraction, Leaf, Model, Place, Tap, tapped

Loss = Callable[[Any], Array]
"""Outputs of the network to one number: a mean over examples."""

# Pre-activations at which a bounded activation has reached its limits and an unbounded one has not.
_FAR, _FARTHER = 1e3, 1e4


class Layer(NamedTuple):
    """What is measured where a kernel is applied; in a loop, with an axis more for its rounds."""

    taken: Taken
    made: Made
    back: Back
    kernel_second: Number
    """Mean square of the kernel as it is applied."""
    bias_second: Number
    """Mean square of the bias that is added; zero without one."""


class Branch(NamedTuple):
    """What is measured where a residual branch is added to its stream: mean squares."""

    stream: Number
    branch: Number


class Outputs(NamedTuple):
    """Of all outputs of the network together."""

    mean: Number
    std: Number


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
    leaves, tree = jax.tree.flatten(params)
    trained = [_is_float(leaf) for leaf in leaves]
    structure = jax.tree.structure(jax.eval_shape(model.apply, params, *inputs))
    taps, probes = _taps(model, _examples(inputs))
    rest = jax.tree.leaves(list(inputs))

    def forward(own: list[Array], probes: dict[Place, Back]) -> tuple[Array, Any]:
        given = iter(own)
        whole = [next(given) if flag else leaf for leaf, flag in zip(leaves, trained, strict=True)]
        flat, found = tapped(model.graph, [*whole, *rest], taps, probes)
        outputs = jax.tree.unflatten(structure, flat)
        return jnp.asarray(loss(outputs), jnp.float32), (_outputs(flat), found)

    own = [leaf for leaf, flag in zip(leaves, trained, strict=True) if flag]
    (value, (outputs, found)), (gradients, backs) = jax.value_and_grad(
        forward, argnums=(0, 1), has_aux=True
    )(own, probes)
    updates = _updates(optimizer, tree, trained, own, gradients)
    paths = [path for path, flag in zip(model.paths, trained, strict=True) if flag]
    by_path = {leaf.path: leaf for leaf in model.leaves}
    kept = [
        each
        for each in zip(paths, own, gradients, updates, strict=True)
        if each[0] not in model.untrained
    ]
    return Found(
        value,
        outputs,
        tuple(_layer(each, found, backs) for each in model.contractions),
        tuple(found[each.place] for each in model.residuals),
        {path: weight(value, gradient, update) for path, value, gradient, update in kept},
        {
            path: products(value, _words(by_path[path]))
            for path, value, *_ in kept
            if value.ndim > 1
        },
    )


def _examples(inputs: Sequence[Any]) -> int:
    first = jax.tree.leaves(list(inputs))
    return first[0].shape[0] if first and first[0].ndim else 1


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _words(leaf: Leaf) -> Sequence[str]:
    return leaf.axes or ("",) * len(leaf.shape)


def _outputs(flat: Sequence[Any]) -> Outputs:
    numbers = [wide(each).ravel() for each in flat if _is_float(each)]
    every = jnp.concatenate([jnp.zeros(0), *numbers]) if len(numbers) != 1 else numbers[0]
    return Outputs(every.mean(), every.std()) if every.size else Outputs(*jnp.zeros(2))


def _updates(
    optimizer: Any,
    tree: Any,
    trained: Sequence[bool],
    own: Sequence[Array],
    gradients: Sequence[Array],
) -> Sequence[Array | None]:
    """The optimizer's first updates of the trained leaves."""
    if optimizer is None:
        return [None] * len(own)

    def whole(values: Sequence[Array]) -> Any:
        given = iter(values)
        return tree.unflatten([next(given) if flag else None for flag in trained])

    params = whole(own)
    updates, _ = optimizer.update(whole(gradients), optimizer.init(params), params)
    return jax.tree.leaves(updates)


def _taps(model: Model, examples: int) -> tuple[dict[Place, Tap], dict[Place, Back]]:
    """What looks at each place, and the probes by which gradients are handed out."""
    limits = _limits(model)
    taps: dict[Place, Tap] = {}
    probes = {}
    for layer in model.contractions:
        see = partial(_see_product, layer, limits.get(layer.place), examples)
        taps[layer.place] = see
        if layer.biased:
            taps[layer.biased] = partial(_see_sum, layer, examples)
        probes[layer.biased or layer.place] = Back(*jnp.zeros((5, *layer.rounds)))
    for residual in model.residuals:
        behind = taps.get(residual.place)
        taps[residual.place] = partial(_see_branch, residual.stream, behind)
    return taps, probes


def _see_product(
    layer: Contraction,
    ends: tuple[float, float] | None,
    examples: int,
    operands: Sequence[Any],
    result: Array,
    probe: Back | None,
) -> tuple[Array, Any]:
    x, kernel, z = lax.stop_gradient((operands[layer.signal], operands[1 - layer.signal], result))
    before = taken(x, layer.inputs, ends), jnp.mean(wide(kernel) ** 2)
    if layer.biased:
        return result, before
    return _watched(examples, result, probe), (*before, made(z, layer.units))


def _see_sum(
    layer: Contraction, examples: int, operands: Sequence[Any], result: Array, probe: Back | None
) -> tuple[Array, Any]:
    bias, h = lax.stop_gradient((operands[layer.bias], result))
    seen = made(h, layer.units), jnp.mean(wide(bias) ** 2)
    return _watched(examples, result, probe), seen


def _see_branch(
    stream: int, behind: Tap | None, operands: Sequence[Any], result: Array, probe: Any
) -> tuple[Array, Branch]:
    del behind, probe
    sizes = [jnp.mean(wide(lax.stop_gradient(operand)) ** 2) for operand in operands]
    return result, Branch(sizes[stream], sizes[1 - stream])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _watched(examples: int, value: Array, probe: Any) -> Array:
    """The value itself; the gradient of the probe is what is measured of the value's gradient."""
    del examples, probe
    return value


def _watched_forward(examples: int, value: Array, probe: Any) -> tuple[Array, None]:
    del examples, probe
    return value, None


def _watched_back(examples: int, residual: None, gradient: Array) -> tuple[Array, Back]:
    del residual
    seen = back(gradient, examples)
    return gradient, Back(*(each.astype(jnp.float32) for each in seen))


_watched.defvjp(_watched_forward, _watched_back)


def _layer(layer: Contraction, found: Mapping[Place, Any], backs: Mapping[Place, Back]) -> Layer:
    before, kernel, *after = found[layer.place]
    if not layer.biased:
        return Layer(before, after[0], backs[layer.place], kernel, jnp.zeros_like(kernel))
    after, bias = found[layer.biased]
    return Layer(before, after, backs[layer.biased], kernel, bias)


def _limits(model: Model) -> dict[Place, tuple[float, float]]:
    """By place, the limits of the bounded activation that what is taken in there comes from."""
    leaves = {leaf.path: leaf for leaf in model.leaves}
    found = {}
    for layer in model.contractions:
        activation = leaves[model.paths[layer.kernel]].activation
        ends = _ends(activation) if activation and layer.leads_on(activation) else None
        if ends is not None:
            found |= {place: ends for place in (layer.follower, layer.next_round) if place}
    return found


@lru_cache(maxsize=256)
def _ends(activation: Activation) -> tuple[float, float] | None:
    with jax.ensure_compile_time_eval():
        far = np.asarray(activation(jnp.array([-_FARTHER, -_FAR, _FAR, _FARTHER], jnp.float32)))
    lowest, low, high, highest = map(float, far)
    span = abs(highest - lowest)
    bounded = abs(highest - high) <= 0.01 * span and abs(low - lowest) <= 0.01 * span
    return (min(low, high), max(low, high)) if bounded and span > 0 else None
