"""Fold operations on known scalars while a computation is read."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import Graph, Operation

_EXACT_OPERATIONS = {
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
"""Operations that every library rounds alike."""


def fold_constants(graph: Graph) -> Graph:
    """Return the graph with exact operations on constant scalars replaced by their results."""
    constants, operations = dict(graph.constants), []
    for operation in graph.operations:
        values = [constants.get(o) if type(o) is int else o.val for o in operation.operands]
        results = None
        if values and set(operation.shapes) == {()} and all(map(is_scalar, values)):
            results = _compute_exactly(operation, values)
        if results is None:
            operations.append(operation)
        else:
            constants |= zip(operation.results, results, strict=True)
    return replace(graph, constants=constants, operations=tuple(operations))


def _compute_exactly(operation: Operation, numbers: list[Any]) -> list[np.ndarray] | None:
    """Return exact float32 results by NumPy and integer results by JAX; None for all others."""
    compute = _EXACT_OPERATIONS.get(operation.primitive.name)
    if compute is not None and set(operation.dtypes) == {"float32"}:
        return [np.asarray(compute(*map(np.float32, numbers)), np.float32)]
    if not all(dtype.startswith(("int", "uint", "bool")) for dtype in operation.dtypes):
        return None
    with jax.ensure_compile_time_eval():
        results = operation.bind([jnp.asarray(number) for number in numbers])
        return list(map(np.asarray, results))


def is_scalar(value: Any) -> bool:
    """Return whether a value is one known number; keys are not numbers."""
    if value is None or np.ndim(value):
        return False
    return not jnp.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key)
