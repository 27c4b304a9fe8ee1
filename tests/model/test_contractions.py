"""The contractions of weights with signals: their units, their names and their followers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn
from model.graphs import W, X, record, scanned

from jinit.hooks import as_model
from jinit.model import apply_taps, trace


def describe(function, params, *inputs):
    model = trace(function, params, *inputs)
    return [
        (name, layer.signal_operand, layer.shape, layer.unit_axes, layer.width)
        for name, layer in zip(model.layer_names, model.contractions, strict=True)
    ]


def test_the_weight_may_be_either_operand():
    w = jnp.ones((5, 4))
    assert describe(lambda w, x: x @ w, w, X) == [("", 0, (6, 4), (1,), 4)]
    assert describe(lambda w, x: w.T @ x.T, w, X) == [("", 1, (4, 6), (0,), 4)]


def test_einsum_and_batch_axes():
    experts = {"w": jnp.ones((3, 5, 4))}
    x = jnp.ones((3, 6, 5))
    for formula, units in (("ebd,edf->ebf", (2,)), ("ebd,edf->fbe", (2,))):
        ((name, _, shape, axes, width),) = describe(
            lambda p, x, formula=formula: jnp.einsum(formula, x, p["w"]), experts, x
        )
        assert (name, shape[0], width) == ("w", 3, 4)
        assert [shape[axis] for axis in axes] == [4]
        assert axes in (units, (1,))


def test_the_unit_axes_are_those_along_which_the_weight_varies():
    """A weight with equal columns gives a result that is constant along these axes only."""
    column = normals(0, (5, 1, 1))
    w = jnp.broadcast_to(column, (5, 2, 3))
    for formula in ("bi,ijk->bjk", "bi,ijk->jbk", "bi,ijk->kjb"):
        model = trace(lambda w, x, formula=formula: jnp.einsum(formula, x, w), w, X)
        (layer,) = model.contractions
        _, observations = apply_taps(model.graph, [w, X], {layer.place: record})
        result = np.asarray(observations[layer.place][2])
        assert layer.width == 6
        assert np.ptp(result, axis=layer.unit_axes).max() < 1e-6
        others = tuple(axis for axis in range(3) if axis not in layer.unit_axes)
        assert np.ptp(result, axis=others).min() > 0.1


@pytest.mark.parametrize(
    ("module", "shape", "width"),
    [
        (nn.DenseGeneral((2, 3), axis=(-2, -1)), (6, 4, 5), 6),
        (nn.Dense(7), (6, 4, 5), 7),
        (nn.Conv(7, (3, 3)), (6, 8, 8, 3), 7),
        (nn.Conv(6, (3,), feature_group_count=3), (6, 8, 3), 6),
        (nn.ConvTranspose(7, (2, 2)), (6, 8, 8, 3), 7),
    ],
)
def test_flax_layers(module, shape, width):
    model = as_model(module, jax.ShapeDtypeStruct(shape, jnp.float32))
    assert model.layer_names == ("params/kernel",)
    (layer,) = model.contractions
    assert (layer.width, layer.signal_operand, layer.follower) == (width, 0, None)


def test_attention_has_four_contractions_of_weights():
    """Products of queries with keys, and of attention weights with values, have no weight."""
    model = as_model(nn.MultiHeadDotProductAttention(num_heads=2), jnp.ones((2, 5, 8)))
    assert model.layer_names == tuple(
        f"params/{name}/kernel" for name in ("query", "key", "value", "out")
    )
    operations = model.graph.operations
    assert sum(operation.primitive.name == "dot_general" for operation in operations) == 6
    *projections, out = model.contractions
    assert {layer.follower for layer in projections} == {out.place}
    assert [layer.width for layer in model.contractions] == [8, 8, 8, 8]
    assert out.follower is None


class Tied(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        embed = nn.Embed(11, 4, name="embed")
        return embed.attend(jnp.tanh(nn.Dense(4, name="mix")(embed(tokens))))


def test_a_tied_embedding_reads_by_gather_and_writes_by_contraction():
    model = as_model(Tied(), jnp.zeros((2, 5), jnp.int32))
    assert model.layer_names == ("params/mix/kernel", "params/embed/embedding")
    mix, attend = model.contractions
    assert mix.follower == attend.place
    assert attend.width == 11


def test_a_kernel_used_twice_is_numbered():
    model = trace(lambda w, x: jnp.tanh(jnp.tanh(x @ w["k"]) @ w["k"]) @ w["k"], {"k": W}, X)
    assert model.layer_names == ("k", "k#2", "k#3")
    positions = [layer.place for layer in model.contractions]
    assert [layer.follower for layer in model.contractions] == [*positions[1:], None]


def test_the_follower_of_a_skip_connection_is_the_first_contraction_that_uses_it():
    def block(w, x):
        hidden = x @ w["a"]
        return (hidden + jax.nn.relu(hidden) @ w["b"]) @ w["c"]

    model = trace(block, {"a": W, "b": W, "c": W}, X)
    first, second, third = model.contractions
    assert first.follower == second.place
    assert second.follower == third.place


def test_a_weight_with_several_factors_has_the_path_of_the_largest():
    params = {"scale": jnp.ones(4), "kernel": jnp.ones((5, 4)), "mask": jnp.ones((1, 4))}

    def apply(p, x):
        return x @ (p["kernel"] * p["scale"].reshape(1, 4) * p["mask"])

    assert trace(apply, params, X).layer_names == ("kernel",)


def test_constants_and_signals_are_not_weights():
    table = np.eye(5, dtype=np.float32)
    assert describe(lambda w, x: (x @ table + w.reshape(1, 5)) @ x.T, jnp.ones(5), X) == []


def test_contractions_in_branches_and_while_loops_are_counted_as_unread():
    model = trace(scanned, W, X)
    assert model.layer_names == ("", "#2")
    assert [layer.loop_lengths for layer in model.contractions] == [(3,), ()]
    assert model.graph.unread_contractions == 0
    branches = trace(
        lambda w, x: jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: jnp.tanh(x @ w) @ w), W, X
    )
    assert branches.graph.unread_contractions == 3
    assert branches.layer_names == ()

    def until(w, x):
        return jax.lax.while_loop(lambda h: h.sum() < 9, lambda h: h @ w, x)

    def until_in_scan(w, x):
        return jax.lax.scan(lambda h, _: (until(w, h @ w), None), x, length=3)[0]

    loop = partial(jax.lax.fori_loop, 0, 3)
    assert trace(lambda w, x: loop(lambda _, h: h @ w, x), W, X).graph.unread_contractions == 0
    assert (
        trace(until, W, X).graph.unread_contractions,
        trace(until_in_scan, W, X).graph.unread_contractions,
    ) == (1, 1)
