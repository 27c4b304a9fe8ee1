"""The activation that follows a kernel, cut out of the computation as a function of numbers.

Parameters on the way are taken at their usual starting values, biases as zero and scales as one,
and so are the products of other kernels that are added, as in a recurrent cell; a normalization
divides by the moments of a standard normal pre-activation.
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jinit.model.expression import Activation, Operand, Step, evaluated
from jinit.model.flow import MOVES, REDUCTIONS
from jinit.model.graph import CONTRACTING, Operation
from jinit.model.primitives import ELEMENTWISE, PRODUCTS, SAME, SUMS
from jinit.model.values import Value
from jinit.model.walk import Site

_PARTS = frozenset({"slice", "dynamic_slice", "split", "unstack"})
_MOST_ARGUMENTS = 2


class _MixedError(Exception):
    """More than a function of one or two pre-activations follows."""


def activation_after(site: Site, streams: Mapping[int, int]) -> Activation | None:
    """What follows a kernel; None where that is no function of one or two of its outputs.

    `streams` are those of the graph's residual sums.
    """
    try:
        return _Cut(site, streams).activation()
    except _MixedError:
        return None


def end_after(site: Site, streams: Mapping[int, int]) -> str:
    """In what the elementwise path behind a use ends."""
    return _Cut(site, streams).end()


class _Cut:
    """The path from one contraction to the first operation that is not elementwise."""

    def __init__(self, site: Site, streams: Mapping[int, int]) -> None:
        self.streams = streams
        self.graph, self.values = site.graph, site.values
        self.start = site.position
        (self.root,) = site.graph.operations[site.position].results
        self.producer = site.graph.producers
        self.path = {self.root}
        self.reduced: dict[int, int] = {}
        self.beside: set[int] = set()
        self.arguments: dict[Any, int] = {}
        self.steps: list[Step] = []
        self.emitted: dict[int, Operand | None] = {}

    def activation(self) -> Activation:
        last, end, _ = self._follow(self.root)
        result = self._emit(last)
        if result is None:
            raise _MixedError
        return self._numbered(result, end)

    def end(self) -> str:
        return self._follow(self.root)[1]

    def _numbered(self, result: Operand, end: str) -> Activation:
        """Arguments first, the kernel's own before another's; then steps."""
        count = len(self.arguments)
        others_last = sorted(self.arguments, key=lambda label: isinstance(label, int))
        places = {self.arguments[label]: place for place, label in enumerate(others_last)}

        def new(operand: Operand) -> Operand:
            if isinstance(operand, float):
                return operand
            return places[operand] if operand < 0 else operand + count

        steps = tuple(
            Step(step.primitive, step.params, tuple(map(new, step.operands)), step.count)
            for step in self.steps
        )
        return Activation(count, steps, new(result), end, 1 + len(self.beside))

    def _follow(self, start: int) -> tuple[int, str, Any]:
        """The last value before the path from one on ends, in what, and by which operation."""
        last = start
        for operation in self._touching(start):
            touched = [o for o in operation.operands if self._on_path(o)]
            end = self._end(operation, touched)
            if end and touched[0] in self.reduced:
                return self.reduced[touched[0]], "pooling", operation
            if end == "attention":
                return self._weighted(touched[0], operation)
            if end:
                return touched[0], end, operation
            self._lengthen(operation, touched)
            last = operation.results[0]
        outputs = [o for o in self.graph.outputs if self._on_path(o)]
        return (outputs[0] if outputs else last), "output", None

    def _weighted(self, last: int, operation: Operation) -> tuple[int, str, Any]:
        """A product with another signal: attention, unless a stream takes in what it weights."""
        beside = set(self.beside)
        self.path.update(operation.results)
        _, end, sum_ = self._follow(operation.results[0])
        self.beside = beside
        joins = end == "residual" and self._sources().intersection(_numbers(sum_.operands))
        return last, "residual" if joins else "attention", operation

    def _sources(self) -> set[int]:
        """All values that the kernel's own input is made of."""
        found = {self.root}
        for operation in reversed(self.graph.operations[: self.start + 1]):
            if found.intersection(operation.results):
                found.update(_numbers(operation.operands))
        return found

    def _touching(self, start: int) -> Iterator[Operation]:
        """Operations on what is made of a value, in execution order."""
        waiting = list(self.graph.users.get(start, ()))
        seen = set(waiting)
        while waiting:
            operation = self.graph.operations[heapq.heappop(waiting)]
            yield operation
            for result in operation.results:
                for position in self.graph.users.get(result, ()):
                    if position not in seen:
                        seen.add(position)
                        heapq.heappush(waiting, position)

    def _on_path(self, value: Any) -> bool:
        return isinstance(value, int) and value in self.path

    def _lengthen(self, operation: Operation, touched: list[int]) -> None:
        self.path.update(operation.results)
        if operation.name == "reduce_sum":
            self.reduced[operation.results[0]] = touched[0]
        elif all(value in self.reduced for value in touched):
            self.reduced[operation.results[0]] = self.reduced[touched[0]]

    def _end(self, operation: Operation, touched: list[int]) -> str:
        """In what the path ends with this operation; empty if it goes on."""
        name = operation.name
        if name in CONTRACTING:
            return "attention" if self._meets_signal(operation, touched) else "product"
        if name.startswith("reduce_window"):
            return "pooling"
        if name in REDUCTIONS:
            return "" if name == "reduce_sum" else "softmax"
        if name in MOVES or name in SAME:
            return ""
        if name == "concatenate":
            return "" if len(touched) == 1 else "other"
        if name not in ELEMENTWISE:
            return "other"
        return self._meeting(operation, name, touched)

    def _meets_signal(self, operation: Operation, touched: list[int]) -> bool:
        others = [o for o in operation.operands if isinstance(o, int) and o not in touched]
        return len(touched) > 1 or any(self.values[other].signal for other in others)

    def _meeting(self, operation: Operation, name: str, touched: list[int]) -> str:
        others = [
            o
            for o in operation.operands
            if isinstance(o, int) and o not in self.path and self.values[o].signal
        ]
        if not others or name in PRODUCTS:
            return ""
        if name in SUMS:
            products = list(map(self._products, others))
            self.beside.update(*products)
            if all(products):
                return ""
            return "shortcut" if self.streams.get(operation.results[0]) in touched else "residual"
        return "" if name == "select_n" and others == [operation.operands[0]] else "other"

    def _products(self, value: int) -> set[int]:
        """The results of other kernels that add up to this, if it goes nowhere else."""
        users = len(self.graph.users.get(value, ())) + self.graph.outputs.count(value)
        if users > 1 or value not in self.producer:
            return set()
        operation = self.producer[value]
        name = operation.name
        if name in CONTRACTING:
            return set() if self.values[value].product is None else {value}
        if name not in SAME | SUMS and (name not in MOVES or name in REDUCTIONS):
            return set()
        parts = [self._products(o) for o in _numbers(operation.operands) if self.values[o].signal]
        return set().union(*parts) if all(parts) else set()

    def _emit(self, value: Any) -> Operand | None:
        """The number of a value among arguments and steps, a literal, or None if it is unknown."""
        if not isinstance(value, int):
            return _number(value.val)
        if value not in self.emitted:
            self.emitted[value] = self._made(value)
        return self.emitted[value]

    def _made(self, value: int) -> Operand | None:
        known: Value = self.values[value]
        if value == self.root:
            return self._argument("root")
        if value in self.graph.constants:
            return _number(self.graph.constants[value])
        if not known.signal and (known.weights or value not in self.producer):
            return None
        if value not in self.producer:
            return self._argument(value)
        return self._result(self.producer[value], value)

    def _argument(self, label: Any) -> int:
        """Arguments count down from -1, so that steps can be numbered before all are known."""
        number = self.arguments.setdefault(label, -len(self.arguments) - 1)
        if len(self.arguments) > _MOST_ARGUMENTS:
            raise _MixedError
        return number

    def _result(self, operation: Operation, value: int) -> Operand | None:
        name, first = operation.name, operation.operands[0] if operation.operands else 0
        if name in _PARTS and self._is_raw(first):
            return self._argument((name, str(operation.params), operation.results.index(value)))
        if name == "convert_element_type" and not _is_floating(self._dtype(first)):
            operand = self._emit(first)
            return None if operand is None else self._append(Step("number", {}, (operand,)))
        if name in SAME or (name in MOVES and name not in REDUCTIONS):
            return self._emit(first)
        if name == "reduce_sum" and value in self.path:
            count = math.prod(operation.operand_shapes[0]) / math.prod(operation.shapes[0])
            operand = self._emit(first)
            return None if operand is None else self._append(Step("mean", {}, (operand,), count))
        if name == "concatenate":
            inside = [o for o in operation.operands if self._on_path(o)]
            return self._emit(inside[0] if inside else first)
        if name in ELEMENTWISE:
            joins = name in SUMS and any(map(self._on_path, operation.operands))
            emit = self._addend if joins else self._emit
            return self._elementwise(operation, list(map(emit, operation.operands)))
        return self._argument(value) if self.values[value].signal else None

    def _addend(self, operand: Any) -> Operand | None:
        """An operand of a sum on the path; another kernel's product counts as zero."""
        other = isinstance(operand, int) and operand not in self.path
        return None if other and self._products(operand) else self._emit(operand)

    def _elementwise(self, operation: Operation, operands: list[Operand | None]) -> Operand | None:
        known = [operand for operand in operands if operand is not None]
        name = operation.name
        if len(known) < len(operands):
            return self._around_unknown(name, operands, known)
        step = Step(operation.primitive, operation.params, tuple(known))
        if all(isinstance(operand, float) for operand in known):
            return evaluated(step)
        return self._append(step)

    def _around_unknown(
        self, name: str, operands: list[Operand | None], known: list[Operand]
    ) -> Operand | None:
        """Unknown biases are zero and unknown scales one; an unknown mask lets everything pass."""
        if name == "select_n":
            numbers = [operand for operand in operands[1:] if isinstance(operand, int)]
            return numbers[0] if numbers else None
        if not known or name not in SUMS | PRODUCTS:
            return None
        (operand,) = known
        first_unknown = operands[0] is None
        if name == "sub" and first_unknown:
            return self._append(Step(lax.neg_p, {}, (operand,)))
        if name == "div" and first_unknown:
            return self._append(Step(lax.div_p, {}, (1.0, operand)))
        return operand

    def _append(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def _is_raw(self, value: Any) -> bool:
        """Whether this is the contraction's own result, moved or with a bias."""
        if not self._on_path(value):
            return False
        if value == self.root:
            return True
        operation = self.producer[value]
        name = operation.name
        if name in SAME or (name in MOVES and name not in REDUCTIONS and name not in _PARTS):
            return self._is_raw(operation.operands[0])
        if name not in SUMS:
            return False
        inside = [o for o in operation.operands if self._on_path(o)]
        return len(inside) == 1 and self._is_raw(inside[0])

    def _dtype(self, value: Any) -> str:
        if isinstance(value, int) and value in self.producer:
            operation = self.producer[value]
            return operation.dtypes[operation.results.index(value)]
        return "float32"


def _numbers(operands: Iterable[Any]) -> list[int]:
    """The operands that are no literals."""
    return [operand for operand in operands if isinstance(operand, int)]


def _number(value: Any) -> float | None:
    """The one value of a constant; None if it has several."""
    values = np.asarray(value)
    if values.dtype.kind not in "fiub" and not _is_floating(str(values.dtype)):
        return None
    values = values.astype(np.float64)
    same = values.size and (values == values.flat[0]).all()
    return float(values.flat[0]) if same else None


def _is_floating(dtype: str) -> bool:
    return bool(jnp.issubdtype(jnp.dtype(dtype), jnp.floating))
