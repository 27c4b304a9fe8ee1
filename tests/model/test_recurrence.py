"""Recurrent kernels and forget gates are recognized from the computation alone."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx
from jax.nn import sigmoid

import jinit

WIDTH = 6
X = jnp.ones((2, 5, 4))
KERNEL, RECURRENT = jnp.ones((4, 4 * WIDTH)), jnp.ones((WIDTH, 4 * WIDTH))


def found(model):
    """The recurrent kernels, and the forget gates with their units."""
    kernels = {leaf.path for leaf in model.leaves if leaf.is_recurrent}
    return kernels, {leaf.path: leaf.forget_gate for leaf in model.leaves if leaf.forget_gate}


def linen(cell, x=X):
    return jinit.linen.trace(nn.RNN(cell), x)


@pytest.mark.parametrize(
    ("cell", "recurrent", "gates"),
    [
        (nn.LSTMCell, "hi hf hg ho", {"hf": (0, WIDTH, 0)}),
        (nn.OptimizedLSTMCell, "hi hf hg ho", {"hf": (0, WIDTH, 0)}),
        (nn.GRUCell, "hr hz hn", {}),
        (nn.MGUCell, "hf hn", {}),
        (nn.SimpleCell, "h", {}),
    ],
)
def test_cells_of_flax(cell, recurrent, gates):
    kernels, biases = found(linen(cell(WIDTH)))
    assert kernels == {f"params/cell/{name}/kernel" for name in recurrent.split()}
    assert biases == {f"params/cell/{name}/bias": gate for name, gate in gates.items()}


def test_fused_and_convolutional_cells():
    class Fused(nnx.Module):
        def __init__(self, rngs):
            self.loop = nnx.RNN(nnx.OptimizedLSTMCell(4, WIDTH, rngs=rngs), rngs=rngs)

        def __call__(self, x):
            return self.loop(x)

    model = jinit.nnx.trace(lambda rngs: Fused(rngs), X)
    gate = (WIDTH, WIDTH, 0)
    assert found(model) == ({"loop/cell/dense_h/kernel"}, {"loop/cell/dense_h/bias": gate})
    convolutional = linen(nn.ConvLSTMCell(3, (3, 3)), jnp.ones((2, 5, 4, 4, 2)))
    assert found(convolutional)[1] == {"params/cell/ih/bias": (6, 3, 1.0)}  # Flax adds one


def loop(step):
    """A gated loop by hand, with one bias for all four gates."""

    def apply(params, x):
        zeros = jnp.zeros((2, WIDTH))
        carry = jax.lax.scan(lambda c, x: (step(params, *c, x), None), (zeros, zeros), x)[0]
        return carry[0]

    params = {"in": KERNEL, "h": RECURRENT, "b": jnp.zeros(4 * WIDTH)}
    return jinit.trace(apply, params, X.swapaxes(0, 1))


def gated(state, change=lambda f: f):
    def step(p, h, c, x):
        i, g, f, o = jnp.split(x @ p["in"] + h @ p["h"] + p["b"][None], 4, -1)
        c = state(c, sigmoid(change(f)), sigmoid(i), jnp.tanh(g))
        return sigmoid(o) * jnp.tanh(c), c

    return loop(step)


@pytest.mark.parametrize(
    ("model", "gate"),
    [
        (gated(lambda c, f, i, g: f * c + i * g), (2 * WIDTH, WIDTH, 0)),
        (gated(lambda c, f, i, g: i * g + c * f), (2 * WIDTH, WIDTH, 0)),
        (gated(lambda c, f, i, g: f * c + i * g + g, lambda f: f + 0.5), (2 * WIDTH, WIDTH, 0.5)),
        (gated(lambda c, f, i, g: f * c + (1 - f) * g), None),  # a gate shared with the input
        (gated(lambda c, f, i, g: f * c + i * g, lambda f: 2 * f), None),
        (gated(lambda c, f, i, g: f * (c + i * g)), None),
        (gated(lambda c, f, i, g: c + f * g), None),
    ],
)
def test_only_a_sigmoid_that_multiplies_nothing_but_the_carry_is_a_forget_gate(model, gate):
    kernels, gates = found(model)
    assert kernels == {"h"}
    assert gates == ({} if gate is None else {"b": gate})


def test_loops_over_layers_and_read_outs_of_a_state_are_not_recurrent():
    def layers(params, x):
        return jax.lax.scan(lambda h, k: (h + jnp.tanh(h @ k), None), x, params)[0]

    assert found(jinit.trace(layers, jnp.ones((3, 4, 4)), jnp.ones((2, 4)))) == (set(), {})

    def linear(p, x):
        def step(c, x):
            c = sigmoid(p["decay"])[None] * c + x @ p["in"]
            return c, c @ p["out"]

        return jax.lax.scan(step, jnp.zeros((2, WIDTH)), x)[1]

    params = {"decay": jnp.ones(WIDTH), "in": jnp.ones((4, WIDTH)), "out": jnp.ones((WIDTH, 4))}
    assert found(jinit.trace(linear, params, X.swapaxes(0, 1))) == (set(), {})
