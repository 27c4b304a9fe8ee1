"""The keys of a whole computation, made on the host before anything is compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jax
import numpy as np

from jinit.model import Graph, Operation
from jinit.sampling import fold_in_data, split_data

_FUSED = "key<fry>"


@dataclass(frozen=True)
class HostKeys:
    """The operations of a computation that make keys of its threefry keys and known numbers."""

    inputs: tuple[int, ...]
    operations: tuple[Operation, ...]
    constants: dict[int, Any]

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """As many of a graph's first steps as the host can take."""
        inputs = tuple(
            name for name, aval in zip(graph.inputs, graph.avals, strict=True) if _is_key(aval)
        )
        constants = {
            name: _data(value) for name, value in graph.constants.items() if _is_known(value)
        }
        known = {*inputs, *constants}
        operations = []
        for operation in graph.operations:
            if all(type(o) is not int or o in known for o in operation.operands) and _possible(
                operation
            ):
                known.update(operation.results)
                operations.append(operation)
        return cls(inputs, tuple(operations), constants)

    @property
    def made(self) -> dict[int, jax.ShapeDtypeStruct]:
        """Names of the keys, or of their data, and what they are."""
        key = jax.eval_shape(jax.random.key, 0).dtype
        return {
            name: jax.ShapeDtypeStruct(shape, key if dtype == _FUSED else np.dtype(dtype))
            for operation in self.operations
            for name, shape, dtype in zip(
                operation.results, operation.shapes, operation.dtypes, strict=True
            )
        }

    def run(self, inputs: dict[int, Any]) -> dict[int, np.ndarray]:
        """The data of all keys, by name, for the values of the computation's inputs."""
        values: dict[int, Any] = {name: _data(inputs[name]) for name in self.inputs}
        for operation in self.operations:
            operands = [
                (values if o in values else self.constants)[o] if type(o) is int else o.val
                for o in operation.operands
            ]
            results = _STEPS[operation.primitive.name](operation.params, *operands)
            values.update(zip(operation.results, results, strict=True))
        return values


def _is_key(aval: Any) -> bool:
    return str(aval.dtype) == _FUSED or (aval.dtype == np.uint32 and aval.shape[-1:] == (2,))


def _is_known(constant: Any) -> bool:
    """Whether NumPy can hold it: threefry keys as their data, those of no other kind."""
    return str(constant.dtype) == _FUSED or not _is_typed(constant)


def _is_typed(value: Any) -> bool:
    return jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)


def _data(value: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(value) if _is_typed(value) else value)


def _possible(operation: Operation) -> bool:
    name, dtypes = operation.primitive.name, set(operation.dtypes)
    if name not in _STEPS or not dtypes <= {_FUSED, "uint32"}:
        return False
    if name == "random_split":
        one = operation.operand_shapes[0] == ()
        return one and bool(getattr(jax.config, "jax_threefry_partitionable", True))
    return name != "random_fold_in" or operation.operand_shapes[0] == operation.operand_shapes[1]


def _seeded(params: Any, seed: Any) -> list[np.ndarray]:
    del params
    wide = np.asarray(seed).astype(np.int64 if np.asarray(seed).itemsize > 4 else np.int32)
    high = wide >> 32 if wide.itemsize > 4 else np.zeros_like(wide)
    return [np.stack([high, wide], axis=-1).astype(np.uint32)]


def _sliced(params: Any, data: np.ndarray) -> list[np.ndarray]:
    steps = params["strides"] or [1] * len(params["start_indices"])
    bounds = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return [data[tuple(slice(*each) for each in bounds)]]


def _unstacked(params: Any, data: np.ndarray) -> Sequence[np.ndarray]:
    return list(np.moveaxis(data, params["axis"], 0))


def _same(params: Any, data: np.ndarray) -> list[np.ndarray]:
    del params
    return [data]


# Data has an axis of two words behind those of a key, so that what leading axes say holds for both.
_STEPS: dict[str, Callable[..., Sequence[np.ndarray]]] = {
    "random_seed": _seeded,
    "random_fold_in": lambda params, data, number: [fold_in_data(data, number)],
    "random_split": lambda params, data: [split_data(data, params["shape"])],
    **dict.fromkeys(("random_wrap", "random_unwrap", "random_clone"), _same),
    "slice": _sliced,
    "squeeze": lambda params, data: [data.squeeze(tuple(params["dimensions"]))],
    "unstack": _unstacked,
}
