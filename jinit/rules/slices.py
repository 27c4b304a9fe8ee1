"""A computation cut into one small program per output, so that equal ones are compiled once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.model import Graph, Operation, Scan
from jinit.sampling import bits, fence

_EXACT = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "sqrt": np.sqrt,
    "max": np.maximum,
    "min": np.minimum,
    "neg": np.negative,
    "nextafter": np.nextafter,
    "convert_element_type": np.float32,
    "stop_gradient": np.positive,
}
_KEY_STEPS = frozenset({"random_fold_in", "random_wrap", "random_unwrap", "random_clone"})


@dataclass(frozen=True, eq=False)
class Slice:
    """What one output of a computation needs; equal ones differ in `numbers` and `inputs` only."""

    graph: Graph
    """Its inputs are the computation's own that it needs, then one per number."""
    inputs: tuple[int, ...]
    """Which inputs of the computation it needs."""
    numbers: tuple[np.ndarray, ...]
    """Scalars: of what the keys are made, the position and name of a layer usually, and scales."""

    def from_key(self, key: Array, numbers: Sequence[Array]) -> Array:
        """The output of a draw that needs a key at most."""
        return self.call([key] if self.inputs else [], numbers)

    def call(self, inputs: Sequence[Any], numbers: Sequence[Array]) -> Array:
        """The output, for other inputs and numbers."""
        (output,) = drawn(self.graph, [*inputs, *numbers])
        return jnp.asarray(output)

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
        return Slice(cut, self.inputs, numbers)


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


def slices(graph: Graph) -> list[Slice]:
    """One per output, in order, of a graph made by `Graph.eager`."""
    graph = _folded(graph.pruned())
    producers = {
        result: operation for operation in graph.operations for result in operation.results
    }
    order = {id(operation): place for place, operation in enumerate(graph.operations)}
    return [
        _slice(graph, sorted(_closure(producers, output), key=lambda each: order[id(each)]), output)
        for output in graph.outputs
    ]


def names(parts: Sequence[Slice]) -> list[str]:
    """Equal for slices that compute the same from their inputs and numbers, in any process.

    Slices of one trace that do the same steps share them, so that few have to be spelled out.
    """
    known: dict[Any, str] = {}
    found = []
    for part in parts:
        steps = _steps(part.graph)
        if steps not in known:
            known[steps] = f"{part.graph.fingerprint} {_stored(part.graph)}"
        found.append(known[steps])
    return found


def _stored(graph: Graph) -> str:
    """Which results are rounded, in order."""
    results = (result for operation in graph.operations for result in operation.results)
    return "".join("01"[result in graph.stored] for result in results)


def _steps(graph: Graph) -> Any:
    """The operations with what identifies their settings within one trace."""
    number: dict[int, int] = {}

    def place(operand: Any) -> Any:
        if isinstance(operand, int):
            return number.setdefault(operand, len(number))
        return repr(operand.val), str(operand.aval)

    steps = [tuple(map(place, graph.inputs)), tuple(map(str, graph.avals))]
    for operation in graph.operations:
        settings = (_setting(value) for value in operation.params.values())
        operands = *map(place, operation.operands), *map(place, operation.results)
        steps += [operation.primitive.name, *settings, operands, operation.shapes]
    constants = ((place(name), id(value)) for name, value in graph.constants.items())
    return (*steps, *constants, *map(place, graph.outputs), _stored(graph))


def _setting(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


def _folded(graph: Graph) -> Graph:
    """Without the operations on constant scalars: their results are computed, one by one."""
    constants, operations = dict(graph.constants), []
    for operation in graph.operations:
        known = all(
            _is_scalar(constants.get(o) if type(o) is int else o.val) for o in operation.operands
        )
        scalar = operation.operands and set(operation.shapes) == {()}
        if known and scalar and not any(dtype.startswith("key<") for dtype in operation.dtypes):
            values = [constants[o] if type(o) is int else o.val for o in operation.operands]
            constants |= zip(operation.results, _computed(operation, values), strict=True)
        else:
            operations.append(operation)
    return replace(graph, constants=constants, operations=tuple(operations))


def _computed(operation: Operation, numbers: list[Any]) -> list[np.ndarray]:
    """By numpy, where every library rounds alike, else by JAX, which has to compile it."""
    compute = _EXACT.get(operation.primitive.name)
    if compute is not None and set(operation.dtypes) == {"float32"}:
        return [np.asarray(compute(*map(np.float32, numbers)), np.float32)]
    with jax.ensure_compile_time_eval():
        results = operation.bind([jnp.asarray(number) for number in numbers])
        return list(map(np.asarray, results))


def _is_scalar(value: Any) -> bool:
    """Whether this is one known number; a key is none."""
    if value is None or np.ndim(value):
        return False
    return not jnp.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key)


