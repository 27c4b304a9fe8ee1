"""Which sums continue a residual stream, and how many branches each residual stream has."""

import jax
import jax.numpy as jnp
import pytest
from arrays import floats
from flax import linen as nn
from flax import nnx
from model.roles import numbers
from networks import ResNet, Stack, image, sequence

import jinit


def dense(params, name, x):
    return x @ params[name]


def mlp(params, name, x):
    return dense(params, f"{name}.down", jax.nn.gelu(dense(params, f"{name}.up", x)))


def normalize(x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def attend(params, name, x, memory):
    query, key = dense(params, f"{name}.q", x), dense(params, f"{name}.k", memory)
    scores = jax.nn.softmax(jnp.einsum("btd,bsd->bts", query, key))
    return dense(params, f"{name}.o", scores @ dense(params, f"{name}.v", memory))


class Params(dict):
    """Square kernels, and tables of twenty rows, made when they are first asked for."""

    def __missing__(self, name):
        self[name] = jnp.ones((20, 8)) if name.endswith("table") else jnp.eye(8)
        return self[name]


def trace(apply, *inputs):
    params = Params()
    jax.eval_shape(lambda *values: apply(params, *values), *inputs)
    return jinit.trace(apply, {name: floats(*params[name].shape) for name in params}, *inputs)


def pre_norm(params, x):
    for layer in "abc":
        x = x + mlp(params, layer, normalize(x))
    return dense(params, "head", normalize(x))


def post_norm(params, x):
    for layer in "abc":
        x = normalize(x + mlp(params, layer, x))
    return dense(params, "head", x)


def parallel_post_norm(params, x):
    for layer in "ab":
        x = normalize(x + attend(params, f"{layer}.attention", x, x) + mlp(params, layer, x))
    return dense(params, "head", x)


def encoder_decoder(params, source, target):
    positions = params["positions.table"][:5][None]
    x = params["source.table"][source] + positions
    for layer in ("e0", "e1"):
        x = x + attend(params, f"{layer}.self", normalize(x), normalize(x))
        x = x + mlp(params, layer, normalize(x))
    memory = normalize(x)
    y = params["target.table"][target] + positions
    for layer in ("d0",):
        y = y + attend(params, f"{layer}.self", normalize(y), normalize(y))
        y = y + attend(params, f"{layer}.cross", normalize(y), memory)
        y = y + mlp(params, layer, normalize(y))
    return dense(params, "head", y)


def two_towers(params, x):
    left = right = dense(params, "stem", x)
    for layer in ("l0", "l1", "l2"):
        left = left + mlp(params, layer, left)
    for layer in ("r0",):
        right = right + mlp(params, layer, right)
    return (dense(params, "l", left) * dense(params, "r", right)).sum(-1)


def levels(params, x):
    x = dense(params, "stem", x)
    x = x + mlp(params, "fine", x)
    y = dense(params, "down", x[:, ::2])
    for layer in ("coarse0", "coarse1"):
        y = y + mlp(params, layer, y)
    z = dense(params, "merge", jnp.concatenate([jnp.repeat(y, 2, 1), x], 1))
    return z + mlp(params, "out", z)


def conditioned(params, x, condition):
    """Blocks as in DiT: a condition shifts, scales and gates every branch."""
    condition, x = mlp(params, "condition", condition), dense(params, "patches", x)
    for layer in "ab":
        shift, scale, gate = (dense(params, f"{layer}.{each}", condition) for each in "sgz")
        x = x + gate * mlp(params, layer, normalize(x) * (1 + scale) + shift)
    shift, scale = (dense(params, f"head.{each}", condition) for each in "sg")
    return dense(params, "head", normalize(x) * (1 + scale) + shift)


def shared_layers(params, x):
    for _ in range(4):
        x = x + mlp(params, "layer", normalize(x))
    return x


def reversible(params, x):
    left, right = jnp.split(dense(params, "stem", jnp.concatenate([x, x], 1)), 2, axis=1)
    for layer in "ab":
        left = left + mlp(params, f"{layer}.f", right)
        right = right + mlp(params, f"{layer}.g", left)
    return jnp.concatenate([left, right], 1)


SEQUENCE, VECTOR, TOKENS = floats(2, 5, 8), floats(2, 1, 8), numbers(2, 5)
STREAMS = {
    "pre-norm": (pre_norm, [SEQUENCE], {"a": (0, 3, False), "c": (0, 3, False)}),
    "post-norm": (post_norm, [SEQUENCE], {"a": (0, 3, True), "c": (0, 3, True)}),
    "parallel branches, post-norm": (
        parallel_post_norm, [SEQUENCE], {"a": (0, 4, True), "b": (0, 4, True)},
    ),
    "encoder and decoder": (
        encoder_decoder, [TOKENS, TOKENS],
        {"e0": (0, 4, False), "e1": (0, 4, False), "d0": (1, 3, False)},
    ),
    "two towers": (two_towers, [VECTOR], {"l0": (0, 3, False), "r0": (1, 1, False)}),
    "levels": (
        levels, [floats(2, 4, 8)],
        {"fine": (0, 1, False), "coarse1": (1, 2, False), "out": (2, 1, False)},
    ),
    "conditioned blocks": (
        conditioned, [SEQUENCE, VECTOR], {"a": (0, 2, False), "b": (0, 2, False)},
    ),
    "shared layers": (shared_layers, [SEQUENCE], {"layer": (0, 4, False)}),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_branches_are_counted_for_each_residual_stream(name):
    apply, inputs, expected = STREAMS[name]
    leaves = [leaf for leaf in trace(apply, *inputs).leaves if leaf.role == "kernel"]
    found = {
        leaf.path.split(".")[0]: (leaf.stream, leaf.branch_count, leaf.branch_normalized)
        for leaf in leaves
        if leaf.branch is not None
    }
    assert {layer: found[layer] for layer in expected} == expected
    outside = {"head", "stem", "patches", "condition", "merge", "down", "l", "r"}
    assert not outside.intersection(found)


def test_halves_of_a_reversible_network_are_two_residual_streams():
    leaves = {leaf.path: leaf for leaf in trace(reversible, SEQUENCE).leaves}
    assert [leaves[f"{layer}.{half}.down"].stream for layer in "ab" for half in "fg"] == [0, 1] * 2
    assert {leaf.branch_count for leaf in leaves.values()} == {None, 2}


def test_loops_count_with_their_trip_count():
    leaves = jinit.linen.trace(Stack(), sequence()).leaves
    assert {(leaf.stream, leaf.branch_count) for leaf in leaves if leaf.branch is not None} == {
        (0, 8)
    }


def test_a_loop_over_time_does_not_multiply_the_branches_of_one_step():
    def apply(params, xs):
        def step(carry, x):
            x = x + mlp(params, "a", x)
            carry = jnp.tanh(dense(params, "x", x) + dense(params, "h", carry))
            return carry, x + mlp(params, "b", carry)

        return jax.lax.scan(step, jnp.zeros((2, 8)), xs)[1]

    leaves = {leaf.path: leaf for leaf in trace(apply, floats(6, 2, 8)).leaves}
    assert {leaves[f"{layer}.down"].branch_count for layer in "ab"} == {2}
    assert leaves["h"].branch == leaves["b.up"].branch


def test_projections_continue_a_residual_stream():
    leaves = jinit.linen.trace(ResNet(), image()).leaves
    assert {(leaf.stream, leaf.branch_count) for leaf in leaves if leaf.branch is not None} == {
        (0, 2)
    }


def peephole_lstm(params, xs):
    hidden = cell = jnp.zeros((2, 8))
    for x in xs:
        i, f, g, o = (
            dense(params, f"x{each}", x) + dense(params, f"h{each}", hidden) for each in "ifgo"
        )
        i, f = i + cell * params["pi"][:1], f + cell * params["pf"][:1]
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o + cell * params["po"][:1]) * jnp.tanh(cell)
    return dense(params, "head", hidden)


def highway(params, x):
    for layer in "ab":
        gate = jax.nn.sigmoid(dense(params, f"{layer}.t", x))
        x = gate * jnp.tanh(dense(params, f"{layer}.h", x)) + (1 - gate) * x
    return dense(params, "head", x)


def plain_rnn(params, xs):
    hidden = jnp.zeros((2, 8))
    for x in xs:
        hidden = jnp.tanh(dense(params, "x", x) + dense(params, "h", hidden))
    return dense(params, "head", hidden)


def minimal_gated_unit(params, xs):
    def step(hidden, x):
        gate = jax.nn.sigmoid(dense(params, "z", x))
        return (1 - gate) * hidden + gate * dense(params, "h", x), None

    return jax.lax.scan(step, jnp.zeros((2, 8)), xs)[0]


def interpolating_unit(params, xs):
    """A gated recurrent unit that is written as new + z (old - new)."""

    def step(hidden, x):
        old = jnp.concatenate([dense(params, "h", hidden), dense(params, "g", hidden)], 1)
        gate, candidate = jnp.split(jnp.concatenate([x, x], 1) + old, 2, axis=1)
        gate, candidate = jax.nn.sigmoid(gate), jnp.tanh(candidate)
        return candidate + gate * (hidden - candidate), None

    return jax.lax.scan(step, jnp.zeros((2, 8)), xs)[0]


def reparametrized(params, x, noise):
    x = jax.nn.relu(dense(params, "encoder", x))
    mean, log_variance = dense(params, "mean", x), mlp(params, "variance", x)
    return mlp(params, "decoder", mean + noise * jnp.exp(log_variance / 2))


def relative_positions(params, x):
    scores = jnp.einsum("btd,bsd->bts", dense(params, "q", x), dense(params, "k", x))
    scores = scores + jnp.einsum("btd,sd->bts", dense(params, "q", x), params["relative"][:5])
    return dense(params, "o", jax.nn.softmax(scores) @ dense(params, "v", x))


NO_STREAM = {
    "an LSTM with peepholes": (peephole_lstm, [floats(3, 2, 8)]),
    "a highway network": (highway, [SEQUENCE]),
    "a recurrent network without a loop": (plain_rnn, [floats(3, 2, 8)]),
    "a minimal gated unit": (minimal_gated_unit, [floats(3, 2, 8)]),
    "an interpolating unit": (interpolating_unit, [floats(3, 2, 8)]),
    "a reparameterization": (reparametrized, [SEQUENCE, SEQUENCE]),
    "relative positions": (relative_positions, [SEQUENCE]),
}


@pytest.mark.parametrize("name", NO_STREAM)
def test_gated_sums_and_arguments_of_gates_are_not_residual(name):
    apply, inputs = NO_STREAM[name]
    leaves = trace(apply, *inputs).leaves
    assert {leaf.path: (leaf.branch, leaf.ends_branch) for leaf in leaves} == {
        leaf.path: (None, False) for leaf in leaves
    }


CELLS = [
    *(nn.RNN(cell(4)) for cell in (nn.LSTMCell, nn.OptimizedLSTMCell, nn.GRUCell, nn.MGUCell)),
    nn.RNN(nn.ConvLSTMCell(4, (3,))),
    *(
        lambda rngs, cell=cell: nnx.RNN(cell(8, 4, rngs=rngs), rngs=rngs)
        for cell in (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell)
    ),
]


@pytest.mark.parametrize("network", CELLS)
def test_cells_have_no_branches_and_one_answer_for_all_gates(network):
    is_convolution = isinstance(network, nn.RNN) and isinstance(network.cell, nn.ConvLSTMCell)
    example = floats(2, 3, *([6] if is_convolution else []), 8)
    trace = jinit.linen.trace if isinstance(network, nn.Module) else jinit.nnx.trace
    model = trace(network, example)
    kernels = [leaf for leaf in model.leaves if leaf.role == "kernel"]
    assert {(leaf.branch, leaf.end, leaf.activation) for leaf in kernels} == {(None, "", None)}
