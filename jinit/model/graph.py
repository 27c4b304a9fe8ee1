"""A traced computation as one flat list of operations, and where weights meet signals in it.

Calls (jit, remat) are inlined, so that the same network gives the same graph whatever framework
and however many wrappers it was written with.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.extend.core as jex
import numpy as np

_INLINED = frozenset({"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"})
"""Calls that can be replaced by their operations without changing gradients."""
_CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})
_ENTERED = _INLINED | _CUSTOM | {"custom_vmap_call"}
CONTRACTING = frozenset({"dot_general", "conv_general_dilated"})


@dataclass(frozen=True)
class Operation:
    """One primitive applied to numbered values or to literals."""

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]
    results: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of the results."""
    dtypes: tuple[str, ...]
    """Dtypes of the results."""
    operand_shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def name(self) -> str:
        """What it does; a sum over the axis of an outer `vmap` is a reduction like any other."""
        name, axes = self.primitive.name, self.params.get("axes", ())
        if name.startswith("psum") and self.shapes != self.operand_shapes:
            return "reduce_sum"
        return "copy" if name == "reduce_sum" and not axes else name

    def bind(self, operands: Sequence[Any]) -> list[Any]:
        """The results, for the values of the operands."""
        params = self.primitive.get_bind_params(self.params)
        results = self.primitive.bind(*operands, **params)
        return list(results) if self.primitive.multiple_results else [results]


@dataclass(frozen=True)
class Graph:
    """A flat, pure computation: numbered inputs and constants to numbered outputs."""

    inputs: tuple[int, ...]
    avals: tuple[Any, ...]
    constants: dict[int, Any]
    operations: tuple[Operation, ...]
    outputs: tuple[Any, ...]
    stored: frozenset[int] = frozenset()
    """Results of the function's own calls, which are stored when it runs without jit."""
    inlined: frozenset[str] = _INLINED
    """Calls that were replaced by their operations."""

    @classmethod
    def of(cls, function: Callable, *arguments: Any) -> "Graph":
        """Trace a function of pytrees (or shapes); inputs and outputs are its flat leaves."""
        return _Flattening(_INLINED).flatten(jax.make_jaxpr(function)(*arguments))

    @classmethod
    def eager(cls, closed: jex.ClosedJaxpr, whole: str = "") -> "Graph":
        """A traced function as it runs without jit: each call for itself, given its numbers.

        The results of the function's own calls are noted as `stored`, and the literals that it
        hands to them are constants, which a compiler must not see to round as these calls do.
        What no output needs is left out; calls of the name `whole` are kept as one operation.
        """
        return _Flattening(_INLINED, apart=True, whole=whole).flatten(closed)

    @classmethod
    def within(cls, closed: jex.ClosedJaxpr) -> "Graph":
        """The graph of a traced computation; of custom derivatives only the function is kept."""
        return _Flattening(_ENTERED).flatten(closed)

    def inside(self, closed: jex.ClosedJaxpr) -> "Graph":
        """The graph of a computation inside one of the operations, such as a loop's body."""
        return _Flattening(self.inlined).flatten(closed)

    def rounds(self, places: Sequence[int]) -> tuple[int, ...] | None:
        """How often the loops at these positions go round, each inside the one before.

        None if one of them is no loop over stacked operands.
        """
        graph, lengths = self, []
        for position in places:
            operation = graph.operations[position]
            if operation.name != "scan":
                return None
            lengths.append(operation.params["length"])
            graph = graph.inside(next(bodies(operation.params)))
        return tuple(lengths)

    def pruned(self) -> "Graph":
        """Without the operations that no output needs."""
        needed = {output for output in self.outputs if isinstance(output, int)}
        kept, given = [], set(self.inputs)
        for operation in reversed(self.operations):
            if needed.intersection(operation.results) - given:
                kept.append(operation)
                needed.update(o for o in operation.operands if isinstance(o, int))
        constants = {name: value for name, value in self.constants.items() if name in needed}
        return replace(self, operations=tuple(reversed(kept)), constants=constants)

    @cached_property
    def producers(self) -> dict[int, Operation]:
        """The operation that makes each value."""
        return {result: each for each in self.operations for result in each.results}

    @cached_property
    def users(self) -> dict[int, list[int]]:
        """Positions of the operations that take each value, in order."""
        found: dict[int, list[int]] = {}
        for position, operation in enumerate(self.operations):
            for operand in {o for o in operation.operands if isinstance(o, int)}:
                found.setdefault(operand, []).append(position)
        return found

    @property
    def unread(self) -> int:
        """Contractions inside branches, custom derivatives and loops that end when they like."""
        count = 0
        for operation in self.operations:
            for body in bodies(operation.params):
                loops = operation.name == "scan"
                count += self.inside(body).unread if loops else _count_contractions(body)
        return count

    @property
    def fingerprint(self) -> str:
        """Equal for two computations with the same operations on the same shapes, and only then."""
        digest = hashlib.sha256()
        for part in self._describe():
            digest.update(part if isinstance(part, bytes) else part.encode())
        return digest.hexdigest()

    def _describe(self, rules: bool = True) -> Iterator[str | bytes]:
        """The graph in words; `rules` adds what custom derivative rules compute."""
        number = {name: index for index, name in enumerate((*self.inputs, *self.constants))}

        def show(operand: Any) -> str:
            return f"%{number[operand]}" if isinstance(operand, int) else _plain(operand.val)

        yield repr([str(aval) for aval in self.avals])
        for value in self.constants.values():
            yield _plain(value)
        for operation in self.operations:
            operands = ",".join(map(show, operation.operands))
            number |= {name: len(number) + i for i, name in enumerate(operation.results)}
            # The dtype asked for says nothing that the dtype of the result does not.
            params = operation.params | {"preferred_element_type": None}
            yield f"{operation.primitive.name}({operands}){_plain(params)}"
            yield repr((operation.shapes, operation.dtypes))
            if rules and operation.primitive.name in _CUSTOM:
                yield from _pullback(operation)._describe(rules=False)
        yield ",".join(map(show, self.outputs))


