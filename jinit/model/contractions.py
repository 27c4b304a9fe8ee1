"""The operations of a graph that apply weights to a signal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jinit.model.activation import Activation
from jinit.model.axis_roles import OUT
from jinit.model.followers import Followers, find_followers
from jinit.model.graph import Graph
from jinit.model.operand_roles import read_operand_roles
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, Place
from jinit.model.uses import Scope, Site


@dataclass(frozen=True)
class Contraction:
    """A matrix product or convolution of a weight with a signal.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: jnp.tanh(x @ w) @ w.T, jnp.ones((4, 3)), jnp.ones((8, 4)))
    >>> [(contraction.fan_in, contraction.width) for contraction in model.contractions]
    [(4, 3), (3, 4)]
    """

    place: Place
    """Positions of the enclosing loops, then the position of the operation."""
    kernel: int
    """Index of the weight among the graph's inputs (the largest, if it has several factors)."""
    signal_operand: int
    """Index of the operand that is the signal: 0 or 1."""
    unit_axes: tuple[int, ...]
    """Axes of the result that enumerate units."""
    shape: tuple[int, ...]
    """Shape of the result."""
    dtype: str
    """Dtype of the result."""
    follower: Place | None
    """Place of the first contraction that depends on the result; None if there is none."""
    loop_follower: Place | None = None
    """Place of the contraction that takes the result in the next iteration of the loop, with
    nothing in between but this contraction's activation."""
    loop_lengths: tuple[int, ...] = ()
    """Trip counts of the enclosing loops."""
    is_stacked: bool = False
    """Whether each iteration has another kernel, so that each iteration is a separate layer."""
    bias_place: Place | None = None
    """Place of the sum with a bias, if this sum is the only use of the result."""
    bias_operand: int = 0
    """Index of the operand of that sum that is the bias."""
    bias: int | None = None
    """Index of the bias among the graph's inputs; None if there is none."""
    input_axes: tuple[int, ...] = ()
    """Axes of the signal that enumerate the units it comes from."""
    fan_in: int = 1
    """Number of products that an entry of the result sums over."""
    has_single_consumer: bool = True
    """Whether only the follower, or the next iteration, depends on the result."""

    def is_linked_by(self, activation: Activation | None) -> bool:
        """Return whether an activation is all that lies between this contraction and the next one.

        It must be a function of this contraction's pre-activation alone.

        Args:
          activation: the activation of the kernel.
        """
        if (
            activation is None
            or activation.argument_count > 1
            or activation.kernel_count > 1
            or activation.has_normalization
        ):
            return False
        return activation.end == "product" or (
            activation.end == "output" and self.loop_follower is not None
        )

    @property
    def width(self) -> int:
        """Number of units."""
        return math.prod(self.shape[axis] for axis in self.unit_axes)


class LayerUse(NamedTuple):
    """A layer in the order of execution: a contraction, or one iteration of it.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> def apply(kernels, x):
    ...     return jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), None), x, kernels)[0]
    >>> trace(apply, jnp.ones((2, 4, 4)), jnp.ones((8, 4))).layers[1]
    LayerUse(contraction=0, iteration=1)
    """

    contraction: int
    """Index of the contraction."""
    iteration: int | None
    """Iteration of a loop over stacked kernels; None if the contraction is one layer."""


def layer_order(contractions: Sequence[Contraction]) -> tuple[LayerUse, ...]:
    """Return the layers in execution order."""
    keyed: list[tuple[Any, LayerUse]] = []
    for number, contraction in enumerate(contractions):
        place, lengths = contraction.place, contraction.loop_lengths
        iterations = range(math.prod(lengths)) if contraction.is_stacked else [None]
        keyed += [
            ((place[0], iteration or 0, place), LayerUse(number, iteration))
            for iteration in iterations
        ]
    return tuple(layer for _, layer in sorted(keyed, key=lambda pair: pair[0]))


def find_contractions(
    graph: Graph, sites: Sequence[Site], shapes: Sequence[tuple[int, ...]]
) -> tuple[Contraction, ...]:
    """Return the contractions of parameters with a signal.

    Contractions in the graph itself and in loops over stacked operands are found, except those
    with complex or integer results.

    Args:
      graph: the computation.
      sites: all uses of the parameters, from `find_sites`.
      shapes: shapes of the parameters.

    Returns:
      The contractions in the order of their first execution.
    """
    lengths = {place: graph.loop_lengths(place) for place in {site.scope.place for site in sites}}
    uses: dict[Place, list[Site]] = {}
    scopes: dict[Place, Scope] = {}
    for site in sites:
        is_read = lengths[site.scope.place] is not None
        is_measurable = is_read and "float" in site.operation.dtypes[0]
        is_layer = site.use.role != "scale" and _is_product(site.operation)
        if is_measurable and is_layer and any(_signal_sides(site)):
            uses.setdefault(site.place, []).append(site)
            scopes[site.scope.place] = site.scope
    followers = find_followers(graph, scopes, frozenset(uses))
    return tuple(
        _build_contraction(place, uses[place], lengths[place[:-1]] or (), followers, shapes)
        for place in sorted(uses)
    )


