"""A function as a linear map, and orthogonal bases of what it makes of a vector again and again."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax


def both_ways(
    function: Callable[[Array], Array], at: Array
) -> tuple[Array, Callable[[Array], Array], Callable[[Array], Array]]:
    """Values at a point, and products of the Jacobian there and of its transpose with a vector.

    The first is the transpose of the second, so that a derivative of one's own, which JAX knows
    backward only, will do.
    """
    values, back = jax.vjp(function, at)
    forth = jax.linear_transpose(back, values)
    return values, lambda vector: forth((vector,))[0], lambda vector: back(vector)[0]


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
