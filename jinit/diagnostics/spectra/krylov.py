"""Jacobians as linear maps, and orthogonal bases of Krylov spaces."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.model import PyTree


def jacobian_products(
    function: Callable[[PyTree], Array], point: PyTree
) -> tuple[Array, Callable[[PyTree], Array], Callable[[Array], PyTree]]:
    """Return the values of a function at a point, and products with its Jacobian there.

    The product with the Jacobian is the transpose of the product with its transpose, so that
    functions with only a custom VJP work.

    Returns:
      The values, the map v ↦ J v, and the map u ↦ Jᵀ u.
    """
    values, pullback = jax.vjp(function, point)
    pushforward = jax.linear_transpose(pullback, values)
    return values, lambda vector: pushforward((vector,))[0], lambda vector: pullback(vector)[0]


def orthogonalize(basis: Array, vector: Array, scale: Array, number: Array) -> tuple[Array, Array]:
    """Return the direction and the length of a vector's component orthogonal to a basis.

    Where nothing but rounding error is left, the direction is a deterministic replacement
    orthogonal to the basis, and the length 0.

    Args:
      basis: orthonormal rows, and rows of zeros.
      vector: the vector.
      scale: size of the vectors before orthogonalization, relative to which rounding is judged.
      number: number of the step, which selects the replacement.
    """
    info = jnp.finfo(vector.dtype)

    def project(_: int, vector: Array) -> Array:
        return vector - (basis @ vector) @ basis

    component = project(0, vector)
    is_lost = jnp.linalg.norm(component) <= 10 * info.eps * scale
    wave = jnp.sin(0.618 * (jnp.arange(vector.size, dtype=vector.dtype) + 37.1 * number) ** 2)
    component = lax.fori_loop(0, 2, project, jnp.where(is_lost, wave, component))
    length = jnp.linalg.norm(component)
    return component / jnp.maximum(length, info.tiny), jnp.where(is_lost, 0, length)


def bidiagonalize(
    maps: tuple[Callable[[Array], Array], Callable[[Array], Array]],
    spaces: tuple[Array, Array],
    steps: int,
    key: Array,
) -> tuple[Array, Array]:
    """Return the diagonals α and β of the Golub-Kahan bidiagonalization of a linear map.

    Args:
      maps: v ↦ J v and u ↦ Jᵀ u.
      spaces: a vector v and a vector u, of which only shape and dtype are used. The iteration
        begins in the smaller space.
      steps: number of steps.
      key: key of the first vector.
    """
    forward, backward = maps
    domain, codomain = spaces
    if codomain.size < domain.size:
        forward, backward, domain, codomain = backward, forward, codomain, domain
    first = jax.random.normal(jax.random.fold_in(key, steps), domain.shape, domain.dtype)
    right = jnp.zeros((steps + 1, domain.size), domain.dtype)
    right = right.at[0].set(first / jnp.linalg.norm(first))
    left = jnp.zeros((steps, codomain.size), codomain.dtype)

    def step(number: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        right, left, alphas, betas = state
        scale = jnp.maximum(alphas.max(), betas.max())
        unit, length = orthogonalize(left, forward(right[number]), scale, number)
        left, alphas = left.at[number].set(unit), alphas.at[number].set(length)
        scale = jnp.maximum(scale, length)
        unit, length = orthogonalize(right, backward(unit), scale, number)
        return right.at[number + 1].set(unit), left, alphas, betas.at[number].set(length)

    zeros = jnp.zeros(steps, domain.dtype)
    _, _, alphas, betas = lax.fori_loop(0, steps, step, (right, left, zeros, zeros))
    return alphas, betas.at[-1].set(0) if steps == domain.size else betas
