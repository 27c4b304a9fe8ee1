"""Follow parameters through a computation, its loops and branches included, to all their uses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from jinit.model.additions import addition_use
from jinit.model.axis_roles import IN, OUT
from jinit.model.constants import Constants
from jinit.model.control_flow import CONTROL_FLOW, enter_bodies
from jinit.model.graph import Graph
from jinit.model.known_values import CONSTANT, NOISE, SIGNAL, KnownValue
from jinit.model.latents import are_projected_latents, is_projected_latent, latent_uses
from jinit.model.lookups import gather_lookups, slice_lookups
from jinit.model.modulation import modulated_weights
from jinit.model.operand_roles import read_operand_roles
from jinit.model.operation import CONTRACTION_PRIMITIVES, Operation, Place
from jinit.model.power_iterations import divides_parameter
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SUMS
from jinit.model.roles import Use, contraction_use, sum_use
from jinit.model.signals import move_weights, propagate_signals
from jinit.model.weight_axes import AXIS_MOVES, Segment, TrackedWeight, merge_weights
from jinit.model.weight_products import (
    apply_factor,
    combine_weights,
    fix_noise,
    join_weights,
    multiply_shared,
)

_INSERTIONS = frozenset({"concatenate", "dynamic_update_slice", "select_n"})


@dataclass(frozen=True, eq=False)
class Scope:
    """A graph on one pass of the walk, with what is known of its values there.

    Scopes are compared by identity: a body that is entered twice has two scopes.
    """

    graph: Graph
    place: Place = ()
    """Positions of the operations that enclose the graph, outermost first."""
    values: dict[int, KnownValue] = field(default_factory=dict)
    parent: "Scope | None" = None
    """The graph that contains the enclosing operation; None for the outermost graph."""

    @cached_property
    def constants(self) -> Constants:
        """The constants of the graph."""
        inputs = {value: self.values[value].read_constant for value in self.graph.inputs}
        return Constants(self.graph, {value: read for value, read in inputs.items() if read})

    def is_constant(self, operand: Any) -> bool:
        """Return whether an operand depends neither on a signal nor on a parameter."""
        return not isinstance(operand, int) or self.values[operand] == CONSTANT

    def is_signal(self, operand: Any) -> bool:
        """Return whether an operand is a signal; literals are not."""
        return isinstance(operand, int) and self.values[operand].is_signal


@dataclass(frozen=True, eq=False)
class Site:
    """A use of a parameter, and the operation where it is."""

    use: Use
    scope: Scope
    position: int

    @property
    def operation(self) -> Operation:
        """The operation that uses the parameter."""
        return self.scope.graph.operations[self.position]

    @property
    def place(self) -> Place:
        """Place of the operation."""
        return (*self.scope.place, self.position)

    @property
    def is_contraction(self) -> bool:
        """Whether a kernel is applied here, even one whose axes cannot be inferred."""
        return self.use.role in ("kernel", "unread") and self.operation.name in (
            *CONTRACTION_PRIMITIVES,
            "reduce_sum",
        )


def find_sites(graph: Graph, shapes: Sequence[tuple[int, ...]]) -> tuple[Site, ...]:
    """Return every use of the parameters of a graph, in execution order.

    Args:
      graph: the computation.
      shapes: shapes of the parameters, which are the graph's first inputs.
    """
    walk = _Walk(shapes)
    parameters = [_parameter_value(index, shape) for index, shape in enumerate(shapes)]
    inputs = [NOISE if "key<" in str(aval.dtype) else SIGNAL for aval in graph.avals]
    walk.follow(graph, [*parameters, *inputs[len(shapes) :]])
    return tuple(walk.sites)


def _parameter_value(index: int, shape: tuple[int, ...]) -> KnownValue:
    axes = tuple((Segment(axis, size),) for axis, size in enumerate(shape))
    return KnownValue((TrackedWeight(index, axes),))


class _Walk:
    """One pass over a computation; `sites` grows as uses of parameters are found."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.sites: list[Site] = []
        self._scope: Scope
        self._parent: Scope | None = None
        self._position = 0
        self._enclosing: Place = ()

    def follow(self, graph: Graph, inputs: Sequence[KnownValue]) -> list[KnownValue]:
        """Return what is known of a graph's outputs, given what is known of its inputs."""
        scope = Scope(graph, self._enclosing, parent=self._parent)
        scope.values.update(dict.fromkeys(graph.constants, CONSTANT))
        scope.values.update(zip(graph.inputs, inputs, strict=True))

        def read(operand: Any) -> KnownValue:
            return scope.values[operand] if isinstance(operand, int) else CONSTANT

        for position, operation in enumerate(graph.operations):
            self._scope, self._parent, self._position = scope, scope, position
            self._enclosing = (*scope.place, position)
            results = self._visit(operation, [read(operand) for operand in operation.operands])
            scope.values.update(zip(operation.results, results, strict=True))
            self._enclosing = scope.place
        self._parent = scope.parent
        return [replace(read(output), chosen_weights=()) for output in graph.outputs]

    def body(self, closed: Any) -> Graph:
        """Return the graph of a computation inside the current operation."""
        return self._scope.graph.flatten_body(closed)

    def preview(self, graph: Graph, inputs: Sequence[KnownValue]) -> list[KnownValue]:
        """Return what `follow` returns without noting uses."""
        return _Walk(self.shapes).follow(graph, inputs)

    def _visit(self, operation: Operation, operands: list[KnownValue]) -> list[KnownValue]:
        name = operation.name
        if name in CONTROL_FLOW:
            return enter_bodies(
                self, operation, list(map(self._bind_constant, operation.operands, operands))
            )
        if name in CONTRACTION_PRIMITIVES:
            return [self._contract(operation, operands)]
        if not any(value.weights for value in operands):
            joined_site = self._join_slices(operands) if name in SUMS else None
            chosen = modulated_weights(self._scope.graph, operation, operands)
            return propagate_signals(operation, operands, joined_site, chosen)
        if name == "dynamic_slice" and any(value.is_signal for value in operands[1:]):
            return [self._slice(operation, operands[0])]
        if operands[0].weights and name in AXIS_MOVES:
            return [KnownValue(weights) for weights in move_weights(operands[0].weights, operation)]
        if operands[0].weights and name == "gather":
            return [self._gather(operation, operands)]
        if name in ELEMENTWISE:
            operands = fix_noise(operation, operands)
        if any(value.is_signal for value in operands):
            return self._apply_elementwise(operation, operands)
        if name in ELEMENTWISE:
            return [KnownValue(combine_weights(operation, operands, self._scope.constants))]
        return join_weights(operation, operands)

    def _bind_constant(self, operand: Any, value: KnownValue) -> KnownValue:
        """Return what is known of an operand of a loop, with its values if it is a constant."""
        if value != CONSTANT:
            return value
        return replace(value, read_constant=partial(self._scope.constants.read, operand))

    def _note_use(self, use: Use) -> int:
        """Append a site and return its index."""
        self.sites.append(Site(use, self._scope, self._position))
        return len(self.sites) - 1

    def _contract(self, operation: Operation, operands: list[KnownValue]) -> KnownValue:
        weighted = [number for number in (0, 1) if operands[number].weights]
        if not weighted:
            return self._contract_chosen(operation, operands)
        if len(weighted) == 2:
            return self._multiply_matrices(operation, operands)
        (number,) = weighted
        weights = operands[number].weights
        if operands[1 - number] == CONSTANT and divides_parameter(
            self._scope.graph, self._scope.values, operation, {weight.leaf for weight in weights}
        ):
            return KnownValue(multiply_shared(operation, weights, ()))
        layout = read_operand_roles(operation, number)
        if operation.name == "conv_general_dilated" and operands[1].chosen_weights:
            for weight in weights:  # an image of parameters, under a kernel of each example
                self._note_use(Use.elementwise(weight, "token"))
            return self._contract_chosen(operation, [SIGNAL, operands[1]])
        if is_projected_latent(weights, layout):
            uses = latent_uses(weights)
        else:
            uses = [contraction_use(weight, layout) for weight in weights]
        if operands[1 - number].is_indicator:
            uses = [use.to_lookup() for use in uses]
        indices = [self._note_use(use) for use in uses]
        kernels = [index for index in indices if self.sites[index].use.role == "kernel"]
        return KnownValue(
            is_signal=True, contraction_site=max(kernels, key=self._kernel_size, default=None)
        )

    def _contract_chosen(self, operation: Operation, operands: list[KnownValue]) -> KnownValue:
        """Return a product without parameters, whose kernel may be one that a signal has selected.

        Such a kernel is one of several experts, or is modulated for each example.
        """
        if not any(value.is_signal for value in operands):
            return CONSTANT
        chosen = [number for number in (0, 1) if operands[number].chosen_weights]
        if len(chosen) != 1 or not operands[1 - chosen[0]].is_signal:
            return SIGNAL
        layout = read_operand_roles(operation, chosen[0])
        uses = [contraction_use(weight, layout) for weight in operands[chosen[0]].chosen_weights]
        indices = [self._note_use(use) for use in uses if use.role == "kernel"]
        return KnownValue(
            is_signal=True, contraction_site=max(indices, key=self._kernel_size, default=None)
        )

    def _join_slices(self, operands: list[KnownValue]) -> int | None:
        """Join two products with slices of one kernel, which are added, into one product.

        Return the index of its site, or None if the operands are not such products.
        """
        indices = [
            value.contraction_site for value in operands if value.contraction_site is not None
        ]
        if len(indices) < 2:
            return None
        first, second = (self.sites[index].use for index in indices)
        summed = [axis for axis, role in first.axis_roles if role == IN]
        size = math.prod(self.shapes[first.leaf][axis] for axis in summed)
        fan_in = (first.fan_in or 0) + (second.fan_in or 0)
        is_one_kernel = first.leaf == second.leaf and first.axis_roles == second.axis_roles
        if not is_one_kernel or fan_in > size:
            return None
        site = self.sites[indices[0]]
        self.sites[indices[0]] = replace(site, use=replace(first, fan_in=fan_in))
        return indices[0]

    def _kernel_size(self, index: int) -> float:
        use = self.sites[index].use
        return (use.fan_in or 0) * (use.fan_out or 0)

    def _multiply_matrices(self, operation: Operation, operands: list[KnownValue]) -> KnownValue:
        """Return a product of parameters: the right one is applied to the left one (LoRA).

        Uses are noted when the product meets a signal.
        """
        left, right = operands
        shared = {weight.leaf for weight in left.weights} & {
            weight.leaf for weight in right.weights
        }
        if operation.name == "dot_general" and are_projected_latents(
            left.weights, right.weights, shared
        ):
            for use in latent_uses(left.weights) + latent_uses(right.weights):
                self._note_use(use)
            return SIGNAL
        if operation.name != "dot_general" or shared:
            return KnownValue(multiply_shared(operation, left.weights, right.weights))
        rank = len(operation.shapes[0])
        left_layout, right_layout = (read_operand_roles(operation, number) for number in (0, 1))
        left_factors = [apply_factor(weight, left_layout, rank, OUT) for weight in left.weights]
        right_factors = [apply_factor(weight, right_layout, rank, IN) for weight in right.weights]
        return KnownValue((*left_factors, *right_factors))

    def _slice(self, operation: Operation, value: KnownValue) -> KnownValue:
        """Return the slice of a parameter whose position is a signal."""
        lookups = slice_lookups(operation, value.weights)
        for lookup in lookups:
            if lookup.use is not None:
                self._note_use(lookup.use)
        return KnownValue(
            is_signal=True, chosen_weights=tuple(lookup.selected for lookup in lookups)
        )

    def _gather(self, operation: Operation, operands: list[KnownValue]) -> KnownValue:
        """Return the entries of parameters at indices, which are a signal or constants."""
        lookups = gather_lookups(operation, operands[0].weights)
        selected = tuple(lookup.selected for lookup in lookups)
        if not operands[1].is_signal:
            return KnownValue(selected)
        for lookup in lookups:
            if lookup.use is not None:
                self._note_use(lookup.use)
        return KnownValue(is_signal=True, chosen_weights=selected)

    def _multiply_signal(self, operation: Operation, weight: TrackedWeight) -> None:
        """Note a scale; or a kernel, if the product is only summed over some of its axes."""
        graph = self._scope.graph
        (result,) = operation.results
        user, *others = graph.users.get(result, (self._position,))
        after = graph.operations[user]
        is_only_use = not others and result not in graph.outputs and weight.factor_kind != "right"
        is_summed = operation.name == "mul" and after.name == "reduce_sum" and after.shapes[0]
        if is_only_use and is_summed:
            use = sum_use(weight, after.params["axes"])
            if use.role == "kernel":
                self.sites.append(Site(use, self._scope, user))
                return
        self._note_use(Use.elementwise(weight, "scale"))

    def _apply_elementwise(
        self, operation: Operation, operands: list[KnownValue]
    ) -> list[KnownValue]:
        """Return the results of an operation on signals and parameters, entry by entry."""
        name = operation.name
        indices = [
            value.contraction_site for value in operands if value.contraction_site is not None
        ]
        index = indices[0] if indices else None
        weights = merge_weights(weight for value in operands for weight in value.weights)
        if any(weight.factor_kind == "right" for weight in weights) and name in SUMS | _INSERTIONS:
            for use in latent_uses(weights, "position" if name in SUMS else "token"):
                self._note_use(use)
            weights = ()
        for weight in weights:
            if name in SUMS:
                kernel = None if index is None else self.sites[index].use
                scope = self._scope
                self._note_use(addition_use(scope.graph, scope.values, operation, weight, kernel))
            elif name in PRODUCTS:
                self._multiply_signal(operation, weight)
            elif name in ELEMENTWISE or name in ("concatenate", "dynamic_update_slice"):
                self._note_use(Use.elementwise(weight, "token" if name in _INSERTIONS else "other"))
            else:
                self._note_use(Use(weight.leaf, "unread"))
        result = KnownValue(
            is_signal=True,
            contraction_site=index if name in SUMS else None,
            chosen_weights=modulated_weights(self._scope.graph, operation, operands),
        )
        return [result] * len(operation.results)
