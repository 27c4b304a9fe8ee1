"""Rates of sampling and of matrix products on the default device."""

import statistics
import time
from collections.abc import Callable
from typing import Any

_REPEATS = 7


def measure_rates(size: int = 2048) -> dict[str, float]:
    """Return medians of a few runs, compilation excluded.

    Args:
      size: width and height of the matrices.

    Returns:
      Normal values per second by jinit and by JAX (`jinit_normal`, `jax_normal`), both float32,
      and floating-point operations per second of a product of two matrices in float32 (`matmul`)
      and bfloat16 (`matmul_bfloat16`).

    >>> sorted(measure_rates(8))
    ['jax_normal', 'jinit_normal', 'matmul', 'matmul_bfloat16']
    """
    import jax
    import jax.numpy as jnp

    from jinit.initializers import normal

    key = jax.random.key(0)
    shape = (size, size)
    matrix = jax.random.normal(key, shape)
    values, operations = float(matrix.size), 2.0 * size**3
    product = jax.jit(jnp.matmul)
    draw, theirs = normal(1.0), jax.jit(jax.nn.initializers.normal(1.0), static_argnums=1)
    low = matrix.astype(jnp.bfloat16)
    return {
        "jinit_normal": values / _median_seconds(lambda: draw(key, shape)),
        "jax_normal": values / _median_seconds(lambda: theirs(key, shape)),
        "matmul": operations / _median_seconds(lambda: product(matrix, matrix)),
        "matmul_bfloat16": operations / _median_seconds(lambda: product(low, low)),
    }


def _median_seconds(run: Callable[[], Any]) -> float:
    import jax

    jax.block_until_ready(run())
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)
