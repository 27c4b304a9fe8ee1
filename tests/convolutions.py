"""Convolutions in traced computations."""

import jax
from jax import lax

from jinit.model import bodies

CANONICAL_IMAGE = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
"""The layout NHWC, HWIO, NHWC."""


def convolutions(function, *args):
    """Parameters and shapes of operands of all convolutions, those in loops and branches too."""
    return list(_find(jax.make_jaxpr(function)(*args)))


def _find(closed):
    for equation in closed.jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation.params, [var.aval.shape for var in equation.invars]
        for body in bodies(equation.params):
            yield from _find(body)
