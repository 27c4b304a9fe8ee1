"""Model.trace: paths, shapes, names; nothing allocated, nothing computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.model import Model, trace

HUGE = 10**6


def apply(params, x):
    return jnp.tanh(x @ params["layers"][0]) @ params["layers"][1]["kernel"]


PARAMS = {"layers": [jnp.ones((4, 3)), {"kernel": jnp.ones((3, 2))}], "unused": jnp.ones(7)}


def test_leaves_have_paths_and_layers_have_names():
    model = trace(apply, PARAMS, jnp.ones((8, 4)))
    assert [(leaf.path, leaf.shape, leaf.dtype) for leaf in model.leaves] == [
        ("layers/0", (4, 3), jnp.float32),
        ("layers/1/kernel", (3, 2), jnp.float32),
        ("unused", (7,), jnp.float32),
    ]
    assert model.layer_names == ("layers/0", "layers/1/kernel")
    assert [layer.width for layer in model.contractions] == [3, 2]


def test_a_model_is_abstract():
    arrays = trace(apply, PARAMS, np.ones((8, 4), np.float32))
    shapes = trace(apply, jax.eval_shape(lambda: PARAMS), jax.ShapeDtypeStruct((8, 4), jnp.float32))
    for model in (arrays, shapes):
        leaves = jax.tree.leaves((model.params, model.inputs))
        assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    assert arrays.graph.fingerprint == shapes.graph.fingerprint
    assert arrays.apply(PARAMS, jnp.ones((8, 4))).shape == (8, 2)
    assert arrays.init is None


def test_a_kernel_of_a_million_million_parameters_is_traced():
    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    model = trace(lambda w, x: jnp.tanh(x @ w) @ w, shape(HUGE, HUGE), shape(64, HUGE))
    assert [layer.width for layer in model.contractions] == [HUGE, HUGE]
    assert model.leaves[0].shape == (HUGE, HUGE)


def test_several_inputs_and_trees_of_inputs():
    def scale_and_shift(w, x, extra):
        return x @ w * extra["scale"] + extra["shift"]

    extra = {"scale": 2.0, "shift": jnp.ones((8, 3))}
    model = trace(scale_and_shift, jnp.ones((4, 3)), jnp.ones((8, 4)), extra)
    assert len(model.contractions) == 1
    assert len(model.graph.inputs) == 4


def test_what_is_not_a_function():
    with pytest.raises(TypeError, match=r"expected a function apply\(params, \*inputs\), got dict"):
        trace(PARAMS, PARAMS, jnp.ones((8, 4)))


def test_models_are_compared_by_identity():
    """A model holds functions: two traces are equal in what they compute, not as values."""
    one, other = (trace(apply, PARAMS, jnp.ones((8, 4))) for _ in range(2))
    assert one == one
    assert one != other
    assert isinstance(one, Model)
    assert len({one, other}) == 2
