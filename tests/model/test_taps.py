"""Evaluation of a graph, and taps on its intermediate values."""

import jax
import jax.numpy as jnp
import numpy as np
from arrays import normals
from model.graphs import W, X, nested, record

from jinit.model import Graph, apply_taps, trace


def test_evaluating_the_graph_gives_the_results_of_the_function():
    model = trace(nested, W, X)
    taps = {layer.place: record for layer in model.contractions}
    (result,), observations = apply_taps(model.graph, [W, X], taps)
    np.testing.assert_allclose(result, nested(W, X), rtol=1e-6)
    first, second = observations.values()
    np.testing.assert_allclose(first[2], X @ W, rtol=1e-6)
    np.testing.assert_allclose(second[0], jax.nn.relu(X @ W), rtol=1e-6)


def test_several_outputs_trees_literals_and_constants():
    table = np.arange(5.0, dtype=np.float32).reshape(1, 5)

    def function(params, x):
        return {"sum": x @ params["w"] + table, "same": x, "one": jnp.ones(()), "n": 3 * x[0, 0]}

    graph = Graph.from_function(function, {"w": W}, X)
    results, _ = apply_taps(graph, [W, X], {})
    expected = jax.tree.leaves(function({"w": W}, X))
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-6)


def test_a_tap_replaces_only_the_result_at_its_place():
    model = trace(nested, W, X)
    taps = {
        layer.place: lambda operands, result, probe: (result * 0, None)
        for layer in model.contractions
    }
    (result,), _ = apply_taps(model.graph, [W, X], taps)
    np.testing.assert_allclose(result, jnp.round(X), atol=1e-6)


def test_observations_in_loops_are_stacked():
    kernels = 0.5 * normals(4, (2, 3, 5, 5))

    def step(h, kernel):
        return jnp.tanh(h @ kernel), h.sum()

    def apply(kernels, x):
        def outer(h, kernels):
            return jax.lax.scan(step, h, kernels, reverse=True)

        return jax.lax.scan(outer, x, kernels)

    model = trace(apply, kernels, X)
    (layer,) = model.contractions
    assert (layer.loop_lengths, layer.is_stacked, layer.width) == ((2, 3), True, 5)
    assert model.layer_names == tuple(f"[{number}]" for number in range(6))
    taps = {layer.place: lambda operands, result, probe: (result + probe, result)}
    probes = {layer.place: jnp.ones((2, 3, 1, 1))}
    (last, sums), observations = apply_taps(model.graph, [kernels, X], taps, probes)
    hidden, products, totals = X, np.zeros((2, 3, 6, 5)), np.zeros((2, 3))
    for outer in range(2):
        for inner in (2, 1, 0):
            totals[outer, inner] = hidden.sum()
            products[outer, inner] = hidden @ kernels[outer, inner]
            hidden = jnp.tanh(products[outer, inner] + 1)
    np.testing.assert_allclose(last, hidden, rtol=1e-5)
    np.testing.assert_allclose(sums, totals, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(observations[layer.place], products, rtol=1e-4, atol=1e-5)
