"""Run a network forward and backward in one program and record intermediate values."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.measuring.floating import floating_leaves, widen
from jinit.diagnostics.measuring.optimizers import compute_update, trained_tree
from jinit.diagnostics.measuring.statistics import Scalar, mean_square
from jinit.diagnostics.measuring.trained import join_leaves, trained_flags
from jinit.model import Contraction, Model, Place, PyTree, Tap, apply_taps

OutputLoss = Callable[[PyTree], Array]
"""Function of the network's outputs that returns one number, a mean over examples."""


class LayerSignals(NamedTuple):
    """Values at a contraction; inside a loop, with a leading iteration axis."""

    input: Array
    """Input of the layer."""
    preactivation: Array
    """Pre-activations of the layer, its bias included."""
    gradient: Array
    """Gradient of the loss with respect to the pre-activations."""
    kernel_second: Scalar
    """Mean square of the kernel as it is applied."""
    bias_second: Scalar
    """Mean square of the bias that is added; zero without one."""


class BranchStatistics(NamedTuple):
    """Mean squares where a residual branch is added to the residual stream."""

    residual_stream: Scalar
    branch: Scalar


class OutputStatistics(NamedTuple):
    """Statistics of all outputs of the network together."""

    mean: Scalar
    std: Scalar


class ParameterChange(NamedTuple):
    """Gradient and first update of a parameter."""

    gradient: Array
    update_second: Scalar
    """Mean square of the optimizer's first update; NaN without an optimizer."""


class Observation(NamedTuple):
    """All values recorded in one run of a network."""

    loss: Array
    outputs: OutputStatistics
    inputs: tuple[Scalar, ...]
    """Mean square of every input of the network; 0 for integers and booleans."""
    layers: tuple[LayerSignals, ...]
    """One for each of the model's contractions."""
    branches: tuple[BranchStatistics, ...]
    """One for each of the model's residual sums."""
    changes: dict[str, ParameterChange]
    """Changes of the trained floating-point parameters, by path."""


def observe(
    model: Model,
    params: PyTree,
    inputs: Sequence[PyTree],
    loss: OutputLoss,
    optimizer: Any = None,
) -> Observation:
    """Run a network once forward and once backward.

    The function is pure, so that it can be jitted and vmapped.

    Args:
      model: the traced network.
      params: its parameters.
      inputs: one batch, as traced; axis 0 of the first enumerates examples.
      loss: function of the outputs that returns the mean loss over the batch.
      optimizer: optax transformation whose first update is measured, or None.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> x, w = jnp.ones((8, 4)), jnp.eye(4)
    >>> model = trace(lambda p, x: jnp.tanh(x @ p) @ p, w, x)
    >>> observation = observe(model, w, [x], lambda y: y.sum() / 8)
    >>> bool(jnp.allclose(observation.layers[1].input, jnp.tanh(1.0)))
    True
    """
    leaves = jax.tree.leaves(params)
    flags = trained_flags(model)
    trained = [leaf for leaf, flag in zip(leaves, flags, strict=True) if flag]
    fixed = [leaf for leaf, flag in zip(leaves, flags, strict=True) if not flag]
    structure = jax.tree.structure(jax.eval_shape(model.apply, params, *inputs))
    taps, probes = _layer_taps(model)
    flat_inputs = jax.tree.leaves(list(inputs))

    def forward(trained: list[Array], probes: dict[Place, Array]) -> tuple[Array, Any]:
        graph_inputs = [*join_leaves(model, trained, fixed), *flat_inputs]
        flat, records = apply_taps(model.graph, graph_inputs, taps, probes)
        outputs = jax.tree.unflatten(structure, flat)
        return jnp.asarray(loss(outputs), jnp.float32), (_output_statistics(flat), records)

    run_both_passes = jax.value_and_grad(forward, argnums=(0, 1), has_aux=True)
    (value, (outputs, records)), (gradients, probe_gradients) = run_both_passes(trained, probes)
    updates = _update_seconds(model, optimizer, trained, gradients, value)
    paths = [path for path, flag in zip(model.paths, flags, strict=True) if flag]
    changes = zip(paths, map(ParameterChange, gradients, updates), strict=True)
    return Observation(
        loss=value,
        outputs=outputs,
        inputs=tuple(map(_input_second, flat_inputs)),
        layers=tuple(
            _layer_signals(layer, records, probe_gradients) for layer in model.contractions
        ),
        branches=tuple(records[residual.place] for residual in model.residual_sums),
        changes=dict(changes),
    )


