"""Networks for tests of methods that normalize units, and statistics of their units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals

TOLERANCE = 2e-5
"""Rounding in float32 of the mean and the standard deviation of a unit, in units of the latter."""


def draw(seed: int, *shape: int) -> jax.Array:
    return normals(seed, shape)


def dense(seed: int, *shape: int) -> dict[str, jax.Array]:
    """A layer with a bias that is not zero; the second last size is the number of inputs."""
    bias = 0.3 + draw(seed + 100, *shape[:-2], shape[-1])
    return {"w": draw(seed, *shape) * shape[-2] ** -0.5, "b": bias}


def convolve(x: jax.Array, w: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def check_units(
    values: Any, std: float = 1.0, tolerance: float = TOLERANCE, axes: tuple[int, ...] = (-1,)
) -> None:
    """Check that every unit has mean 0 and a standard deviation; `axes` enumerate units."""
    values = np.asarray(values, np.float64)
    kept = [axis % values.ndim for axis in axes]
    others = tuple(axis for axis in range(values.ndim) if axis not in kept)
    np.testing.assert_allclose(values.mean(others), 0, atol=tolerance * std)
    np.testing.assert_allclose(values.std(others), std, rtol=tolerance)


def check_trees(found: Any, expected: Any, tolerance: float) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found,
        expected,
    )


def mlp(params: Any, x: jax.Array) -> list[jax.Array]:
    """Return the pre-activations of all layers."""
    values = []
    for layer in params:
        values.append(x @ layer["w"] + layer["b"])
        x = jnp.tanh(values[-1])
    return values
