"""Constants of a computation: their values, computed only where a scale depends on them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model.graph import Graph
from jinit.model.operation import Operation, value_numbers
from jinit.model.primitives import ELEMENTWISE, VALUE_PRESERVING

_MAX_SIZE = 1 << 24
"""Largest number of entries of a constant that is computed."""
_REPETITIONS = VALUE_PRESERVING | {
    "broadcast_in_dim",
    "reshape",
    "squeeze",
    "transpose",
    "slice",
    "expand_dims",
    "rev",
    "tile",
}
"""Operations whose result is uniform if their first operand is."""


@dataclass(frozen=True)
class ConstantScale:
    """A constant array, as far as a scale depends on it."""

    rms: float | None
    """Root mean square of its entries; None if it cannot be read."""
    value: float | None = None
    """The value of all entries; None if they differ."""

    @property
    def factor(self) -> float | None:
        """The constant as a factor: its value, or the root mean square of an array."""
        return self.rms if self.value is None else self.value


class Constants:
    """The constants of one graph.

    Args:
      graph: the computation.
      inputs: functions that return those inputs that are constants.
    """

    def __init__(self, graph: Graph, inputs: Mapping[int, Callable[[], ConstantScale]]) -> None:
        self._graph, self._inputs = graph, inputs
        self._uniform: dict[int, float | None] = {}
        self._read: dict[int, ConstantScale] = {}

    def uniform(self, operand: Any) -> float | None:
        """Return the value that all entries of a constant have; None if they may differ."""
        if not isinstance(operand, int):
            return uniform_value(operand.val)
        if operand not in self._uniform:
            self._uniform[operand] = self._compute_uniform(operand)
        return self._uniform[operand]

    def read(self, operand: Any) -> ConstantScale:
        """Return a constant, which is computed if its entries differ."""
        value = self.uniform(operand)
        if value is not None:
            return ConstantScale(abs(value), value)
        if not isinstance(operand, int):
            return ConstantScale(None)
        if operand in self._inputs:
            return self._inputs[operand]()
        if operand not in self._read:
            array = self._evaluate(operand)
            self._read[operand] = ConstantScale(None if array is None else _root_mean_square(array))
        return self._read[operand]

    def _compute_uniform(self, value: int) -> float | None:
        if value in self._graph.constants:
            return uniform_value(self._graph.constants[value])
        if value in self._inputs:
            return self._inputs[value]().value
        operation = self._graph.producers.get(value)
        if operation is None or len(operation.results) > 1:
            return None
        if operation.name in _REPETITIONS:
            number = self.uniform(operation.operands[0])
            is_cast = operation.name == "convert_element_type"
            return number if number is None or not is_cast else _cast(number, operation)
        if operation.name not in ELEMENTWISE:
            return None
        numbers = [self.uniform(operand) for operand in operation.operands]
        return None if None in numbers else _evaluate_scalars(operation, numbers)

    def _evaluate(self, value: int) -> np.ndarray | None:
        """Return the array of a constant; None if it is too large, or not a constant after all."""
        operations: dict[int, Operation] = {}
        waiting = [value]
        while waiting:
            number = waiting.pop()
            if number in self._graph.constants or number in operations:
                continue
            operation = self._graph.producers.get(number)
            size = (
                max((math.prod(shape) for shape in operation.shapes), default=0) if operation else 0
            )
            if operation is None or size > _MAX_SIZE:
                return None
            operations |= dict.fromkeys(operation.results, operation)
            waiting += value_numbers(operation.operands)
        return self._run(
            value,
            [op for op in self._graph.operations if op.results and op.results[0] in operations],
        )

    def _run(self, value: int, operations: list[Operation]) -> np.ndarray | None:
        values: dict[int, Any] = dict(self._graph.constants)

        def read(operand: Any) -> Any:
            return values[operand] if isinstance(operand, int) else jnp.asarray(operand.val)

        with jax.ensure_compile_time_eval():
            for operation in operations:
                results = operation.bind([read(operand) for operand in operation.operands])
                values |= dict(zip(operation.results, results, strict=True))
            return _numbers(values[value])


def _cast(number: float, operation: Operation) -> float:
    dtype = operation.dtypes[0]
    return number if "float" in dtype or "key" in dtype else float(np.trunc(number))


def _evaluate_scalars(operation: Operation, numbers: list[Any]) -> float | None:
    """Return the result of an elementwise operation on numbers."""
    function = _FUNCTIONS.get(operation.name)
    with np.errstate(all="ignore"):
        return None if function is None else float(function(*numbers, **_settings(operation)))


def _settings(operation: Operation) -> dict[str, Any]:
    return {"y": operation.params["y"]} if operation.name == "integer_pow" else {}


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "max": np.maximum,
    "min": np.minimum,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "square": np.square,
    "integer_pow": lambda x, y: np.power(float(x), y),
    "pow": lambda x, y: np.power(float(x), y),
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "sin": np.sin,
    "cos": np.cos,
    "floor": np.floor,
    "ceil": np.ceil,
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "select_n": lambda which, *cases: cases[int(which)],
}
"""NumPy's names for the operations that constants are computed with."""


def uniform_value(value: Any) -> float | None:
    """Return the value that all entries of an array have; None if they differ."""
    array = _numbers(value)
    if array is None or not array.size:
        return None
    first = array.flat[0]
    return float(first) if array.size == 1 or (array == first).all() else None


def _numbers(value: Any) -> np.ndarray | None:
    """Return an array of numbers, of complex ones the modulus; None for dtypes such as keys."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return None
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return np.abs(array)
    is_real = array.dtype.kind in "fiub" or jnp.issubdtype(array.dtype, jnp.floating)
    return array if is_real else None


def _root_mean_square(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype(np.float64)))))
