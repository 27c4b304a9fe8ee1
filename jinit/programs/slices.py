"""Cut a computation into one small program per output, so that equal ones compile once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Graph, Operation
from jinit.programs.evaluate import draw_outputs
from jinit.programs.folding import is_scalar
from jinit.programs.keys import DATA_PRESERVING_PRIMITIVES, is_typed_key, key_aval, wrap_key
from jinit.programs.windows import reshape_draw

_SELECTION_PRIMITIVES = frozenset(
    {"slice", "squeeze", "unstack", "rev", "reshape", "transpose", "dynamic_slice", "gather"}
)
"""Primitives that select or rearrange the keys that a split returns."""
_KEY_PRIMITIVES = DATA_PRESERVING_PRIMITIVES | {"random_fold_in", "random_split"}
_KEY_CHAIN_PRIMITIVES = _KEY_PRIMITIVES | _SELECTION_PRIMITIVES
_CAST_PRIMITIVES = frozenset({"convert_element_type", "reduce_precision"})
_UNIFORM_PRIMITIVES = _CAST_PRIMITIVES | {"reshape", "transpose", "broadcast_in_dim"}
"""Primitives whose results have one value in all entries if their operands do."""


@dataclass(frozen=True, eq=False)
class Slice:
    """The part of a computation that one output needs."""

    graph: Graph
    """Its inputs are `inputs`, then `scalar_inputs`; slices with equal graphs share a program."""
    inputs: tuple[int, ...]
    """Names of the values of the computation that it needs: inputs, and keys derived from them."""
    scalar_inputs: tuple[np.ndarray, ...]
    """Scalars, such as the numbers that are folded into keys, and scales."""

    def evaluate(
        self, inputs: Sequence[Any], scalars: Sequence[Any], window_start: Any = None
    ) -> Array:
        """Return the output for other inputs and scalars.

        Args:
          inputs: values of the inputs; keys may be given as their data.
          scalars: values of the scalar inputs.
          window_start: number of the first entry, if the slice draws one window.
        """
        avals = self.graph.avals[: len(inputs)]
        typed = [
            wrap_key(value, "threefry2x32") if is_typed_key(aval) else value
            for value, aval in zip(inputs, avals, strict=True)
        ]
        (output,) = draw_outputs(self.graph, [*typed, *scalars], window_start)
        return jnp.asarray(output)

    @cached_property
    def compiled(self) -> Callable[..., Array]:
        """`evaluate` as one compiled call, which vmap does not take apart into other roundings."""
        return jax.jit(self.evaluate)

    def with_shape(self, shape: tuple[int, ...]) -> "Slice | None":
        """Return the same draw in another shape; None if it is not entry by entry."""
        graph = reshape_draw(self.graph, shape)
        return graph and replace(self, graph=graph)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        (output,) = self.graph.outputs
        if not isinstance(output, int):
            return ()
        producer = self.graph.producers.get(output)
        if producer:
            return producer.shapes[producer.results.index(output)]
        given = dict(zip(self.graph.inputs, self.graph.avals, strict=True)) | self.graph.constants
        return tuple(given[output].shape)

    @property
    def constant_value(self) -> Any:
        """The value that all entries have; None if they are drawn or differ."""
        operations = self.graph.operations
        names = {operation.primitive.name for operation in operations}
        literals = [
            o.val for operation in operations for o in operation.operands if type(o) is not int
        ]
        values = [*literals, *self.scalar_inputs]
        if self.inputs or len(values) != 1 or not names <= _UNIFORM_PRIMITIVES:
            return None
        return None if self.graph.constants else self._transform_constant(values[0])

    def _transform_constant(self, number: Any) -> Any:
        """Return a number after the casts of the slice."""
        with jax.ensure_compile_time_eval():
            for operation in self.graph.operations:
                if operation.primitive.name in _CAST_PRIMITIVES:
                    params = operation.primitive.get_bind_params(operation.params)
                    number = operation.primitive.bind(jnp.asarray(number), **params)
            return np.asarray(number)

    @property
    def parameter_key_slice(self) -> "Slice":
        """The draw as a function of the parameter's key instead of the model's key.

        A network makes the key of a parameter by folding numbers into its own key, or by splitting
        it and selecting one of the keys, one time after the other. The parameter's key is the last
        key of this chain on which the whole draw depends.
        """
        if len(self.inputs) != 1:
            return self
        pruned = replace(self.graph, inputs=(_find_parameter_key(self.graph),)).prune()
        used = {o for operation in pruned.operations for o in operation.operands if type(o) is int}
        scalars = zip(self.graph.inputs[1:], self.graph.avals[1:], self.scalar_inputs, strict=True)
        kept = [(name, aval, number) for name, aval, number in scalars if name in used]
        names, avals, numbers = zip(*kept, strict=True) if kept else ((), (), ())
        graph = replace(pruned, inputs=(*pruned.inputs, *names), avals=(key_aval(), *avals))
        return replace(self, graph=graph, scalar_inputs=numbers)


def _find_parameter_key(graph: Graph) -> int:
    """Return the last key of the chain of single operations that begins at the first input."""
    users: dict[int, list[Operation]] = {}
    outputs = {output for output in graph.outputs if isinstance(output, int)}
    for operation in graph.operations:
        for operand in operation.operands:
            if isinstance(operand, int):
                users.setdefault(operand, []).append(operation)
    name = parameter_key = graph.inputs[0]
    while len(users.get(name, ())) == 1 and name not in graph.outputs:
        (operation,) = users[name]
        used = [n for n, result in enumerate(operation.results) if result in users.keys() | outputs]
        if operation.primitive.name not in _KEY_CHAIN_PRIMITIVES or len(used) != 1:
            break
        name, shape = operation.results[used[0]], operation.shapes[used[0]]
        if shape == () and operation.dtypes[used[0]].startswith("key<"):
            parameter_key = name
    return parameter_key


def output_slicer(
    graph: Graph, extra_inputs: Mapping[int, Any] | None = None
) -> Callable[[int], Slice]:
    """Return a function that cuts out the slice of an output, by number.

    Args:
      graph: a graph made by `Graph.eager_from_jaxpr`.
      extra_inputs: shapes and dtypes of values that a slice takes as inputs, by name.
    """
    extra_inputs = extra_inputs or {}
    producers = {
        result: (position, operation)
        for position, operation in enumerate(graph.operations)
        for result in operation.results
        if result not in extra_inputs
    }
    avals = dict(zip(graph.inputs, graph.avals, strict=True)) | dict(extra_inputs)

    def cut(number: int) -> Slice:
        output = graph.outputs[number]
        return _build_slice(graph, avals, _needed_operations(producers, output), output)

    return cut


def _needed_operations(producers: dict[int, tuple[int, Operation]], output: Any) -> list[Operation]:
    """Return the operations that an output needs, in order.

    Unlike `Graph.prune`, this takes time proportional to the slice, not to the whole graph.
    """
    needed: dict[int, Operation] = {}
    waiting = [output]
    while waiting:
        value = waiting.pop()
        position, operation = producers.get(value, (0, None)) if type(value) is int else (0, None)
        if operation is not None and position not in needed:
            needed[position] = operation
            waiting += operation.operands
    return [needed[position] for position in sorted(needed)]


def _build_slice(
    graph: Graph, avals: dict[int, Any], operations: list[Operation], output: Any
) -> Slice:
    """Return operations as a slice, with constant scalars turned into inputs."""
    used = {o for operation in operations for o in operation.operands if isinstance(o, int)}
    used |= {output} if isinstance(output, int) else set()
    produced = {result for operation in operations for result in operation.results}
    inputs = tuple(name for name in avals if name in used - produced)
    constants = {name: value for name, value in graph.constants.items() if name in used}
    scalars = {name: np.asarray(value) for name, value in constants.items() if is_scalar(value)}
    cut = Graph(
        inputs=(*inputs, *scalars),
        avals=(*(avals[name] for name in inputs), *map(_scalar_aval, scalars.values())),
        constants={name: value for name, value in constants.items() if name not in scalars},
        operations=tuple(operations),
        outputs=(output,),
        stored_values=graph.stored_values,
    )
    return Slice(cut, inputs, tuple(scalars.values()))


def _scalar_aval(number: np.ndarray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(number.shape, number.dtype)
