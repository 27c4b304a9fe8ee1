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
    """Without the operations on constant scalars: their results are computed, one by one."""
    constants, operations = dict(graph.constants), []
    for operation in graph.operations:
        known = all(
            is_scalar(constants.get(o) if type(o) is int else o.val) for o in operation.operands
        )
        scalar = operation.operands and set(operation.shapes) == {()}
        if known and scalar and not any(dtype.startswith("key<") for dtype in operation.dtypes):
            values = [constants[o] if type(o) is int else o.val for o in operation.operands]
            constants |= zip(operation.results, _computed(operation, values), strict=True)
        else:
            operations.append(operation)
    return replace(graph, constants=constants, operations=tuple(operations))


def _computed(operation: Operation, numbers: list[Any]) -> list[np.ndarray]:
    """By numpy, where every library rounds alike, else by JAX, which has to compile it."""
    compute = _EXACT.get(operation.primitive.name)
    if compute is not None and set(operation.dtypes) == {"float32"}:
        return [np.asarray(compute(*map(np.float32, numbers)), np.float32)]
    with jax.ensure_compile_time_eval():
        results = operation.bind([jnp.asarray(number) for number in numbers])
        return list(map(np.asarray, results))


def is_scalar(value: Any) -> bool:
    """Whether this is one known number; a key is none."""
    if value is None or np.ndim(value):
        return False
    return not jnp.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.prng_key)
