"""The counted work of a step: products by hand, loops by their length, XLA's own count."""

import jax
import jax.numpy as jnp
import pytest

from jinit.sweep.step_cost import StepCost


def cost(function, *shapes, dtype=jnp.float32):
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    return StepCost.of(jax.make_jaxpr(function)(*arguments))


def convolve(x, w):
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("function", "shapes", "operations"),
    [
        (jnp.dot, [(5, 7), (7, 3)], 2 * 5 * 7 * 3),
        (lambda x, y: jnp.einsum("bqd,bkd->bqk", x, y), [(2, 3, 4), (2, 5, 4)], 2 * 2 * 3 * 5 * 4),
        (convolve, [(2, 8, 8, 3), (3, 3, 3, 4)], 2 * (2 * 8 * 8 * 4) * (3 * 3 * 3)),
        (jnp.tanh, [(6, 5)], 30),
    ],
)
def test_operations(function, shapes, operations):
    found = cost(function, *shapes)
    assert found.operations == operations
    assert found.has_convolutions == (function is convolve)
    assert found.equations == 1
    xla = jax.jit(function).lower(*(jnp.ones(shape) for shape in shapes)).cost_analysis()
    assert xla.get("flops", 0) + xla.get("transcendentals", 0) == pytest.approx(operations, rel=0.3)


def test_loops_count_by_their_length_and_hide_convolutions():
    def loop(x, w):
        return jax.lax.scan(lambda x, _: (jax.jit(convolve)(x, w), None), x, length=5)[0]

    shapes = [(1, 4, 4, 2), (3, 3, 2, 2)]
    once, five = cost(convolve, *shapes), cost(loop, *shapes)
    assert (five.operations, five.result_bytes) == (5 * once.operations, 5 * once.result_bytes)
    assert once.has_convolutions
    assert not five.has_convolutions


def test_bytes_follow_the_dtype_and_keys_are_counted():
    assert cost(jnp.tanh, (6, 5)).result_bytes == 2 * cost(jnp.tanh, (6, 5), dtype=jnp.bfloat16)[1]
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
    found = StepCost.of(jax.make_jaxpr(lambda keys: keys[1])(keys))
    assert 0 < found.result_bytes < 200


def test_many_small_operations_take_time():
    """A loop over three numbers takes the time of its equations, not of its few operations."""

    def walk(x):
        return jax.lax.scan(lambda x, _: (jnp.sin(jnp.cos(x)), None), x, length=10**6)[0]

    found = cost(walk, (3,))
    assert (found.equations, found.operations) == (2e6, 6e6)
    assert 0.5 < found.cpu_seconds < 5
