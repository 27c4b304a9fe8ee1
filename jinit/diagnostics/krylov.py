"""Orthogonal bases of what a linear map makes of a vector, again and again."""

import jax.numpy as jnp
from jax import Array, lax


def fresh(basis: Array, vector: Array, scale: Array, number: Array) -> tuple[Array, Array]:
    """The direction of a vector's part off the rows of a basis, and the length of that part.

    Where nothing but rounding is left, the direction of a wave off the basis, and length 0.
    """
    info = jnp.finfo(vector.dtype)

    def off(_: int, vector: Array) -> Array:
        return vector - (basis @ vector) @ basis

    rest = off(0, vector)
    lost = jnp.linalg.norm(rest) <= 10 * info.eps * scale
    wave = jnp.sin(0.618 * (jnp.arange(vector.size, dtype=vector.dtype) + 37.1 * number) ** 2)
    rest = lax.fori_loop(0, 2, off, jnp.where(lost, wave, rest))
    length = jnp.linalg.norm(rest)
    return rest / jnp.maximum(length, info.tiny), jnp.where(lost, 0, length)
