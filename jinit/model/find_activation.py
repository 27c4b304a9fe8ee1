"""The activation that follows a kernel, extracted from the graph as a scalar function.

Parameters on the path are taken at their usual initial values, biases as zero and scales as one.
The products of other kernels that are added, as in a recurrent cell, are taken as zero. A
normalization divides by the moments of a standard normal pre-activation.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jinit.model.activation import (
    Activation,
    Operand,
    PathEnd,
    ScalarOperation,
    evaluate_literals,
)
from jinit.model.activation_path import ActivationPath
from jinit.model.dropout_masks import mask_probability
from jinit.model.operation import Operation
from jinit.model.primitives import (
    ELEMENTWISE,
    JOINS,
    PRODUCTS,
    REARRANGEMENTS,
    SUMS,
    VALUE_PRESERVING,
)
from jinit.model.uses import Site
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

_SPLITS = frozenset({"slice", "dynamic_slice", "split", "unstack"})
_MAX_ARGUMENTS = 2


class _NotScalarError(Exception):
    """The path is not a function of one or two pre-activations."""


def find_activation(site: Site, residual_streams: Mapping[int, int]) -> Activation | None:
    """Return the function that follows a use; None if it is not one of one or two arguments.

    Args:
      site: the use of a kernel or of an embedding.
      residual_streams: those of the graph's residual sums.
    """
    path = ActivationPath(site, residual_streams)
    try:
        return _ScalarFunction(path).build_activation()
    except _NotScalarError:
        return None


def find_end(site: Site, residual_streams: Mapping[int, int]) -> PathEnd:
    """Return how the elementwise path after a use ends.

    Args:
      site: the use.
      residual_streams: those of the graph's residual sums.
    """
    return ActivationPath(site, residual_streams).end.kind


class _ScalarFunction:
    """The operations on a path, rewritten as operations on scalars."""

    def __init__(self, path: ActivationPath) -> None:
        self.path, self.graph, self.scope = path, path.graph, path.scope
        self.producers = path.graph.producers
        self.arguments: dict[Any, int] = {}
        self.scalar_operations: list[ScalarOperation] = []
        self.operand_cache: dict[int, Operand | None] = {}

    def build_activation(self) -> Activation:
        """Return the function from the root to the last value of the path."""
        result = self._emit(self.path.end.last)
        if result is None:
            raise _NotScalarError
        return self._number_arguments(result)

    def _number_arguments(self, result: Operand) -> Activation:
        """Number the arguments, the kernel's own first, then the operations."""
        count = len(self.arguments)
        own_first = sorted(self.arguments, key=lambda label: isinstance(label, int))
        numbers = {self.arguments[label]: number for number, label in enumerate(own_first)}

        def renumber(operand: Operand) -> Operand:
            if isinstance(operand, float):
                return operand
            return numbers[operand] if operand < 0 else operand + count

        return Activation(
            argument_count=count,
            scalar_operations=tuple(
                ScalarOperation(
                    primitive=step.primitive,
                    params=step.params,
                    operands=tuple(map(renumber, step.operands)),
                    sum_size=step.sum_size,
                    sum_over=step.sum_over,
                )
                for step in self.scalar_operations
            ),
            result=renumber(result),
            end=self.path.end.kind,
            kernel_count=1 + len(self.path.added_products),
        )

    def _emit(self, value: Any) -> Operand | None:
        """Return a value as a number or literal, after emitting its operations; None if unknown."""
        if not isinstance(value, int):
            return _scalar_value(value.val)
        if value not in self.operand_cache:
            self.operand_cache[value] = self._emit_value(value)
        return self.operand_cache[value]

    def _emit_value(self, value: int) -> Operand | None:
        known = self.scope.values[value]
        if value == self.path.root:
            return self._add_argument("root")
        if value in self.graph.constants:
            return _scalar_value(self.graph.constants[value])
        if not known.is_signal and (known.weights or value not in self.producers):
            return None
        if value not in self.producers:
            return self._add_signal(value)
        return self._emit_operation(self.producers[value], value)

    def _add_signal(self, value: int) -> int | None:
        """Return the number of another signal; None for a mask or an index, which is not one."""
        return self._add_argument(value) if _is_floating(self._dtype(value)) else None

    def _add_argument(self, label: Any) -> int:
        """Return the number of an argument.

        Arguments count down from -1, so that operations can be numbered before all are known.
        """
        number = self.arguments.setdefault(label, -len(self.arguments) - 1)
        if len(self.arguments) > _MAX_ARGUMENTS:
            raise _NotScalarError
        return number

    def _emit_operation(self, operation: Operation, value: int) -> Operand | None:
        name, first = operation.name, operation.operands[0] if operation.operands else 0
        if name in _SPLITS and self._is_preactivation(first):
            return self._add_argument((name, str(operation.params), operation.results.index(value)))
        if name in _SPLITS and self._joins_statistics(first):
            return self._emit_piece(first, _piece_start(operation, operation.results.index(value)))
        if name == "convert_element_type" and not _is_floating(self._dtype(first)):
            if (chance := mask_probability(self.graph, first)) is not None:
                return math.sqrt(chance)
            return self._append_unary("number", self._emit(first))
        if _keeps_entries(name):
            return self._emit(first)
        if name == "reduce_sum" and self.path.contains(value):
            return self._append_sum(operation, self._emit(first))
        if name in REARRANGEMENTS:
            on_path = [operand for operand in operation.operands if self.path.contains(operand)]
            return self._emit(on_path[0] if on_path else first)
        if name == "select_n" and (chance := mask_probability(self.graph, first)) is not None:
            return self._emit_dropout(operation, (1 - chance, chance))
        if name in ELEMENTWISE:
            is_path_sum = name in SUMS and any(map(self.path.contains, operation.operands))
            emit = self._emit_addend if is_path_sum else self._emit
            return self._emit_elementwise(operation, list(map(emit, operation.operands)))
        return self._add_signal(value) if self.scope.is_signal(value) else None

    def _joins_statistics(self, value: Any) -> bool:
        """Return whether a value on the path is computed from statistics that were joined."""
        while self.path.contains(value) and value != self.path.root:
            operation = self.producers[value]
            if operation.name in JOINS:
                return sum(map(self.path.contains, operation.operands)) > 1
            on_path = [operand for operand in operation.operands if self.path.contains(operand)]
            if len(on_path) != 1:
                return False
            (value,) = on_path
        return False

    def _emit_piece(self, value: Any, start: int) -> Operand | None:
        """Return the part of a value that begins at an index, after emitting its operations.

        Several statistics are joined to be averaged over devices together.
        """
        if not self.path.contains(value):
            return self._emit(value)
        operation = self.producers[value]
        if operation.name in JOINS:
            return self._emit(_piece(operation, start))
        if operation.name == "reduce_sum":
            return self._append_sum(operation, self._emit_piece(operation.operands[0], start))
        if _keeps_entries(operation.name):
            return self._emit_piece(operation.operands[0], start)
        operands = [self._emit_piece(operand, start) for operand in operation.operands]
        return self._emit_elementwise(operation, operands)

    def _append_unary(self, kind: str, operand: Operand | None) -> Operand | None:
        if operand is None:
            return None
        return self._append_operation(ScalarOperation(kind, {}, (operand,)))

    def _append_sum(self, operation: Operation, operand: Operand | None) -> Operand | None:
        if operand is None:
            return None
        shape, axes = operation.operand_shapes[0], operation.params["axes"]
        size = math.prod(shape) / math.prod(operation.shapes[0])
        inner = "features" if tuple(axes) == (len(shape) - 1,) else "group"
        over = "batch" if 0 in axes and len(shape) > 1 else inner
        return self._append_operation(ScalarOperation("mean", {}, (operand,), size, over))

    def _emit_addend(self, operand: Any) -> Operand | None:
        """Return an operand of a sum on the path; the product of another kernel is unknown."""
        is_other = isinstance(operand, int) and not self.path.contains(operand)
        return None if is_other and self.path.added_kernels(operand) else self._emit(operand)

    def _emit_elementwise(
        self, operation: Operation, operands: list[Operand | None]
    ) -> Operand | None:
        known = [operand for operand in operands if operand is not None]
        if len(known) < len(operands):
            return self._resolve_unknown(operation.name, operands, known)
        if operation.name == "select_n" and isinstance(known[0], float):
            return known[1 + int(known[0])]
        step = ScalarOperation(operation.primitive, operation.params, tuple(known))
        if all(isinstance(operand, float) for operand in known):
            return evaluate_literals(step)
        return self._append_operation(step)

    def _resolve_unknown(
        self, name: str, operands: list[Operand | None], known: list[Operand]
    ) -> Operand | None:
        """Return the result if unknown terms are zero and unknown factors are one.

        A selection returns the case that depends on the pre-activation.
        """
        if name == "select_n":
            numbers = [operand for operand in operands[1:] if isinstance(operand, int)]
            return numbers[0] if numbers else None
        if not known or name not in SUMS | PRODUCTS:
            return None
        (operand,) = known
        is_first_unknown = operands[0] is None
        if name == "sub" and is_first_unknown:
            return self._append_operation(ScalarOperation(lax.neg_p, {}, (operand,)))
        if name == "div" and is_first_unknown:
            return self._append_operation(ScalarOperation(lax.div_p, {}, (1.0, operand)))
        return operand

    def _emit_dropout(self, operation: Operation, kept: tuple[float, float]) -> Operand | None:
        """Return the case of a selection by a random mask that depends on the pre-activation.

        It is multiplied by the root of the share of entries that are kept, which gives the mean
        square that it has after its other entries were replaced by zeros.

        Args:
          operation: the selection.
          kept: shares of the entries of both cases.
        """
        cases = [self._emit(operand) for operand in operation.operands[1:]]
        numbers = [case for case in cases if isinstance(case, int)]
        if len(numbers) != 1 or 0.0 not in cases:
            return numbers[0] if numbers else None
        factor = math.sqrt(kept[cases.index(numbers[0])])
        return self._append_operation(ScalarOperation.product(numbers[0], factor))

    def _append_operation(self, step: ScalarOperation) -> int:
        self.scalar_operations.append(step)
        return len(self.scalar_operations) - 1

    def _is_preactivation(self, value: Any) -> bool:
        """Return whether this is the contraction's own result, reshaped or with a bias."""
        if not self.path.contains(value):
            return False
        if value == self.path.root:
            return True
        operation = self.producers[value]
        if operation.name not in _SPLITS and _keeps_entries(operation.name):
            return self._is_preactivation(operation.operands[0])
        if operation.name not in SUMS:
            return False
        on_path = [operand for operand in operation.operands if self.path.contains(operand)]
        return len(on_path) == 1 and self._is_preactivation(on_path[0])

    def _dtype(self, value: Any) -> str:
        if isinstance(value, int) and value in self.producers:
            operation = self.producers[value]
            return operation.dtypes[operation.results.index(value)]
        if isinstance(value, int) and value in self.graph.inputs:
            return str(self.graph.avals[self.graph.inputs.index(value)].dtype)
        return "float32"


