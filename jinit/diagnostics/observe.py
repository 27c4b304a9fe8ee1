"""One program that runs a network forward and backward and keeps what passes on the way."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.statistics import Number, wide
from jinit.model import Contraction, Model, Place, Tap, tapped

Loss = Callable[[Any], Array]
"""Outputs of the network to one number: a mean over examples."""


class Signals(NamedTuple):
    """What passes where a kernel is applied; in a loop, with an axis more for its rounds."""

    taken: Array
    """What the layer takes in."""
    made: Array
    """Its pre-activations, with their bias."""
    gradient: Array
    """Of the loss, with respect to its pre-activations."""
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


class Change(NamedTuple):
    """What changes a parameter."""

    gradient: Array
    update_second: Number
    """Mean square of the optimizer's first update; NaN without an optimizer."""


class Seen(NamedTuple):
    """All that passed in one run of a network."""

    loss: Array
    outputs: Outputs
    layers: tuple[Signals, ...]
    """One for each of the model's contractions."""
    branches: tuple[Branch, ...]
    """One for each of the model's residual sums."""
    changes: dict[str, Change]
    """By path; of trained parameters of floating-point numbers only."""


def observe(
    model: Model, params: Any, inputs: Sequence[Any], loss: Loss, optimizer: Any = None
) -> Seen:
    """Run a network; pure, so that it can be jitted and vmapped. Arguments are those of `measure`.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> seen = observe(model, w, [x], lambda y: y.sum() / 8)
    >>> bool(jnp.allclose(seen.layers[1].taken, jnp.tanh(1.0)))
    True
    """
    leaves, tree = jax.tree.flatten(params)
    moves = [
        _is_float(leaf) and path not in model.untrained
        for leaf, path in zip(leaves, model.paths, strict=True)
    ]
    structure = jax.tree.structure(jax.eval_shape(model.apply, params, *inputs))
    taps, probes = _taps(model)
    rest = jax.tree.leaves(list(inputs))

    def forward(own: list[Array], probes: dict[Place, Array]) -> tuple[Array, Any]:
        given = iter(own)
        whole = [next(given) if flag else leaf for leaf, flag in zip(leaves, moves, strict=True)]
        flat, found = tapped(model.graph, [*whole, *rest], taps, probes)
        outputs = jax.tree.unflatten(structure, flat)
        return jnp.asarray(loss(outputs), jnp.float32), (_outputs(flat), found)

    own = [leaf for leaf, flag in zip(leaves, moves, strict=True) if flag]
    (value, (outputs, found)), (gradients, backs) = jax.value_and_grad(
        forward, argnums=(0, 1), has_aux=True
    )(own, probes)
    updates = _updates(optimizer, tree, moves, own, gradients)
    paths = [path for path, flag in zip(model.paths, moves, strict=True) if flag]
    changes = zip(paths, map(Change, gradients, updates), strict=True)
    return Seen(
        value,
        outputs,
        tuple(_signals(each, found, backs) for each in model.contractions),
        tuple(found[each.place] for each in model.residuals),
        dict(changes),
    )


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _outputs(flat: Sequence[Any]) -> Outputs:
    numbers = [wide(each).ravel() for each in flat if _is_float(each)]
    every = jnp.concatenate([jnp.zeros(0), *numbers]) if len(numbers) != 1 else numbers[0]
    return Outputs(every.mean(), every.std()) if every.size else Outputs(*jnp.zeros(2))


def _updates(
    optimizer: Any,
    tree: Any,
    moves: Sequence[bool],
    own: Sequence[Array],
    gradients: Sequence[Array],
) -> list[Array]:
    """Mean squares of the optimizer's first updates of the trained leaves."""
    if optimizer is None:
        return [jnp.full((), jnp.nan)] * len(own)

    def whole(values: Sequence[Array]) -> Any:
        given = iter(values)
        return tree.unflatten([next(given) if flag else None for flag in moves])

    params = whole(own)
    updates, _ = optimizer.update(whole(gradients), optimizer.init(params), params)
    return [_second(update) for update in jax.tree.leaves(updates)]


def _second(value: Array) -> Array:
    return jnp.mean(wide(value) ** 2)


def _taps(model: Model) -> tuple[dict[Place, Tap], dict[Place, Array]]:
    """What looks at each place, and the probes by which gradients are handed out."""
    taps: dict[Place, Tap] = {}
    probes = {}
    for layer in model.contractions:
        taps[layer.place] = partial(_see_product, layer)
        if layer.biased:
            taps[layer.biased] = partial(_see_sum, layer)
        probes[layer.biased or layer.place] = jnp.zeros((*layer.rounds, *layer.shape), layer.dtype)
    for residual in model.residuals:
        taps[residual.place] = partial(_see_branch, residual.stream)
    return taps, probes


def _see_product(
    layer: Contraction, operands: Sequence[Any], result: Array, probe: Array | None
) -> tuple[Array, Any]:
    before = operands[layer.signal], _second(operands[1 - layer.signal])
    if layer.biased:
        return result, before
    return _watched(result, probe), (*before, result)


def _see_sum(
    layer: Contraction, operands: Sequence[Any], result: Array, probe: Array | None
) -> tuple[Array, Any]:
    return _watched(result, probe), (result, _second(operands[layer.bias]))


def _see_branch(
    stream: int, operands: Sequence[Any], result: Array, probe: Any
) -> tuple[Array, Branch]:
    del probe
    sizes = [_second(operand) for operand in operands]
    return result, Branch(sizes[stream], sizes[1 - stream])


@jax.custom_vjp
def _watched(value: Array, probe: Any) -> Array:
    """The value itself; the gradient of the probe is that of the value."""
    del probe
    return value


def _watched_forward(value: Array, probe: Any) -> tuple[Array, None]:
    del probe
    return value, None


def _watched_back(residual: None, gradient: Array) -> tuple[Array, Array]:
    del residual
    return gradient, gradient


_watched.defvjp(_watched_forward, _watched_back)


def _signals(
    layer: Contraction, found: Mapping[Place, Any], backs: Mapping[Place, Array]
) -> Signals:
    taken, kernel, *rest = found[layer.place]
    made, bias = found[layer.biased] if layer.biased else (rest[0], jnp.zeros_like(kernel))
    return Signals(taken, made, backs[layer.biased or layer.place], kernel, bias)
