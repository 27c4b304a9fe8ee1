"""The flat graph of a function: its operations, its gradients and its fingerprint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from model.graphs import W, X, first_output, nested, scanned, straight_through

from jinit.hooks import as_model
from jinit.model import Graph


def primitives(graph):
    return [operation.primitive.name for operation in graph.operations]


def test_calls_are_inlined_and_custom_rules_kept():
    names = primitives(Graph.from_function(nested, W, X))
    assert "dot_general" in names
    assert not {"jit", "pjit", "checkpoint", "remat", "remat2", "closed_call"} & set(names)
    assert any(name.startswith("custom_jvp") for name in names)
    assert any(name.startswith("custom_vjp") for name in names)


def test_the_gradient_of_the_graph_is_that_of_the_function():
    graph = Graph.from_function(nested, W, X)

    def total(function):
        return jax.grad(lambda w, x: function(w, x).sum(), argnums=(0, 1))

    ours = total(lambda w, x: first_output(graph, [w, x]))(W, X)
    for gradient, expected in zip(ours, total(nested)(W, X), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_relu_at_zero_stays_zero():
    """jnp.maximum alone would give 1/2 there: the custom rule must survive the flattening."""
    for wrap in (lambda f: f, jax.jit, jax.checkpoint):
        graph = Graph.from_function(wrap(jax.nn.relu), jnp.zeros(3))
        slope = jax.grad(lambda x, graph=graph: first_output(graph, [x]).sum())(jnp.zeros(3))
        assert slope.tolist() == [0.0, 0.0, 0.0]


def test_the_gradient_of_a_custom_vjp_survives():
    graph = Graph.from_function(straight_through, X)
    slope = jax.grad(lambda x: first_output(graph, [x]).sum())(X)
    np.testing.assert_array_equal(slope, jnp.ones_like(X))


def test_pruning_drops_operations_that_no_output_needs():
    def wasteful(w, x):
        dead = jnp.sin(x) @ w @ jnp.asarray(np.eye(5, dtype=np.float32) * 7)
        del dead
        return x @ w

    graph = Graph.from_function(wasteful, W, X)
    pruned = graph.prune()
    assert "sin" in primitives(graph)
    assert primitives(pruned) == ["dot_general"]
    assert not pruned.constants
    np.testing.assert_allclose(first_output(pruned, [W, X]), X @ W, rtol=1e-6)
    assert pruned.fingerprint == Graph.from_function(lambda w, x: x @ w, W, X).fingerprint
    assert graph.fingerprint != pruned.fingerprint


def fingerprint(function, *arguments):
    return Graph.from_function(function, *arguments).prune().fingerprint


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
    fingerprints = {fingerprint(layer(), W, X)}
    for function in OTHER.values():
        fingerprints.add(fingerprint(function, W, X))
    fingerprints.add(fingerprint(layer(), W, X[:4]))
    fingerprints.add(fingerprint(layer(), W.astype(jnp.bfloat16), X))
    assert len(fingerprints) == len(OTHER) + 3


def test_array_constants_are_compared_by_value():
    ones, again = np.ones((1, 5), np.float32), np.ones((1, 5), np.float32)
    first, second = (fingerprint(layer(table=table), W, X) for table in (ones, again))
    assert first == second
    assert first != fingerprint(layer(table=2 * ones), W, X)
    assert fingerprint(lambda k: jax.random.normal(k, (3,)), jax.random.key(0)) == fingerprint(
        lambda k: jax.random.normal(k, (3,)), jax.random.key(5)
    )


def surrogate(slope):
    """Return two versions of sign with this surrogate derivative: by custom_vjp and custom_jvp."""

    @jax.custom_vjp
    def by_vjp(x):
        return jnp.sign(x)

    by_vjp.defvjp(lambda x: (jnp.sign(x), x), lambda x, g: (g * slope * (jnp.abs(x) < 1),))

    @jax.custom_jvp
    def by_jvp(x):
        return jnp.sign(x)

    by_jvp.defjvp(lambda x, t: (by_jvp(*x), slope * t[0]))
    return by_vjp, by_jvp


def test_custom_derivatives_change_the_fingerprint():
    """Two surrogate gradients of one forward function must not share a training program."""
    for kind in (0, 1):
        first, same, other = (surrogate(slope)[kind] for slope in (1.0, 1.0, 2.0))
        assert fingerprint(layer(first), W, X) == fingerprint(layer(same), W, X)
        assert fingerprint(layer(first), W, X) != fingerprint(layer(other), W, X)
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


def test_a_linen_module_its_remat_and_a_pair_have_one_fingerprint():
    fingerprints = {
        as_model(net, X).graph.fingerprint for net in (Network(), Network(True), pair())
    }
    assert len(fingerprints) == 1


def test_a_loop_is_evaluated_and_its_body_is_part_of_the_fingerprint():
    graph = Graph.from_function(scanned, W, X)
    np.testing.assert_allclose(first_output(graph, [W, X]), scanned(W, X), rtol=1e-5)

    def other(w, x):
        return jax.lax.scan(lambda h, _: (jnp.sin(h @ w), None), x, length=3)[0] @ w

    assert fingerprint(scanned, W, X) == fingerprint(jax.jit(scanned), W, X)
    assert fingerprint(scanned, W, X) != fingerprint(other, W, X)