def _keeps_entries(name: str) -> bool:
    return name in VALUE_PRESERVING or (name in AXIS_MOVES and name not in REDUCTIONS)


def _piece_start(operation: Operation, result: int) -> int:
    """Return the index at which a part of an array begins, along the axis that is split."""
    if operation.name == "split":
        return sum(operation.params["sizes"][:result])
    if operation.name == "unstack":
        return result
    return max(operation.params.get("start_indices", (0,)))


def _piece(operation: Operation, start: int) -> Any:
    """Return the operand of a join that holds an index along the axis of the join."""
    if operation.name == "stack":
        return operation.operands[start]
    axis, end = operation.params["dimension"], 0
    for operand, shape in zip(operation.operands, operation.operand_shapes, strict=True):
        end += shape[axis]
        if start < end:
            return operand
    return operation.operands[-1]


def _scalar_value(value: Any) -> float | None:
    """Return the value that all entries of a constant have; None if they differ."""
    values = np.asarray(value)
    if values.dtype.kind not in "fiub" and not _is_floating(str(values.dtype)):
        return None
    values = values.astype(np.float64)
    is_uniform = values.size and (values == values.flat[0]).all()
    return float(values.flat[0]) if is_uniform else None


def _is_floating(dtype: str) -> bool:
    return bool(jnp.issubdtype(jnp.dtype(dtype), jnp.floating))
