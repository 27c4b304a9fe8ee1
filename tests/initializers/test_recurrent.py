"""Gate biases: their distributions, and their effect on Flax's fused cells."""

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


def split_gates(bias, count=4):
    return np.split(np.asarray(bias), count, axis=-1)


def test_forget_gate_bias_is_constant():
    i, f, g, o = split_gates(jinit.forget_gate_bias(2.5)(KEY, (2, 12)))
    np.testing.assert_array_equal(f, np.full((2, 3), 2.5))
    np.testing.assert_array_equal((i, g, o), 0)
    bias = jinit.forget_gate_bias(1.0, gates="rzn", forget="z")(KEY, (6,))
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0])


def test_chrono_is_the_logarithm_of_a_uniform_memory_length():
    i, f, g, o = split_gates(jinit.chrono(50)(KEY, (4 * HIDDEN,)))
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal((g, o), 0)
    length = scipy.stats.uniform(1, 48)
    assert scipy.stats.kstest(np.exp(f), length.cdf).pvalue > LEVEL


def test_uniform_gate_bias_makes_gates_uniform():
    i, f, g, o = split_gates(jinit.uniform_gate_bias()(KEY, (4 * HIDDEN,)))
    np.testing.assert_array_equal((i, g, o), 0)
    gate = 1 / (1 + np.exp(-f.astype(np.float64)))
    bound = 1 / HIDDEN
    uniform = scipy.stats.uniform(bound, 1 - 2 * bound)
    assert scipy.stats.kstest(gate, uniform.cdf).pvalue > LEVEL


@pytest.mark.parametrize("hidden", [1, 2])
def test_uniform_gate_bias_is_zero_if_its_interval_is_a_point(hidden):
    """The interval (1/h, 1 - 1/h) of two hidden units is the point 1/2; one unit uses the same."""
    np.testing.assert_array_equal(jinit.uniform_gate_bias()(KEY, (50, 4 * hidden)), 0)


@pytest.mark.parametrize("hidden", [3, 4])
def test_uniform_gate_bias_covers_its_interval_at_small_sizes(hidden):
    """Of 10,000 units the extreme gates are within 1 % of the bounds, except once in 1e20."""
    bias = np.asarray(jinit.uniform_gate_bias()(KEY, (10_000, 4 * hidden)), np.float64)
    gate = 1 / (1 + np.exp(-bias[:, hidden : 2 * hidden]))
    assert gate.min() == pytest.approx(1 / hidden, abs=0.005)
    assert gate.max() == pytest.approx(1 - 1 / hidden, abs=0.005)


def test_a_bias_with_one_gate():
    (f,) = split_gates(jinit.chrono(50, gates="f")(KEY, (7,)), 1)
    assert (f >= 0).all()


@pytest.mark.slow
def test_a_fused_lstm_with_an_open_forget_gate_preserves_its_cell():
    """The gates are in the order of Flax: with f open and i closed the cell state is unchanged."""
    for value, factor in ((30.0, 1.0), (-30.0, 0.0)):
        cell = nnx.OptimizedLSTMCell(
            3,
            5,
            kernel_init=jinit.zeros,
            recurrent_kernel_init=jinit.zeros,
            bias_init=jinit.forget_gate_bias(value),
            rngs=nnx.Rngs(0),
        )
        state = (jnp.linspace(1, 2, 5)[None], jnp.zeros((1, 5)))
        (after, _), _ = cell(state, jnp.ones((1, 3)))
        np.testing.assert_allclose(after, factor * state[0], atol=1e-6)


def test_a_fused_gru_with_an_open_update_gate_preserves_its_state():
    bias = jinit.forget_gate_bias(30.0, gates="rzn", forget="z")
    cell = nnx.GRUCell(3, 5, bias_init=bias, rngs=nnx.Rngs(0))
    state = jnp.linspace(-1, 1, 5)[None]
    np.testing.assert_allclose(cell(state, jnp.ones((1, 3)))[0], state, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: jinit.chrono(2), "max_steps: expected more than 2 steps, got 2"),
        (lambda: jinit.chrono(9, gates="iff"), "one different letter per gate"),
        (lambda: jinit.chrono(9, gates="igo"), "forget: expected one of the gates 'igo', got 'f'"),
        (lambda: jinit.forget_gate_bias()(KEY, (6,)), r"divides into the 4 gates .* shape \(6,\)"),
        (lambda: jinit.forget_gate_bias()(KEY, ()), r"divides into the 4 gates .* shape \(\)"),
    ],
)
def test_bad_options(build, text):
    with pytest.raises(ValueError, match=text):
        build()