class _Flattening:
    """Numbers the values of a jaxpr while its calls are inlined."""

    def __init__(self, inlined: frozenset[str], apart: bool = False, whole: str = "") -> None:
        self.inlined = inlined
        self.apart = apart
        self.whole = whole
        self.constants: dict[int, Any] = {}
        self.operations: list[Operation] = []
        self.stored: set[int] = set()
        self.count = 0

    def flatten(self, closed: jex.ClosedJaxpr) -> Graph:
        inputs = tuple(self._new() for _ in closed.jaxpr.invars)
        outputs = self._inline(closed, inputs)
        avals = tuple(var.aval for var in closed.jaxpr.invars)
        operations, stored = tuple(self.operations), frozenset(self.stored)
        return Graph(
            inputs, avals, self.constants, operations, tuple(outputs), stored, self.inlined
        )

    def _new(self) -> int:
        self.count += 1
        return self.count

    def _inline(
        self, closed: jex.ClosedJaxpr, operands: Sequence[Any], inside: bool = False
    ) -> list[Any]:
        names: dict[Any, Any] = dict(zip(closed.jaxpr.invars, operands, strict=True))
        for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
            names[var] = self._new()
            self.constants[names[var]] = value

        def read(atom: Any) -> Any:
            return atom if isinstance(atom, jex.Literal) else names[atom]

        own = self.apart and not inside
        for equation in _needed(closed) if own else closed.jaxpr.eqns:
            arguments = [read(atom) for atom in equation.invars]
            if own and equation.primitive.name != "broadcast_in_dim":
                arguments = list(map(self._kept, arguments))
            if self._is_inlined(equation):
                results = self._inline(next(bodies(equation.params)), arguments, inside=True)
            else:
                results = self._append(equation, arguments)
            if own:
                self.stored.update(result for result in results if isinstance(result, int))
            names.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in closed.jaxpr.outvars]

    def _is_inlined(self, equation: Any) -> bool:
        kept = self.whole and equation.params.get("name") == self.whole
        return equation.primitive.name in self.inlined and not kept

    def _kept(self, argument: Any) -> int:
        """A literal as a constant."""
        if isinstance(argument, int):
            return argument
        name = self._new()
        self.constants[name] = np.asarray(argument.val, argument.aval.dtype)
        return name

    def _append(self, equation: Any, arguments: list[Any]) -> list[int]:
        results = [self._new() for _ in equation.outvars]
        self.operations.append(
            Operation(
                equation.primitive,
                equation.params,
                tuple(arguments),
                tuple(results),
                _shapes(equation.outvars),
                tuple(_name(getattr(var.aval, "dtype", "")) for var in equation.outvars),
                _shapes(equation.invars),
            )
        )
        return results


def _needed(closed: jex.ClosedJaxpr) -> list[Any]:
    """The equations that an output needs."""
    needed = {atom for atom in closed.jaxpr.outvars if isinstance(atom, jex.Var)}
    kept = []
    for equation in reversed(closed.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            kept.append(equation)
            needed.update(atom for atom in equation.invars if isinstance(atom, jex.Var))
    return kept[::-1]


def bodies(params: dict[str, Any]) -> Iterator[jex.ClosedJaxpr]:
    """The computations inside an operation."""
    for value in params.values():
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, jex.ClosedJaxpr):
                yield item
            elif isinstance(item, jex.Jaxpr):
                yield jex.ClosedJaxpr(item, ())


def _count_contractions(closed: jex.ClosedJaxpr) -> int:
    return sum(
        (equation.primitive.name in CONTRACTING)
        + sum(_count_contractions(body) for body in bodies(equation.params))
        for equation in closed.jaxpr.eqns
    )


_name = lru_cache(maxsize=None)(str)
"""Of a dtype, which NumPy takes long to say."""


def _shapes(atoms: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(getattr(atom.aval, "shape", ()) for atom in atoms)


def _pullback(operation: Operation) -> Graph:
    """The computation of the gradient, which a custom rule may make differ from its function's."""

    def pullback(*operands: Any) -> Any:
        results, pull = jax.vjp(lambda *values: operation.bind(values), *operands)
        return pull([_cotangent(result) for result in results])

    return Graph.of(pullback, *next(bodies(operation.params)).in_avals)


def _cotangent(result: jax.Array) -> Any:
    if jax.numpy.issubdtype(result.dtype, jax.numpy.inexact):
        return result
    return np.zeros(result.shape, jax.dtypes.float0)


def _plain(value: Any) -> str:
    """A parameter of an operation as text that does not depend on where objects live."""
    if isinstance(value, dict):
        return ",".join(f"{name}={_plain(value[name])}" for name in sorted(value))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return f"[{','.join(map(_plain, value))}]"
    if isinstance(value, jex.ClosedJaxpr):
        return _Flattening(_INLINED).flatten(value).fingerprint
    if isinstance(value, jex.Jaxpr):
        return _plain(jex.ClosedJaxpr(value, ()))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return f"{value.dtype}{value.shape}{hashlib.sha256(_bytes(value)).hexdigest()}"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _bytes(value: Any) -> bytes:
    if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value).tobytes()