def _is_product(operation: Operation) -> bool:
    return operation.primitive.name in CONTRACTION_PRIMITIVES


def _signal_sides(site: Site) -> list[bool]:
    return [site.scope.is_signal(operand) for operand in site.operation.operands]


def _build_contraction(
    place: Place,
    uses: Sequence[Site],
    loop_lengths: tuple[int, ...],
    followers: Followers,
    shapes: Sequence[tuple[int, ...]],
) -> Contraction:
    site = max(uses, key=lambda use: _kernel_priority(shapes[use.use.leaf], use.use.leaf))
    operation, shape = site.operation, shapes[site.use.leaf]
    signal = _signal_sides(site).index(True)
    known_axes = {axis for axis, _ in site.use.axis_roles}
    copies = math.prod(
        size for axis, size in enumerate(shape) if axis not in known_axes and size > 1
    )
    bias = _find_bias(site)
    inputs = _read_inputs(operation, signal)
    return Contraction(
        place=place,
        kernel=site.use.leaf,
        signal_operand=signal,
        unit_axes=unit_axes(operation, 1 - signal),
        shape=operation.shapes[0],
        dtype=operation.dtypes[0],
        follower=followers.first.get(place),
        loop_follower=followers.next_iteration.get(place),
        loop_lengths=loop_lengths,
        is_stacked=bool(loop_lengths) and copies == math.prod(loop_lengths),
        bias_place=None if bias is None else bias.place,
        bias_operand=0 if bias is None else bias.operand,
        bias=None if bias is None else bias.leaf,
        input_axes=inputs.axes,
        fan_in=inputs.fan_in,
        has_single_consumer=place not in followers.shared,
    )


class _BiasSum(NamedTuple):
    """A sum with a bias, which of its operands is the bias, and the index of the parameter."""

    place: Place
    operand: int
    leaf: int


def _find_bias(site: Site) -> _BiasSum | None:
    """Return the sum with a bias, if it is the only use of the result."""
    operation, graph = site.operation, site.scope.graph
    users = graph.users.get(operation.results[0], [])
    if len(users) != 1:
        return None
    after = graph.operations[users[0]]
    if after.name not in ("add", "add_any") or after.shapes != operation.shapes:
        return None
    index = 1 - after.operands.index(operation.results[0])
    operand = after.operands[index]
    value = site.scope.values[operand] if isinstance(operand, int) else None
    if value is None or not value.weights or value.is_signal:
        return None
    return _BiasSum((*site.scope.place, users[0]), index, value.weights[0].leaf)


class _Inputs(NamedTuple):
    """The inputs of a contraction."""

    axes: tuple[int, ...]
    """Axes of the signal that enumerate units and are summed over."""
    fan_in: int
    """Number of products that an entry of the result sums over."""


def _read_inputs(operation: Operation, signal: int) -> _Inputs:
    if operation.primitive.name == "conv_general_dilated":
        numbers = operation.params["dimension_numbers"]
        _, in_axis, *spatial = numbers.rhs_spec
        shape = operation.operand_shapes[1]
        window_size = math.prod(shape[axis] for axis in spatial)
        features = numbers.lhs_spec[1] if signal == 0 else in_axis
        return _Inputs((features,), shape[in_axis] * window_size)
    contracted = tuple(operation.dot_dimension_numbers[0][signal])
    shape = operation.operand_shapes[signal]
    return _Inputs(contracted, math.prod(shape[axis] for axis in contracted))


def _kernel_priority(shape: tuple[int, ...], leaf: int) -> tuple[int, int, int]:
    return (len(shape), math.prod(shape), -leaf)


def unit_axes(operation: Operation, weight: int) -> tuple[int, ...]:
    """Return the axes of the result that come from the weight's free axes."""
    if operation.primitive.name == "conv_general_dilated":
        batch_axis, feature_axis, *_ = operation.params["dimension_numbers"].out_spec
        return (feature_axis if weight == 1 else batch_axis,)
    rank = len(operation.shapes[0])
    layout = read_operand_roles(operation, 1)
    first_right = rank - len(layout.axes(OUT))
    batch_count = len(operation.dot_dimension_numbers[1][0])
    return tuple(range(first_right, rank) if weight == 1 else range(batch_count, first_right))
