"""Operations on known numbers, done while a computation is read and not when it runs."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import Graph, Operation

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


def folded(graph: Graph) -> Graph:
    """Without the operations on constant scalars that every library rounds alike."""
    constants, operations = dict(graph.constants), []
    for operation in graph.operations:
        values = [constants.get(o) if type(o) is int else o.val for o in operation.operands]
        if values and set(operation.shapes) == {()} and all(map(is_scalar, values)):
            results = _computed(operation, values)
        else:
            results = None
        if results is None:
            operations.append(operation)
        else:
            constants |= zip(operation.results, results, strict=True)
    return replace(graph, constants=constants, operations=tuple(operations))


def _computed(operation: Operation, numbers: list[Any]) -> list[np.ndarray] | None:
    """By numpy what it does exactly as any compiler; integers by JAX; None for all else."""
    compute = _EXACT.get(operation.primitive.name)
    if compute is not None and set(operation.dtypes) == {"float32"}:
        return [np.asarray(compute(*map(np.float32, numbers)), np.float32)]
    if not all(dtype.startswith(("int", "uint", "bool")) for dtype in operation.dtypes):
        return None
    with jax.ensure_compile_time_eval():
        results = operation.bind([jnp.asarray(number) for number in numbers])
        return list(map(np.asarray, results))


def is_scalar(value: Any) -> bool:
    """Whether this is one known number; a key is none."""
    if value is None or np.ndim(value):
        return False
    return not jnp.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key)
