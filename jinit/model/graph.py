"""A traced computation as one flat list of operations.

Calls (jit, remat) are inlined, so that a network gives the same graph whatever the framework and
the number of wrappers it was written with.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.extend.core as jex
import numpy as np

from jinit.model.operation import (
    Operation,
    Place,
    bodies,
    count_contractions,
    needed_equations,
    value_numbers,
)

_INLINED_CALLS = frozenset(
    {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
)
"""Calls that can be replaced by their operations without changing gradients."""
_CUSTOM_CALLS = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})
_ALL_CALLS = _INLINED_CALLS | _CUSTOM_CALLS | {"custom_vmap_call"}


@dataclass(frozen=True)
class Graph:
    """A flat, pure computation from numbered inputs and constants to numbered outputs.

    There are three ways to flatten a computation. `from_function` inlines the calls whose
    derivative is that of their operations, and keeps custom derivative rules as operations.
    `primal_from_jaxpr` inlines these as well, for questions about values only.
    `eager_from_jaxpr` also records what is rounded and stored when the function runs without jit.

    >>> import jax, jax.numpy as jnp
    >>> Graph.from_function(jax.jit(lambda x: jnp.sin(x) + 1), jnp.ones(3)).outputs
    (3,)
    """

    inputs: tuple[int, ...]
    avals: tuple[Any, ...]
    """Abstract values of the inputs."""
    constants: dict[int, Any]
    operations: tuple[Operation, ...]
    outputs: tuple[Any, ...]
    """Numbers of values, or literals of the jaxpr."""
    stored_values: frozenset[int] = frozenset()
    """Results of the function's own calls, which are stored when it runs without jit."""
    inlined_calls: frozenset[str] = _INLINED_CALLS
    """Names of the primitives that were replaced by their operations."""

    @classmethod
    def from_function(cls, function: Callable, *arguments: Any) -> "Graph":
        """Trace a function of pytrees of arrays or shapes.

        Args:
          function: a pure function.
          arguments: its arguments.

        Returns:
          The graph, whose inputs and outputs are the flat leaves of the function's.
        """
        return cls.from_jaxpr(jax.make_jaxpr(function)(*arguments))

    @classmethod
    def from_jaxpr(cls, closed: jex.ClosedJaxpr) -> "Graph":
        """Flatten a traced computation, as `from_function` does.

        Args:
          closed: the traced computation.
        """
        return _Flattener(_INLINED_CALLS).flatten(closed)

    @classmethod
    def primal_from_jaxpr(cls, closed: jex.ClosedJaxpr) -> "Graph":
        """Flatten a traced computation, dropping custom derivative rules.

        Args:
          closed: the traced computation.
        """
        return _Flattener(_ALL_CALLS).flatten(closed)

    @classmethod
    def eager_from_jaxpr(cls, closed: jex.ClosedJaxpr, opaque_call: str = "") -> "Graph":
        """Flatten a traced function as it runs without jit, where each call is compiled alone.

        The results of the function's own calls become `stored_values`. The literals that it passes
        to these calls become constants: as literals of one large program they would let a compiler
        simplify across calls and round differently. Equations that no output needs are left out.

        Args:
          closed: the traced function.
          opaque_call: name of a call to keep as one operation.
        """
        return _Flattener(_INLINED_CALLS, eager=True, opaque_call=opaque_call).flatten(closed)

    def flatten_body(self, closed: jex.ClosedJaxpr) -> "Graph":
        """Flatten a computation inside one of the operations, such as the body of a loop.

        Args:
          closed: the computation, from `bodies(operation.params)`.
        """
        return _Flattener(self.inlined_calls).flatten(closed)

    def loop_lengths(self, place: Place) -> tuple[int, ...] | None:
        """Return the trip counts of nested loops, given their positions from the outside in.

        Args:
          place: the positions.

        Returns:
          The lengths, or None if one of the operations is not a loop over stacked operands.
        """
        graph, lengths = self, []
        for position in place:
            operation = graph.operations[position]
            if operation.name != "scan":
                return None
            lengths.append(operation.params["length"])
            graph = graph.flatten_body(next(bodies(operation.params)))
        return tuple(lengths)

    def prune(self) -> "Graph":
        """Return the graph without the operations that no output needs."""
        given = frozenset(self.inputs)
        needed = set(value_numbers(self.outputs)) - given
        kept = []
        for operation in reversed(self.operations):
            if not needed.isdisjoint(operation.results):
                kept.append(operation)
                needed.update(v for v in value_numbers(operation.operands) if v not in given)
        constants = {name: value for name, value in self.constants.items() if name in needed}
        return replace(self, operations=tuple(reversed(kept)), constants=constants)

    @cached_property
    def producers(self) -> dict[int, Operation]:
        """The operation that produces each value."""
        return {result: operation for operation in self.operations for result in operation.results}

    @cached_property
    def users(self) -> dict[int, list[int]]:
        """Positions of the operations that use each value, in order."""
        users: dict[int, list[int]] = {}
        for position, operation in enumerate(self.operations):
            for operand in set(value_numbers(operation.operands)):
                users.setdefault(operand, []).append(position)
        return users

    @property
    def unread_contractions(self) -> int:
        """Number of contractions inside operations that are not a `scan`, such as branches."""
        count = 0
        for operation in self.operations:
            for body in bodies(operation.params):
                count += (
                    self.flatten_body(body).unread_contractions
                    if operation.name == "scan"
                    else count_contractions(body)
                )
        return count

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for two graphs with the same operations on the same shapes."""
        digest = hashlib.sha256()
        for part in self._canonical_text():
            digest.update(part if isinstance(part, bytes) else part.encode())
        return digest.hexdigest()

    def _canonical_text(self, derivatives: bool = True) -> Iterator[str | bytes]:
        """Yield the text to hash; `derivatives` adds the computations of custom derivatives."""
        number = {name: index for index, name in enumerate((*self.inputs, *self.constants))}

        def show(operand: Any) -> str:
            return f"%{number[operand]}" if isinstance(operand, int) else _plain_text(operand.val)

        yield repr([str(aval) for aval in self.avals])
        for value in self.constants.values():
            yield _plain_text(value)
        for operation in self.operations:
            operands = ",".join(map(show, operation.operands))
            number |= {name: len(number) + i for i, name in enumerate(operation.results)}
            # The preferred element type repeats the dtype of the result.
            params = operation.params | {"preferred_element_type": None}
            yield f"{operation.primitive.name}({operands}){_plain_text(params)}"
            yield repr((operation.shapes, operation.dtypes))
            if derivatives and operation.primitive.name in _CUSTOM_CALLS:
                yield from _pullback(operation)._canonical_text(derivatives=False)
        yield ",".join(map(show, self.outputs))


class _Flattener:
    """Builder of a `Graph`, which numbers the values of a jaxpr and inlines its calls."""

    def __init__(
        self, inlined_calls: frozenset[str], eager: bool = False, opaque_call: str = ""
    ) -> None:
        self.inlined_calls = inlined_calls
        self.eager = eager
        self.opaque_call = opaque_call
        self.constants: dict[int, Any] = {}
        self.operations: list[Operation] = []
        self.stored_values: set[int] = set()
        self.count = 0

    def flatten(self, closed: jex.ClosedJaxpr) -> Graph:
        inputs = tuple(self._next_number() for _ in closed.jaxpr.invars)
        outputs = self._inline(closed, inputs)
        return Graph(
            inputs=inputs,
            avals=tuple(var.aval for var in closed.jaxpr.invars),
            constants=self.constants,
            operations=tuple(self.operations),
            outputs=tuple(outputs),
            stored_values=frozenset(self.stored_values),
            inlined_calls=self.inlined_calls,
        )

    def _next_number(self) -> int:
        self.count += 1
        return self.count

    def _inline(
        self, closed: jex.ClosedJaxpr, operands: Sequence[Any], nested: bool = False
    ) -> list[Any]:
        names: dict[Any, Any] = dict(zip(closed.jaxpr.invars, operands, strict=True))
        for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
            names[var] = self._next_number()
            self.constants[names[var]] = value

        def read(atom: Any) -> Any:
            return atom if isinstance(atom, jex.Literal) else names[atom]

        is_own_call = self.eager and not nested
        for equation in needed_equations(closed) if is_own_call else closed.jaxpr.eqns:
            arguments = [read(atom) for atom in equation.invars]
            if is_own_call and equation.primitive.name != "broadcast_in_dim":
                arguments = list(map(self._lift_literal, arguments))
            if self._is_inlined(equation):
                results = self._inline(next(bodies(equation.params)), arguments, nested=True)
            else:
                results = self._append(equation, arguments)
            if is_own_call:
                self.stored_values.update(value_numbers(results))
            names.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in closed.jaxpr.outvars]

    def _is_inlined(self, equation: Any) -> bool:
        is_opaque = self.opaque_call and equation.params.get("name") == self.opaque_call
        return equation.primitive.name in self.inlined_calls and not is_opaque

    def _lift_literal(self, argument: Any) -> int:
        """Return the number of the argument, after making it a constant if it is a literal."""
        if isinstance(argument, int):
            return argument
        name = self._next_number()
        self.constants[name] = np.asarray(argument.val, argument.aval.dtype)
        return name

    def _append(self, equation: Any, arguments: list[Any]) -> list[int]:
        results = [self._next_number() for _ in equation.outvars]
        self.operations.append(Operation.from_equation(equation, arguments, results))
        return results


def _pullback(operation: Operation) -> Graph:
    """Return the gradient of an operation; its function does not show its custom rule."""

    def pullback(*operands: Any) -> Any:
        results, pull = jax.vjp(lambda *values: operation.bind(values), *operands)
        return pull([_cotangent(result) for result in results])

    return Graph.from_function(pullback, *next(bodies(operation.params)).in_avals)


def _cotangent(result: jax.Array) -> Any:
    if jax.numpy.issubdtype(result.dtype, jax.numpy.inexact):
        return result
    return np.zeros(result.shape, jax.dtypes.float0)


def _plain_text(value: Any) -> str:
    """Return a parameter of an operation as text without memory addresses."""
    if isinstance(value, dict):
        return ",".join(f"{name}={_plain_text(value[name])}" for name in sorted(value))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return f"[{','.join(map(_plain_text, value))}]"
    if isinstance(value, jex.ClosedJaxpr):
        return _Flattener(_INLINED_CALLS).flatten(value).fingerprint
    if isinstance(value, jex.Jaxpr):
        return _plain_text(jex.ClosedJaxpr(value, ()))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return f"{value.dtype}{value.shape}{hashlib.sha256(_bytes(value)).hexdigest()}"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _bytes(value: Any) -> bytes:
    if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value).tobytes()
