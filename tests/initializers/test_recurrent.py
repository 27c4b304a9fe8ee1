"""Gate biases: their laws, and what they do to Flax's fused cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import jinit

KEY = jax.random.key(2)
HIDDEN = 20_000
LEVEL = 1e-6  # false-alarm probability of each Kolmogorov-Smirnov test


def gates(bias, number=4):
    return np.split(np.asarray(bias), number, axis=-1)


def test_forget_gate_bias():
    i, f, g, o = gates(jinit.forget_gate_bias(2.5)(KEY, (2, 12)))
    np.testing.assert_array_equal(f, np.full((2, 3), 2.5))
    np.testing.assert_array_equal((i, g, o), 0)
    bias = jinit.forget_gate_bias(1.0, gates="rzn", forget="z")(KEY, (6,))
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0])


def test_chrono_is_log_uniform_in_memory_length():
    i, f, g, o = gates(jinit.chrono(50)(KEY, (4 * HIDDEN,)))
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal((g, o), 0)
    length = scipy.stats.uniform(1, 48)
    assert scipy.stats.kstest(np.exp(f), length.cdf).pvalue > LEVEL


def test_uniform_gate_bias_makes_gates_uniform():
    i, f, g, o = gates(jinit.uniform_gate_bias()(KEY, (4 * HIDDEN,)))
    np.testing.assert_array_equal((i, g, o), 0)
    gate = 1 / (1 + np.exp(-f.astype(np.float64)))
    edge = 1 / HIDDEN
    law = scipy.stats.uniform(edge, 1 - 2 * edge)
    assert scipy.stats.kstest(gate, law.cdf).pvalue > LEVEL


def test_one_gate_alone():
    (f,) = gates(jinit.chrono(50, gates="f")(KEY, (7,)), 1)
    assert (f >= 0).all()


def test_a_fused_lstm_with_an_open_forget_gate_keeps_its_cell():
    """The order of the gates is Flax's own: with f open and i shut the cell state passes."""
    zeros = jinit.zeros
    for value, kept in ((30.0, 1.0), (-30.0, 0.0)):
        cell = nnx.OptimizedLSTMCell(
            3, 5, kernel_init=zeros, recurrent_kernel_init=zeros,
            bias_init=jinit.forget_gate_bias(value), rngs=nnx.Rngs(0),
        )  # fmt: skip
        state = (jnp.linspace(1, 2, 5)[None], jnp.zeros((1, 5)))
        (after, _), _ = cell(state, jnp.ones((1, 3)))
        np.testing.assert_allclose(after, kept * state[0], atol=1e-6)


def test_a_fused_gru_with_an_open_update_gate_keeps_its_state():
    bias = jinit.forget_gate_bias(30.0, gates="rzn", forget="z")
    cell = nnx.GRUCell(3, 5, bias_init=bias, rngs=nnx.Rngs(0))
    state = jnp.linspace(-1, 1, 5)[None]
    np.testing.assert_allclose(cell(state, jnp.ones((1, 3)))[0], state, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: jinit.chrono(2), "max_steps: expected more than 2 steps, got 2"),
        (lambda: jinit.chrono(9, gates="iff"), "one letter per gate, each once"),
        (lambda: jinit.chrono(9, gates="igo"), "forget: expected one of the gates 'igo', got 'f'"),
        (lambda: jinit.forget_gate_bias()(KEY, (6,)), r"divides into the 4 gates .* shape \(6,\)"),
        (lambda: jinit.forget_gate_bias()(KEY, ()), r"divides into the 4 gates .* shape \(\)"),
    ],
)
def test_bad_options(build, text):
    with pytest.raises(ValueError, match=text):
        build()
