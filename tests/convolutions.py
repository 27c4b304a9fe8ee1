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
        for body in _bodies_on_cpu(equation.params):
            yield from _find(body)


def _bodies_on_cpu(params):
    """The bodies of an operation, and of one that depends on the platform that for a CPU."""
    platforms = params.get("branches_platforms")
    if platforms is None:
        return bodies(params)
    place = next(at for at, names in enumerate(platforms) if names is None or "cpu" in names)
    return [params["branches"][place]]
