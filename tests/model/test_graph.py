"""The flat graph: what it computes, what counts as the same, where weights meet signals."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jinit.hooks import as_model
from jinit.model import Graph, tapped, trace

X = jax.random.normal(jax.random.key(1), (6, 5))
W = jax.random.normal(jax.random.key(2), (5, 5))


@jax.custom_vjp
def straight_through(x):
    """Rounds, with the gradient of the identity."""
    return jnp.round(x)


straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))


def look(operands, result, probe):
    """A tap that changes nothing and finds operands and result."""
    return result, (*operands, result)


def evaluated(graph, inputs):
    """The first output."""
    return tapped(graph, inputs, {})[0][0]


def nested(w, x):
    inner = jax.jit(lambda h: jax.nn.relu(jax.jit(lambda a: a @ w)(h)))
    return jax.checkpoint(lambda h: jnp.tanh(inner(h) @ w))(x) + straight_through(x)


def primitives(graph):
    return [operation.primitive.name for operation in graph.operations]


def test_calls_are_inlined_and_custom_rules_kept():
    names = primitives(Graph.of(nested, W, X))
    assert "dot_general" in names
    assert not {"jit", "pjit", "checkpoint", "remat", "remat2", "closed_call"} & set(names)
    assert any(name.startswith("custom_jvp") for name in names)
    assert any(name.startswith("custom_vjp") for name in names)


def test_running_the_graph_is_running_the_function():
    model = trace(nested, W, X)
    taps = {layer.place: look for layer in model.contractions}
    (result,), seen = tapped(model.graph, [W, X], taps)
    np.testing.assert_allclose(result, nested(W, X), rtol=1e-6)
    first, second = seen.values()
    np.testing.assert_allclose(first[2], X @ W, rtol=1e-6)
    np.testing.assert_allclose(second[0], jax.nn.relu(X @ W), rtol=1e-6)


def test_the_gradient_of_the_graph_is_that_of_the_function():
    graph = Graph.of(nested, W, X)

    def total(function):
        return jax.grad(lambda w, x: function(w, x).sum(), argnums=(0, 1))

    ours = total(lambda w, x: evaluated(graph, [w, x]))(W, X)
    for mine, true in zip(ours, total(nested)(W, X), strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_relu_at_zero_stays_zero():
    """jnp.maximum alone would give 1/2 there: the custom rule must survive the flattening."""
    for wrap in (lambda f: f, jax.jit, jax.checkpoint):
        graph = Graph.of(wrap(jax.nn.relu), jnp.zeros(3))
        slope = jax.grad(lambda x, graph=graph: evaluated(graph, [x]).sum())(jnp.zeros(3))
        assert slope.tolist() == [0.0, 0.0, 0.0]


def test_the_gradient_of_a_custom_vjp_survives():
    graph = Graph.of(straight_through, X)
    slope = jax.grad(lambda x: evaluated(graph, [x]).sum())(X)
    np.testing.assert_array_equal(slope, jnp.ones_like(X))


def test_several_outputs_trees_literals_and_constants():
    table = np.arange(5.0, dtype=np.float32).reshape(1, 5)

    def function(params, x):
        return {"sum": x @ params["w"] + table, "same": x, "one": jnp.ones(()), "n": 3 * x[0, 0]}

    graph = Graph.of(function, {"w": W}, X)
    results, _ = tapped(graph, [W, X], {})
    expected = jax.tree.leaves(function({"w": W}, X))
    for mine, true in zip(results, expected, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-6)


def test_a_tap_replaces_the_result_where_it_is_only():
    model = trace(nested, W, X)
    seen = {
        layer.place: lambda operands, result, probe: (result * 0, None)
        for layer in model.contractions
    }
    (result,), _ = tapped(model.graph, [W, X], seen)
    np.testing.assert_allclose(result, jnp.round(X), atol=1e-6)


def test_what_taps_find_in_loops_is_stacked():
    kernels = 0.5 * jax.random.normal(jax.random.key(4), (2, 3, 5, 5))

    def once(h, kernel):
        return jnp.tanh(h @ kernel), h.sum()

    def apply(kernels, x):
        def outer(h, some):
            return jax.lax.scan(once, h, some, reverse=True)

        return jax.lax.scan(outer, x, kernels)

    model = trace(apply, kernels, X)
    (layer,) = model.contractions
    assert (layer.rounds, layer.stacked, layer.width) == ((2, 3), True, 5)
    assert model.layer_names == tuple(f"[{number}]" for number in range(6))
    taps = {layer.place: lambda operands, result, probe: (result + probe, result)}
    probes = {layer.place: jnp.ones((2, 3, 1, 1))}
    (last, sums), found = tapped(model.graph, [kernels, X], taps, probes)
    hidden, products, taken = X, np.zeros((2, 3, 6, 5)), np.zeros((2, 3))
    for step in range(2):
        for inner in (2, 1, 0):
            taken[step, inner] = hidden.sum()
            products[step, inner] = hidden @ kernels[step, inner]
            hidden = jnp.tanh(products[step, inner] + 1)
    np.testing.assert_allclose(last, hidden, rtol=1e-5)
    np.testing.assert_allclose(sums, taken, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[layer.place], products, rtol=1e-4, atol=1e-5)


def test_pruning_drops_what_no_output_needs():
    def wasteful(w, x):
        dead = jnp.sin(x) @ w @ jnp.asarray(np.eye(5, dtype=np.float32) * 7)
        del dead
        return x @ w

    graph = Graph.of(wasteful, W, X)
    pruned = graph.pruned()
    assert "sin" in primitives(graph)
    assert primitives(pruned) == ["dot_general"]
    assert not pruned.constants
    np.testing.assert_allclose(evaluated(pruned, [W, X]), X @ W, rtol=1e-6)
    assert pruned.fingerprint == Graph.of(lambda w, x: x @ w, W, X).fingerprint
    assert graph.fingerprint != pruned.fingerprint


def fingerprint(function, *arguments):
    return Graph.of(function, *arguments).pruned().fingerprint


def layer(activation=jnp.tanh, factor=2.0, table=None, depth=1):
    def function(w, x):
        for _ in range(depth):
            x = activation(x @ w) * factor
        return x if table is None else x + table

    return function


SAME = {
    "retraced": layer(),
    "jit": jax.jit(layer()),
    "nested jit": jax.jit(jax.jit(layer())),
    "remat": jax.checkpoint(layer()),
    "jit of a part": lambda w, x: jax.jit(jnp.tanh)(x @ w) * 2.0,
    "an unused extra": lambda w, x: (jnp.sin(x), jnp.tanh(x @ w) * 2.0)[1],
    "other names": lambda kernel, signal: jnp.tanh(signal @ kernel) * 2.0,
}
OTHER = {
    "activation": layer(jnp.sin),
    "constant": layer(factor=2.5),
    "array constant": layer(table=np.ones((1, 5), np.float32)),
    "depth": layer(depth=2),
    "order of operands": lambda w, x: jnp.tanh(w @ x.T).T * 2.0,
    "order of operations": lambda w, x: jnp.tanh((x @ w) * 2.0),
    "dtype": lambda w, x: jnp.tanh(x @ w).astype(jnp.bfloat16) * 2.0,
    "precision": lambda w, x: jnp.tanh(jnp.dot(x, w, precision="highest")) * 2.0,
    "no weight": lambda w, x: jnp.tanh(x @ x.T @ x) * 2.0,
    "another output": lambda w, x: (jnp.tanh(x @ w) * 2.0, x),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_computation_has_the_same_fingerprint(name):
    assert fingerprint(SAME[name], W, X) == fingerprint(layer(), W, X)


def test_another_computation_has_another_fingerprint():
    prints = {fingerprint(layer(), W, X)}
    for function in OTHER.values():
        prints.add(fingerprint(function, W, X))
    prints.add(fingerprint(layer(), W, X[:4]))
    prints.add(fingerprint(layer(), W.astype(jnp.bfloat16), X))
    assert len(prints) == len(OTHER) + 3


def test_array_constants_count_by_value():
    ones, again = np.ones((1, 5), np.float32), np.ones((1, 5), np.float32)
    first, second = (fingerprint(layer(table=table), W, X) for table in (ones, again))
    assert first == second
    assert first != fingerprint(layer(table=2 * ones), W, X)
    assert fingerprint(lambda k: jax.random.normal(k, (3,)), jax.random.key(0)) == fingerprint(
        lambda k: jax.random.normal(k, (3,)), jax.random.key(5)
    )


def surrogate(slope):
    """Sign with a made-up derivative: equal values, another gradient for every slope."""

    @jax.custom_vjp
    def by_vjp(x):
        return jnp.sign(x)

    by_vjp.defvjp(lambda x: (jnp.sign(x), x), lambda x, g: (g * slope * (jnp.abs(x) < 1),))

    @jax.custom_jvp
    def by_jvp(x):
        return jnp.sign(x)

    by_jvp.defjvp(lambda x, t: (by_jvp(*x), slope * t[0]))
    return by_vjp, by_jvp


def test_custom_derivatives_count():
    """Two surrogate gradients of one forward function must not share a training program."""
    for kind in (0, 1):
        one, same, other = (surrogate(slope)[kind] for slope in (1.0, 1.0, 2.0))
        assert fingerprint(layer(one), W, X) == fingerprint(layer(same), W, X)
        assert fingerprint(layer(one), W, X) != fingerprint(layer(other), W, X)
    assert fingerprint(layer(surrogate(1.0)[0]), W, X) != fingerprint(layer(jnp.sign), W, X)


def test_custom_derivatives_of_integers_can_be_fingerprinted():
    @jax.custom_vjp
    def pick(x, index):
        return x[index], index

    pick.defvjp(
        lambda x, index: (pick(x, index), index),
        lambda index, g: (jnp.zeros((6, 5)).at[index].set(g[0]), None),
    )
    assert len(fingerprint(pick, X, jnp.array([0, 2]))) == 64


class Network(nn.Module):
    remat: bool = False

    @nn.compact
    def __call__(self, x):
        dense = nn.remat(nn.Dense) if self.remat else nn.Dense
        return dense(3, name="b")(nn.relu(dense(4, name="a")(x)))


def pair():
    def init(key):
        del key
        return {
            "a": {"bias": jnp.zeros(4), "kernel": jnp.zeros((5, 4))},
            "b": {"bias": jnp.zeros(3), "kernel": jnp.zeros((4, 3))},
        }

    def apply(params, x):
        hidden = jax.nn.relu(x @ params["a"]["kernel"] + params["a"]["bias"].reshape(1, 4))
        return hidden @ params["b"]["kernel"] + params["b"]["bias"].reshape(1, 3)

    return init, apply


def test_a_linen_module_its_remat_and_its_pair_are_one_program():
    prints = {as_model(net, X).graph.fingerprint for net in (Network(), Network(True), pair())}
    assert len(prints) == 1


# Contractions ------------------------------------------------------------------------------------


def found(function, params, *inputs):
    model = trace(function, params, *inputs)
    return [
        (name, layer.signal, layer.shape, layer.units, layer.width)
        for name, layer in zip(model.layer_names, model.contractions, strict=True)
    ]


def test_a_weight_on_either_side():
    w = jnp.ones((5, 4))
    assert found(lambda w, x: x @ w, w, X) == [("", 0, (6, 4), (1,), 4)]
    assert found(lambda w, x: w.T @ x.T, w, X) == [("", 1, (4, 6), (0,), 4)]


def test_einsum_and_batch_axes():
    experts = {"w": jnp.ones((3, 5, 4))}
    x = jnp.ones((3, 6, 5))
    for formula, units in (("ebd,edf->ebf", (2,)), ("ebd,edf->fbe", (2,))):
        ((name, _, shape, axes, width),) = found(
            lambda p, x, formula=formula: jnp.einsum(formula, x, p["w"]), experts, x
        )
        assert (name, shape[0], width) == ("w", 3, 4)
        assert [shape[axis] for axis in axes] == [4]
        assert axes in (units, (1,))


def test_the_unit_axes_are_those_along_which_the_weight_varies():
    """A weight whose columns are all equal gives a result that is constant along them, only."""
    column = jax.random.normal(jax.random.key(0), (5, 1, 1))
    w = jnp.broadcast_to(column, (5, 2, 3))
    for formula in ("bi,ijk->bjk", "bi,ijk->jbk", "bi,ijk->kjb"):
        model = trace(lambda w, x, formula=formula: jnp.einsum(formula, x, w), w, X)
        (layer,) = model.contractions
        _, seen = tapped(model.graph, [w, X], {layer.place: look})
        result = np.asarray(seen[layer.place][2])
        assert layer.width == 6
        assert np.ptp(result, axis=layer.units).max() < 1e-6
        others = tuple(axis for axis in range(3) if axis not in layer.units)
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
    assert (layer.width, layer.signal, layer.follower) == (width, 0, None)


def test_attention_has_four_contractions_of_weights():
    """Queries meeting keys, and weights meeting values, are signals meeting signals."""
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


def test_a_skip_connection_is_followed_by_the_first_contraction_that_takes_it_in():
    def block(w, x):
        hidden = x @ w["a"]
        return (hidden + jax.nn.relu(hidden) @ w["b"]) @ w["c"]

    model = trace(block, {"a": W, "b": W, "c": W}, X)
    first, second, third = model.contractions
    assert first.follower == second.place
    assert second.follower == third.place


def test_a_weight_made_of_several_is_named_by_the_largest():
    params = {"scale": jnp.ones(4), "kernel": jnp.ones((5, 4)), "mask": jnp.ones((1, 4))}

    def apply(p, x):
        return x @ (p["kernel"] * p["scale"].reshape(1, 4) * p["mask"])

    assert trace(apply, params, X).layer_names == ("kernel",)


def test_constants_and_signals_are_not_weights():
    table = np.eye(5, dtype=np.float32)
    assert found(lambda w, x: (x @ table + w.reshape(1, 5)) @ x.T, jnp.ones(5), X) == []


def scanned(w, x):
    return jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=3)[0] @ w


def test_contractions_that_cannot_be_looked_at_are_counted_as_unread():
    model = trace(scanned, W, X)
    assert model.layer_names == ("", "#2")
    assert [layer.rounds for layer in model.contractions] == [(3,), ()]
    assert trace(layer(), W, X).graph.unread == model.graph.unread == 0
    branches = trace(
        lambda w, x: jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: jnp.tanh(x @ w) @ w), W, X
    )
    assert branches.graph.unread == 3
    assert branches.layer_names == ()

    def until(w, x):
        return jax.lax.while_loop(lambda h: h.sum() < 9, lambda h: h @ w, x)

    def around(w, x):
        return jax.lax.scan(lambda h, _: (until(w, h @ w), None), x, length=3)[0]

    loop = partial(jax.lax.fori_loop, 0, 3)
    assert trace(lambda w, x: loop(lambda _, h: h @ w, x), W, X).graph.unread == 0
    assert (trace(until, W, X).graph.unread, trace(around, W, X).graph.unread) == (1, 1)


def test_a_loop_is_evaluated_whole_and_its_body_is_fingerprinted():
    graph = Graph.of(scanned, W, X)
    np.testing.assert_allclose(evaluated(graph, [W, X]), scanned(W, X), rtol=1e-5)

    def other(w, x):
        return jax.lax.scan(lambda h, _: (jnp.sin(h @ w), None), x, length=3)[0] @ w

    assert fingerprint(scanned, W, X) == fingerprint(jax.jit(scanned), W, X)
    assert fingerprint(scanned, W, X) != fingerprint(other, W, X)