def _closure(producers: dict[int, Operation], output: Any) -> list[Operation]:
    """The operations that an output needs."""
    found: dict[int, Operation] = {}
    waiting = [output]
    while waiting:
        value = waiting.pop()
        operation = producers.get(value) if isinstance(value, int) else None
        if operation is not None and id(operation) not in found:
            found[id(operation)] = operation
            waiting += operation.operands
    return list(found.values())


def _slice(graph: Graph, operations: list[Operation], output: Any) -> Slice:
    """The operations as a graph of their own, with constant scalars turned into inputs."""
    used = {o for operation in operations for o in operation.operands if isinstance(o, int)}
    used |= {output} if isinstance(output, int) else set()
    inputs = tuple(place for place, name in enumerate(graph.inputs) if name in used)
    constants = {name: value for name, value in graph.constants.items() if name in used}
    numbers = {name: np.asarray(value) for name, value in constants.items() if _is_scalar(value)}
    cut = Graph(
        (*(graph.inputs[place] for place in inputs), *numbers),
        (*(graph.avals[place] for place in inputs), *map(_aval, numbers.values())),
        {name: value for name, value in constants.items() if name not in numbers},
        tuple(operations),
        (output,),
        graph.stored,
    )
    return Slice(cut, inputs, tuple(numbers.values()))


def _aval(number: np.ndarray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(number.shape, number.dtype)


def drawn(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The graph's outputs, from jinit's own random words, rounded wherever a value is stored."""
    values = dict(zip(graph.inputs, inputs, strict=True)) | graph.constants

    def read(operand: Any) -> Any:
        return values[operand] if isinstance(operand, int) else operand.val

    used = {o for operation in graph.operations for o in operation.operands if isinstance(o, int)}
    used |= {output for output in graph.outputs if isinstance(output, int)}
    for operation in graph.operations:
        results = _results(operation, [read(operand) for operand in operation.operands], used)
        for name, result in zip(operation.results, results, strict=True):
            stored = name in graph.stored and result is not None
            values[name] = _rounded(result) if stored else result
    return [read(output) for output in graph.outputs]


def _results(operation: Operation, operands: list[Any], used: set[int]) -> list[Any]:
    name = operation.primitive.name
    if name == "random_bits":
        return [_bits(operands[0], operation.params["bit_width"], operation.params["shape"])]
    if name == "scan":
        return _scan(operation, operands, [result in used for result in operation.results])
    return operation.bind(operands)


def _bits(keys: Array, width: int, shape: tuple[int, ...]) -> Array:
    def draw(key: Array) -> Array:
        return bits(key, shape, f"uint{width}")

    for _ in range(keys.ndim):
        draw = jax.vmap(draw)
    return draw(keys)


def _rounded(value: Any) -> Any:
    return fence(value) if jnp.issubdtype(value.dtype, jnp.inexact) else value


def _scan(operation: Operation, operands: list[Any], wanted: list[bool]) -> list[Any]:
    """The loop without what nobody asked for, such as the layers' outputs at initialization."""
    scan, params = Scan.of(operation), operation.params
    body, fixed, carried = scan.body, scan.fixed, scan.carried
    first = fixed + carried
    keep, needed = _needed(body, wanted, fixed, carried)
    inside = replace(body, outputs=tuple(body.outputs[place] for place in keep)).pruned()
    carries = [place for place in keep if place < carried]
    steps = [place for place in needed if place >= first]

    def step(carry: list[Any], xs: list[Any]) -> tuple[list[Any], list[Any]]:
        inputs: list[Any] = [*operands[:fixed], *[None] * (len(operands) - fixed)]
        for place, value in zip(carries, carry, strict=True):
            inputs[fixed + place] = value
        for place, value in zip(steps, xs, strict=True):
            inputs[place] = value
        outputs = drawn(inside, inputs)
        return outputs[: len(carries)], outputs[len(carries) :]

    start = [operands[fixed + place] for place in carries]
    last, stacked = lax.scan(
        step, start, [operands[place] for place in steps], params["length"], params["reverse"]
    )
    results: list[Any] = [None] * len(wanted)
    for place, value in zip(keep, [*last, *stacked], strict=True):
        results[place] = value
    return results


def _needed(
    body: Graph, wanted: Iterable[bool], fixed: int, carried: int
) -> tuple[list[int], list[int]]:
    """Outputs of a loop's body that are needed, and the inputs they need, carries included."""
    keep = {place for place, each in enumerate(wanted) if each}
    while True:
        outputs = tuple(body.outputs[place] for place in sorted(keep))
        cut = replace(body, outputs=outputs).pruned()
        read = {o for operation in cut.operations for o in operation.operands if isinstance(o, int)}
        read |= {output for output in outputs if isinstance(output, int)}
        inputs = [place for place, name in enumerate(body.inputs) if name in read]
        wider = keep | {place - fixed for place in inputs if fixed <= place < fixed + carried}
        if wider == keep:
            return sorted(keep), inputs
        keep = wider
