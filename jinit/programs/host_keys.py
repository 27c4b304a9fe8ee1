"""Derive the keys of a whole computation on the host, before anything is compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jax
import numpy as np

from jinit.model import Graph, Operation
from jinit.programs.keys import (
    DATA_PRESERVING_PRIMITIVES,
    THREEFRY_DTYPE,
    is_typed_key,
    key_aval,
    key_data,
)
from jinit.sampling import fold_in_key_data, split_key_data


@dataclass(frozen=True)
class HostKeys:
    """The operations of a computation that derive keys from threefry keys and constants."""

    inputs: tuple[int, ...]
    operations: tuple[Operation, ...]
    constants: dict[int, Any]

    @classmethod
    def from_graph(cls, graph: Graph) -> Self:
        """Return the operations of a graph that the host can evaluate."""
        pairs = zip(graph.inputs, graph.avals, strict=True)
        inputs = tuple(name for name, aval in pairs if _is_key(aval))
        constants = {
            name: _host_data(value)
            for name, value in graph.constants.items()
            if _is_host_constant(value)
        }
        known = {*inputs, *constants}
        operations = []
        for operation in graph.operations:
            has_operands = all(type(o) is not int or o in known for o in operation.operands)
            if has_operands and _is_possible(operation):
                known.update(operation.results)
                operations.append(operation)
        return cls(inputs, tuple(operations), constants)

    @property
    def key_avals(self) -> dict[int, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of the derived keys, or of their data, by name."""
        key = key_aval().dtype
        return {
            name: jax.ShapeDtypeStruct(shape, key if dtype == THREEFRY_DTYPE else np.dtype(dtype))
            for operation in self.operations
            for name, shape, dtype in zip(
                operation.results, operation.shapes, operation.dtypes, strict=True
            )
        }

    def derive_keys(self, inputs: dict[int, Any]) -> dict[int, np.ndarray]:
        """Return the data of all keys by name, given the inputs of the computation by name."""
        values: dict[int, Any] = {name: _host_data(inputs[name]) for name in self.inputs}
        for operation in self.operations:
            operands = [
                (values if o in values else self.constants)[o] if type(o) is int else o.val
                for o in operation.operands
            ]
            results = _HOST_OPERATIONS[operation.primitive.name](operation.params, *operands)
            values.update(zip(operation.results, results, strict=True))
        return values


def _is_key(aval: Any) -> bool:
    return str(aval.dtype) == THREEFRY_DTYPE or (
        aval.dtype == np.uint32 and aval.shape[-1:] == (2,)
    )


def _is_host_constant(constant: Any) -> bool:
    """Return whether NumPy can hold a constant: threefry keys as data, but no other typed keys."""
    return str(constant.dtype) == THREEFRY_DTYPE or not is_typed_key(constant)


def _host_data(value: Any) -> np.ndarray:
    return np.asarray(key_data(value))


def _is_possible(operation: Operation) -> bool:
    """Return whether the host can evaluate an operation whose operands it has."""
    name, dtypes = operation.primitive.name, set(operation.dtypes)
    if name not in _HOST_OPERATIONS or not dtypes <= {THREEFRY_DTYPE, "uint32"}:
        return False
    if name == "random_split":
        is_single = operation.operand_shapes[0] == ()
        return is_single and bool(getattr(jax.config, "jax_threefry_partitionable", True))
    return name != "random_fold_in" or operation.operand_shapes[0] == operation.operand_shapes[1]


def _seed_key(params: Any, seed: Any) -> list[np.ndarray]:
    del params
    wide = np.asarray(seed).astype(np.int64 if np.asarray(seed).itemsize > 4 else np.int32)
    high = wide >> 32 if wide.itemsize > 4 else np.zeros_like(wide)
    return [np.stack([high, wide], axis=-1).astype(np.uint32)]


def _slice_data(params: Any, data: np.ndarray) -> list[np.ndarray]:
    strides = params["strides"] or [1] * len(params["start_indices"])
    bounds = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return [data[tuple(slice(*axis_bounds) for axis_bounds in bounds)]]


def _unstack_data(params: Any, data: np.ndarray) -> Sequence[np.ndarray]:
    return list(np.moveaxis(data, params["axis"], 0))


def _keep_data(params: Any, data: np.ndarray) -> list[np.ndarray]:
    del params
    return [data]


_HOST_OPERATIONS: dict[str, Callable[..., Sequence[np.ndarray]]] = {
    "random_seed": _seed_key,
    "random_fold_in": lambda params, data, number: [fold_in_key_data(data, number)],
    "random_split": lambda params, data: [split_key_data(data, params["shape"])],
    **dict.fromkeys(DATA_PRESERVING_PRIMITIVES, _keep_data),
    "slice": _slice_data,
    "squeeze": lambda params, data: [data.squeeze(tuple(params["dimensions"]))],
    "unstack": _unstack_data,
}
"""Operations on keys and their data by primitive. The data of a key has one more axis, the last, so
that axes counted from the first are the same for both."""