def _output_statistics(flat: Sequence[Any]) -> OutputStatistics:
    arrays = [widen(leaf).ravel() for leaf in floating_leaves(list(flat))]
    values = arrays[0] if len(arrays) == 1 else jnp.concatenate([jnp.zeros(0), *arrays])
    if not values.size:
        return OutputStatistics(jnp.zeros(()), jnp.zeros(()))
    return OutputStatistics(values.mean(), values.std())


def _input_second(value: Any) -> Scalar:
    value = jnp.asarray(value)
    is_number = jnp.issubdtype(value.dtype, jnp.inexact) and value.size
    return _mean_square(jnp.abs(value)) if is_number else jnp.zeros(())


def _update_seconds(
    model: Model,
    optimizer: Any,
    trained: Sequence[Array],
    gradients: Sequence[Array],
    value: Array,
) -> list[Array]:
    """Return the mean squares of the optimizer's first updates of the trained leaves."""
    if optimizer is None:
        return [jnp.full((), jnp.nan)] * len(trained)
    params, slopes = trained_tree(model, trained), trained_tree(model, gradients)
    updates, _ = compute_update(optimizer, optimizer.init(params), params, slopes, value)
    return [_mean_square(update) for update in jax.tree.leaves(updates)]


def _mean_square(value: Array) -> Array:
    return mean_square(widen(value))


def _layer_taps(model: Model) -> tuple[dict[Place, Tap], dict[Place, Array]]:
    """Return a tap for each place that is recorded, and the probes that receive gradients."""
    taps: dict[Place, Tap] = {}
    probes = {}
    for layer in model.contractions:
        taps[layer.place] = partial(_record_product, layer)
        if layer.bias_place:
            taps[layer.bias_place] = partial(_record_sum, layer)
        probes[layer.bias_place or layer.place] = jnp.zeros(
            (*layer.loop_lengths, *layer.shape), layer.dtype
        )
    for residual in model.residual_sums:
        taps[residual.place] = partial(_record_branch, residual.stream_operand)
    return taps, probes


def _record_product(
    layer: Contraction, operands: Sequence[Any], result: Array, probe: Array | None
) -> tuple[Array, Any]:
    """Record the input and the kernel; without a bias, the pre-activations as well."""
    record = operands[layer.signal_operand], _mean_square(operands[1 - layer.signal_operand])
    if layer.bias_place:
        return result, record
    return _attach_probe(result, probe), (*record, result)


def _record_sum(
    layer: Contraction, operands: Sequence[Any], result: Array, probe: Array | None
) -> tuple[Array, Any]:
    """Record the pre-activations and the bias."""
    return _attach_probe(result, probe), (result, _mean_square(operands[layer.bias_operand]))


def _record_branch(
    residual_stream: int, operands: Sequence[Any], result: Array, probe: Any
) -> tuple[Array, BranchStatistics]:
    """Record both operands of a residual sum."""
    del probe
    sizes = [_mean_square(operand) for operand in operands]
    return result, BranchStatistics(sizes[residual_stream], sizes[1 - residual_stream])


@jax.custom_vjp
def _attach_probe(value: Array, probe: Any) -> Array:
    """Return the value; its gradient is also the gradient of the probe."""
    del probe
    return value


def _attach_probe_forward(value: Array, probe: Any) -> tuple[Array, None]:
    del probe
    return value, None


def _attach_probe_backward(residual: None, gradient: Array) -> tuple[Array, Array]:
    del residual
    return gradient, gradient


_attach_probe.defvjp(_attach_probe_forward, _attach_probe_backward)


def _layer_signals(
    layer: Contraction, records: Mapping[Place, Any], probe_gradients: Mapping[Place, Array]
) -> LayerSignals:
    signal, kernel_second, *sums = records[layer.place]
    if layer.bias_place:
        preactivation, bias_second = records[layer.bias_place]
    else:
        preactivation, bias_second = sums[0], jnp.zeros_like(kernel_second)
    return LayerSignals(
        input=signal,
        preactivation=preactivation,
        gradient=probe_gradients[layer.bias_place or layer.place],
        kernel_second=kernel_second,
        bias_second=bias_second,
    )
