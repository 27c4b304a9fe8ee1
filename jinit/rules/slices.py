"""A computation cut into one small program per output, so that equal ones are compiled once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.model import Graph, Operation
from jinit.rules.evaluate import drawn
from jinit.rules.folding import is_scalar
from jinit.rules.windows import lifted

_KEY_STEPS = frozenset({"random_fold_in", "random_wrap", "random_unwrap", "random_clone"})
_CASTS = frozenset({"convert_element_type", "reduce_precision"})
_MOVES = _CASTS | {"reshape", "transpose"}


@dataclass(frozen=True, eq=False)
class Slice:
    """What one output of a computation needs; equal ones differ in `numbers` and `inputs` only."""

    graph: Graph
    """Its inputs are values of the computation, then one per number."""
    inputs: tuple[int, ...]
    """Names of the values of the computation that it needs: its inputs, keys made of them."""
    numbers: tuple[np.ndarray, ...]
    """Scalars: of what the keys are made, the position and name of a layer usually, and scales."""

    def call(self, inputs: Sequence[Any], numbers: Sequence[Any], start: Any = None) -> Array:
        """The output, or of a window that which begins at `start`, for other inputs and numbers.

        Keys may be given as their data.
        """
        avals = self.graph.avals[: len(inputs)]
        typed = [_typed(value, aval) for value, aval in zip(inputs, avals, strict=True)]
        (output,) = drawn(self.graph, [*typed, *numbers], start)
        return jnp.asarray(output)

    def lifted(self, shape: tuple[int, ...]) -> "Slice | None":
        """The same draw in another shape; None if there is no such."""
        graph = lifted(self.graph, shape)
        return graph and replace(self, graph=graph)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output."""
        (output,) = self.graph.outputs
        if not isinstance(output, int):
            return ()
        made = self.graph.producers.get(output)
        if made:
            return made.shapes[made.results.index(output)]
        given = dict(zip(self.graph.inputs, self.graph.avals, strict=True)) | self.graph.constants
        return tuple(given[output].shape)

    @property
    def constant(self) -> Any:
        """The one number that all entries are; None if they are drawn or differ."""
        operations = self.graph.operations
        names = {operation.primitive.name for operation in operations}
        literals = [o.val for each in operations for o in each.operands if type(o) is not int]
        values = [*literals, *self.numbers]
        if self.inputs or len(values) != 1 or not names <= {"broadcast_in_dim", *_MOVES}:
            return None
        return None if self.graph.constants else self._moved(values[0])

    def _moved(self, number: Any) -> Any:
        """One number after all that is done to it: casts, and rounding."""
        with jax.ensure_compile_time_eval():
            for operation in self.graph.operations:
                if operation.primitive.name in _CASTS:
                    params = operation.primitive.get_bind_params(operation.params)
                    number = operation.primitive.bind(jnp.asarray(number), **params)
            return np.asarray(number)

    @property
    def from_own_key(self) -> "Slice":
        """The same draw, begun at the parameter's own key: what makes that key is left out.

        A network makes the key of a parameter by folding numbers into its own key, one after the
        other. The last key of that chain that all of the draw comes from is the parameter's own.
        """
        if len(self.inputs) != 1:
            return self
        keyed = replace(self.graph, inputs=(_own_key(self.graph),)).pruned()
        used = {o for operation in keyed.operations for o in operation.operands if type(o) is int}
        given = zip(self.graph.inputs[1:], self.graph.avals[1:], self.numbers, strict=True)
        kept = [(name, aval, number) for name, aval, number in given if name in used]
        names, avals, numbers = zip(*kept, strict=True) if kept else ((), (), ())
        key = jax.eval_shape(jax.random.key, 0)
        cut = replace(keyed, inputs=(*keyed.inputs, *names), avals=(key, *avals))
        return replace(self, graph=cut, numbers=numbers)


def _typed(value: Any, aval: Any) -> Any:
    """A key, if it is one, of its data."""
    is_key = jnp.issubdtype(aval.dtype, jax.dtypes.prng_key)
    if not is_key or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value
    return jax.random.wrap_key_data(value, impl="threefry2x32")


def _own_key(graph: Graph) -> int:
    """The last key of the chain of single steps that begins at the graph's first input."""
    users: dict[int, list[Operation]] = {}
    for operation in graph.operations:
        for operand in operation.operands:
            if isinstance(operand, int):
                users.setdefault(operand, []).append(operation)
    name = own = graph.inputs[0]
    while len(users.get(name, ())) == 1 and name not in graph.outputs:
        (step,) = users[name]
        if step.primitive.name not in _KEY_STEPS:
            break
        (name,) = step.results
        if step.shapes == ((),) and step.dtypes[0].startswith("key<"):
            own = name
    return own


def slicing(graph: Graph, given: Mapping[int, Any] | None = None) -> Callable[[int], Slice]:
    """Cuts one output after the other, by number, out of a graph made by `Graph.eager`.

    `given` are values besides its inputs, by name, that a slice need not compute.
    """
    given = given or {}
    producers = {
        result: (place, operation)
        for place, operation in enumerate(graph.operations)
        for result in operation.results
        if result not in given
    }
    values = _values(graph, given)

    def cut(number: int) -> Slice:
        output = graph.outputs[number]
        return _slice(graph, values, _closure(producers, output), output)

    return cut


def _values(graph: Graph, given: Mapping[int, Any]) -> dict[int, Any]:
    """What may stand at the edge of a slice, by name: inputs and given values."""
    return dict(zip(graph.inputs, graph.avals, strict=True)) | dict(given)


def _closure(producers: dict[int, tuple[int, Operation]], output: Any) -> list[Operation]:
    """The operations that an output needs, in order."""
    found: dict[int, Operation] = {}
    waiting = [output]
    while waiting:
        value = waiting.pop()
        place, operation = producers.get(value, (0, None)) if type(value) is int else (0, None)
        if operation is not None and place not in found:
            found[place] = operation
            waiting += operation.operands
    return [found[place] for place in sorted(found)]


def _slice(graph: Graph, values: dict[int, Any], operations: list[Operation], output: Any) -> Slice:
    """The operations as a graph of their own, with constant scalars turned into inputs."""
    used = {o for operation in operations for o in operation.operands if isinstance(o, int)}
    used |= {output} if isinstance(output, int) else set()
    made = {result for operation in operations for result in operation.results}
    inputs = tuple(name for name in values if name in used - made)
    constants = {name: value for name, value in graph.constants.items() if name in used}
    numbers = {name: np.asarray(value) for name, value in constants.items() if is_scalar(value)}
    cut = Graph(
        (*inputs, *numbers),
        (*(values[name] for name in inputs), *map(_aval, numbers.values())),
        {name: value for name, value in constants.items() if name not in numbers},
        tuple(operations),
        (output,),
        graph.stored,
    )
    return Slice(cut, inputs, tuple(numbers.values()))


def _aval(number: np.ndarray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(number.shape, number.dtype)
