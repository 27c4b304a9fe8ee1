"""Recurrent kernels and forget gates, found by what the body of a loop does to its carry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jinit.model.control_flow import carried_inputs
from jinit.model.operation import CONTRACTION_PRIMITIVES, value_numbers
from jinit.model.primitives import VALUE_PRESERVING
from jinit.model.uses import Scope, Site

_LOOPS = frozenset({"scan", "while"})


class ForgetGate(NamedTuple):
    """The units of a bias that are added into the forget gate of a loop.

    The gate is a sigmoid that multiplies a carried value, to which something is added that does not
    depend on the gate.
    """

    start: int
    """First unit along the last axis of the bias."""
    size: int
    """Number of units."""
    constant: float = 0.0
    """Number that the computation adds to them."""


@dataclass(frozen=True)
class Recurrences:
    """The parameters that act on the carry of loops, by index."""

    kernels: frozenset[int]
    """Kernels that lead from a carried value to a carried value; only elementwise operations are
    before them."""
    forget_gates: dict[int, ForgetGate]
    """Biases of forget gates; only those that are certain."""


def find_recurrences(sites: Sequence[Site]) -> Recurrences:
    """Find the kernels and the forget gates that act on values carried by loops.

    Args:
      sites: all uses of the parameters of a computation, from `find_sites`.
    """
    kernels: set[int] = set()
    gates: dict[int, ForgetGate] = {}
    for scope in dict.fromkeys(site.scope for site in sites):
        body = _LoopBody.of(scope)
        if body is None:
            continue
        kernels |= {
            site.use.leaf
            for site in sites
            if site.scope is scope and site.is_contraction and body.reads_carry(site)
        }
        for leaf, gate in body.forget_gates():
            gates.setdefault(leaf, gate)
    return Recurrences(frozenset(kernels), gates)


@dataclass(frozen=True)
class _LoopBody:
    """One iteration of a loop, with the values that it carries."""

    scope: Scope
    carried: tuple[tuple[int, Any], ...]
    """Pairs of the carried input and the output that becomes it."""

    @classmethod
    def of(cls, scope: Scope) -> "_LoopBody | None":
        """Return the body of a loop; None if the scope is not one."""
        if scope.parent is None:
            return None
        loop = scope.parent.graph.operations[scope.place[-1]]
        if loop.name not in _LOOPS:
            return None
        inputs = [scope.graph.inputs[number] for number in carried_inputs(loop, scope.graph)]
        return cls(scope, tuple(zip(inputs, scope.graph.outputs, strict=False)))

    def reads_carry(self, site: Site) -> bool:
        """Return whether a product takes in a carried value, with no other product before it, and
        a carried value depends on its result."""
        carried = {before for before, _ in self.carried}
        if not any(site.operation.results[0] in self._depends_on(each) for _, each in self.carried):
            return False
        signals = [each for each in site.operation.operands if self.scope.is_signal(each)]
        return any(carried & self._depends_on(each, stop=True) for each in signals)

    def forget_gates(self) -> Iterator[tuple[int, ForgetGate]]:
        """Yield the biases of forget gates, by the index of the parameter."""
        for before, after in self.carried:
            terms = list(self._terms(after))
            for term in terms if len(terms) > 1 else ():
                gate = self._gate(term, before)
                others = [each for each in terms if each is not term]
                if gate is None or any(gate in self._depends_on(each) for each in others):
                    continue  # without a gate, or the gate also scales what is added
                found = _GateBias(self.scope).find(gate)
                if found is not None:
                    yield found

    def _gate(self, term: Any, carried: int) -> int | None:
        """Return the sigmoid in the product of a sigmoid and a carried value; None without one."""
        operation = self.scope.graph.producers.get(term) if isinstance(term, int) else None
        if operation is None or operation.name != "mul":
            return None
        factors = [self._unmoved(operand) for operand in operation.operands]
        others = [each for each in factors if isinstance(each, int) and each != carried]
        sigmoids = [each for each in others if self._is_sigmoid(each)]
        return sigmoids[0] if carried in factors and len(sigmoids) == len(others) == 1 else None

    def _is_sigmoid(self, value: int) -> bool:
        operation = self.scope.graph.producers.get(value)
        return operation is not None and operation.name == "logistic"

    def _terms(self, value: Any) -> Iterator[Any]:
        value = self._unmoved(value)
        operation = self.scope.graph.producers.get(value) if isinstance(value, int) else None
        if operation is None or operation.name not in ("add", "add_any"):
            yield value
            return
        for operand in operation.operands:
            yield from self._terms(operand)

    def _unmoved(self, value: Any) -> Any:
        """Return the value before operations that change no entry."""
        while isinstance(value, int) and value in self.scope.graph.producers:
            operation = self.scope.graph.producers[value]
            if operation.name not in VALUE_PRESERVING:
                return value
            value = operation.operands[0]
        return value

    def _depends_on(self, value: Any, *, stop: bool = False) -> set[Any]:
        """Return all values that a value is computed from; with `stop`, up to products."""
        seen, waiting = set(), [value]
        while waiting:
            current = waiting.pop()
            if not isinstance(current, int) or current in seen:
                continue
            seen.add(current)
            operation = self.scope.graph.producers.get(current)
            if operation is None or (stop and operation.name in CONTRACTION_PRIMITIVES):
                continue
            waiting += value_numbers(operation.operands)
        return seen


class _GateBias:
    """The search for the bias that is added into a gate, through fused gates and joined biases.

    Args:
      scope: the body of the loop.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._constant = 0.0
        self._is_certain = True
        self._found: list[tuple[int, int, int]] = []

    def find(self, gate: int) -> tuple[int, ForgetGate] | None:
        """Return the first bias of a gate with its units; None if it is not certain."""
        operation = self._scope.graph.producers[gate]
        size = operation.shapes[0][-1] if operation.shapes[0] else 0
        self._add(operation.operands[0], 0, size)
        if not self._found or not self._is_certain or not size:
            return None
        leaf, start, stop = self._found[0]
        return leaf, ForgetGate(int(start), int(stop - start), self._constant)

    def _add(self, value: Any, start: int, stop: int) -> None:
        """Note the biases and the constants of a sum, in an interval of its last axis."""
        if not isinstance(value, int):
            self._add_constant(value)
            return
        if self._scope.values[value].weights and not self._scope.is_signal(value):
            self._add_parameter(value, start, stop)
            return
        operation = self._scope.graph.producers.get(value)
        if operation is None:
            self._is_certain &= self._scope.is_signal(value)
        elif operation.name in ("add", "add_any"):
            for operand in operation.operands:
                self._add(operand, start, stop)
        elif self._scope.is_constant(value) or operation.name == "sub":
            self._is_certain = False
        elif (moved := self._move(value, start, stop)) is not None:
            self._add(*moved)

    def _add_constant(self, literal: Any) -> None:
        number = np.asarray(getattr(literal, "val", np.nan), np.float64)
        self._is_certain &= number.size == 1
        self._constant += float(number.ravel()[0]) if number.size == 1 else 0.0

    def _add_parameter(self, value: int, start: int, stop: int) -> None:
        weights = self._scope.values[value].weights
        axes = weights[0].axes if len(weights) == 1 else None
        segments = [segment for axis in axes or () for segment in axis if segment.size > 1]
        if len(segments) == 1 and segments[0].axis == 0 and not weights[0].factor_kind:
            self._found.append((weights[0].leaf, start, stop))
            return
        moved = self._move(value, start, stop)
        if moved is None or not isinstance(moved[0], int):
            self._is_certain = False
        else:
            self._add_parameter(*moved)

    def _move(self, value: int, start: int, stop: int) -> tuple[Any, int, int] | None:
        """Return the operand that holds an interval of the last axis, and where it holds it."""
        operation = self._scope.graph.producers.get(value)
        if operation is None or not operation.operand_shapes[0]:
            return None
        name, params, before = operation.name, operation.params, operation.operands[0]
        result = operation.results.index(value)
        after, last = operation.shapes[result], len(operation.operand_shapes[0]) - 1
        if name in VALUE_PRESERVING:
            return before, start, stop
        if name in ("reshape", "broadcast_in_dim", "squeeze", "expand_dims"):
            is_kept = bool(after) and operation.operand_shapes[0][-1] == after[-1]
            return (before, start, stop) if is_kept else None
        if name == "slice" and set(params.get("strides") or (1,)) == {1}:
            offset = params["start_indices"][-1]
            return before, start + offset, stop + offset
        if name == "split" and params["axis"] == last:
            offset = sum(params["sizes"][:result])
            return before, start + offset, stop + offset
        if name == "concatenate" and params["dimension"] == last:
            return _piece(operation.operands, operation.operand_shapes, start, stop)
        return None


def _piece(
    operands: Sequence[Any], shapes: Sequence[Sequence[int]], start: int, stop: int
) -> tuple[Any, int, int] | None:
    """Return the operand of a join that holds a whole interval, with the interval in it."""
    offset = 0
    for operand, shape in zip(operands, shapes, strict=True):
        if offset <= start and stop <= offset + shape[-1]:
            return operand, start - offset, stop - offset
        offset += shape[-1]
    return None
