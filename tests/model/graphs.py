"""Small computations and taps, shared by the tests of graphs, taps and contractions."""

import jax
import jax.numpy as jnp
from arrays import normals

from jinit.model import apply_taps

X = normals(1, (6, 5))
W = normals(2, (5, 5))


@jax.custom_vjp
def straight_through(x):
    """Round, with the gradient of the identity."""
    return jnp.round(x)


straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))


def record(operands, result, probe):
    """A tap that changes nothing and observes the operands and the result."""
    return result, (*operands, result)


def first_output(graph, inputs):
    """Return the first output of a graph."""
    return apply_taps(graph, inputs, {})[0][0]


def nested(w, x):
    inner = jax.jit(lambda h: jax.nn.relu(jax.jit(lambda a: a @ w)(h)))
    return jax.checkpoint(lambda h: jnp.tanh(inner(h) @ w))(x) + straight_through(x)


def scanned(w, x):
    return jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=3)[0] @ w
