"""The layers of a network as methods scale them, and their evaluation on several batches."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.model import (
    BATCH,
    STACKED,
    Contraction,
    Graph,
    Leaf,
    Model,
    Operation,
    Place,
    PyTree,
    Scan,
    Tap,
    apply_taps,
)

_BATCHES = "batches"


class LayerSite(NamedTuple):
    """A product of a kernel with a signal, and what can be done with its kernel."""

    contraction: Contraction
    path: str
    """Path of the kernel."""
    operation: Operation
    members: int
    """Number of first axes of the result that enumerate the members of an ensemble."""
    copies: tuple[tuple[int, int], ...]
    """All axes of the result that enumerate members, each with the axis of the applied kernel; also
    those of members that share their inputs."""
    is_single: bool
    """Whether its kernel is applied in this place only, once or in each iteration another one."""
    reason: str
    """Why the kernel has no scale of its own; empty if it has one."""

    @property
    def place(self) -> Place:
        """Place of the product."""
        return self.contraction.place

    @property
    def result_place(self) -> Place:
        """Place of the pre-activation: the sum with the bias, or the product without a bias."""
        return self.contraction.bias_place or self.contraction.place

    def by_member(self, result: Array) -> Array:
        """Return a result of the layer with the axes of `copies` first.

        Args:
          result: the result of the product, or of the sum with the bias.
        """
        axes = [axis for axis, _ in self.copies]
        return jnp.moveaxis(result, axes, range(len(axes)))

    def on_kernel(self, values: Array) -> Array:
        """Return numbers of members of an ensemble so that they broadcast to the applied kernel.

        Args:
          values: an array with an axis for each of the `copies`.
        """
        kernel = 1 - self.contraction.signal_operand
        rank = len(self.operation.operand_shapes[kernel])
        axes = [axis for _, axis in self.copies]
        ordered = jnp.transpose(values, sorted(range(len(axes)), key=lambda place: axes[place]))
        return jnp.expand_dims(ordered, [axis for axis in range(rank) if axis not in axes])

    @property
    def bias_operand(self) -> int | None:
        """The operand of the sum that is the bias; None without a bias."""
        return self.contraction.bias_operand if self.contraction.bias_place else None


def read_sites(model: Model) -> tuple[LayerSite, ...]:
    """Return the layers of a network: its products of kernels with signals, in order of execution.

    Args:
      model: the network.

    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: jnp.tanh(x @ w) @ w.T, jnp.ones((4, 3)), jnp.ones((8, 4)))
    >>> [(site.path, site.is_single) for site in read_sites(model)]
    [('', False), ('', False)]
    """
    return tuple(_read_site(model, contraction) for contraction in model.contractions)


def _read_site(model: Model, contraction: Contraction) -> LayerSite:
    path = model.paths[contraction.kernel]
    leaf, operation = model.leaf(path), _operation_at(model.graph, contraction.place)
    is_product = operation.name == "dot_general"
    reason = ""
    if leaf.normalized_by:
        carrier = f"; {leaf.scale_path} has it" if leaf.scale_path else ""
        reason = f"{leaf.normalized_by} removes its scale{carrier}"
    elif leaf.role == "unread":
        reason = f"how it is used cannot be read: {leaf.reason or 'by no known operation'}"
    elif leaf.role == "state":
        reason = "it is not trained"
    return LayerSite(
        contraction=contraction,
        path=path,
        operation=operation,
        members=len(operation.dot_dimension_numbers[1][0]) if is_product else 0,
        copies=_find_copies(contraction, operation, leaf) if is_product else (),
        is_single=leaf.use_count == 1 and (not contraction.loop_lengths or contraction.is_stacked),
        reason=reason,
    )


def _find_copies(
    contraction: Contraction, operation: Operation, leaf: Leaf
) -> tuple[tuple[int, int], ...]:
    """Return the axes of a product and of its kernel that enumerate members of an ensemble."""
    side = 1 - contraction.signal_operand
    (summed, batch), shape = operation.dot_dimension_numbers, operation.operand_shapes[side]
    copies = [(place, axis) for place, axis in enumerate(batch[side])]
    free = [axis for axis in range(len(shape)) if axis not in (*summed[side], *batch[side])]
    first = len(operation.shapes[0]) - len(free) if side else len(batch[0])
    loops = len(contraction.loop_lengths) if contraction.is_stacked else 0
    if leaf.shape[loops:] == shape and leaf.axes:  # no reshape, so that the axes are the same
        roles = leaf.axes[loops:]
        copies += [
            (first + place, axis)
            for place, axis in enumerate(free)
            if roles[axis] in (BATCH, STACKED)
        ]
    return tuple(sorted(copies))


def _operation_at(graph: Graph, place: Place) -> Operation:
    """Return the operation at a place, inside the loops that lead to it."""
    operation = graph.operations[place[0]]
    if len(place) == 1:
        return operation
    return _operation_at(Scan.from_operation(operation, graph.flatten_body).body, place[1:])


def evaluate_layers(
    model: Model, params: PyTree, batches: DataBatches, taps: Mapping[Place, Tap]
) -> dict[Place, Any]:
    """Evaluate a network on all batches together, and return what taps observe.

    Each tap is applied in order of execution, so that its replacement of a result is what later
    layers take in. Observations must not depend on the batch: taps take means by `pooled_mean`.

    Args:
      model: the network, traced with the inputs of one batch.
      params: its parameters.
      batches: the batches.
      taps: taps by the place of the operation whose result they observe.
    """
    leaves = jax.tree.leaves(params)

    def run(inputs: PyTree) -> dict[Place, Any]:
        return apply_taps(model.graph, [*leaves, *jax.tree.leaves(list(inputs))], taps)[1]

    observed = jax.vmap(run, axis_name=_BATCHES)(batches.inputs)
    return jax.tree.map(lambda leaf: leaf[0], observed)


def pooled_mean(value: Array, members: int = 0) -> Array:
    """Return the mean over all batches, and over all axes but the first ones; used inside taps.

    Args:
      value: values of one batch.
      members: number of first axes that are kept.
    """
    mean = jnp.mean(value.astype(jnp.float32), axis=tuple(range(members, value.ndim)))
    return jax.lax.pmean(mean, _BATCHES)


def values_by_layer(model: Model, values: Mapping[Place, Array]) -> Array:
    """Return one number per layer of the model, in order of execution; NaN where there is none.

    Args:
      model: the network.
      values: numbers by place of a product, with leading axes of the enclosing loops; further
        axes, such as the members of an ensemble, are averaged.
    """
    found = []
    for number, iteration in model.layers:
        contraction = model.contractions[number]
        value = values.get(contraction.place)
        if value is None:
            found.append(jnp.full((), jnp.nan))
            continue
        value = value.astype(jnp.float32)
        loops = len(contraction.loop_lengths)
        by_iteration = value.reshape(-1, *value.shape[loops:])
        found.append((by_iteration if iteration is None else by_iteration[iteration]).mean())
    return jnp.stack(found) if found else jnp.zeros(0)
