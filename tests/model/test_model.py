"""`trace`: paths, shapes and names; nothing is allocated or computed. Text of a Model."""

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


def test_trace_needs_a_function():
    with pytest.raises(TypeError, match=r"expected a function apply\(params, \*inputs\), got dict"):
        trace(PARAMS, PARAMS, jnp.ones((8, 4)))


def test_models_are_compared_by_identity():
    """A model holds functions, which cannot be compared; fingerprints compare computations."""
    first, second = (trace(apply, PARAMS, jnp.ones((8, 4))) for _ in range(2))
    assert first == first
    assert first != second
    assert isinstance(first, Model)
    assert len({first, second}) == 2


@pytest.mark.parametrize(
    ("example", "remedy"),
    [
        ((8, 4), r"input 1 is \(8, 4\), .* such as jax.ShapeDtypeStruct\(\(8, 4\), jnp.float32\)"),
        ([8], r"input 1 is \[8\], which looks like a shape; .* or jnp.zeros\(\(8,\)\)"),
    ],
)
def test_a_shape_without_dtype_is_refused(example, remedy):
    with pytest.raises(TypeError, match=f"^trace: {remedy}"):
        trace(apply, PARAMS, example)


def test_a_model_is_shown_in_one_line():
    model = trace(apply, PARAMS, jnp.ones((8, 4)))
    assert repr(model) == "Model(25 parameters in 3 arrays, inputs: float32[8, 4])"
    many = trace(lambda p, *x: x[0] @ p, jnp.ones((4, 1)), *[jnp.ones((1, 4))] * 5)
    shown = ", ".join(["float32[1, 4]"] * 3)
    assert repr(many) == f"Model(4 parameters in 1 array, inputs: {shown}, ...)"
    assert repr(trace(lambda p: p, jnp.ones(1))) == "Model(1 parameter in 1 array, inputs: none)"


def test_a_printed_model_is_a_table_of_its_parameters():
    text = str(trace(apply, PARAMS, jnp.ones((8, 4))))
    assert text == (
        "25 parameters in 3 arrays, inputs: float32[8, 4]\n\n"
        "path             shape  role    fan_in  fan_out\n"
        "layers/0         4×3    kernel       4        3\n"
        "layers/1/kernel  3×2    kernel       3        2\n"
        "unused           7      unused"
    )


def test_long_and_unprintable_paths_fit_80_columns():
    params = {"\x1b[2J": jnp.ones((4, 4)), "block" * 30: {"kernel": jnp.ones((4, 4))}}
    model = trace(lambda p, x: x @ jax.tree.leaves(p)[0], params, jnp.ones((8, 4)))
    text = str(model)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert "block/kernel" in text
    marked = trace(lambda p, x: x @ p["<b>"], {"<b>": jnp.ones((4, 4))}, jnp.ones((8, 4)))
    assert "<td>&lt;b&gt;</td><td>4×4</td><td>kernel</td>" in marked._repr_html_()


def test_a_missing_leaf_raises_with_the_closest_paths():
    model = trace(apply, PARAMS, jnp.ones((8, 4)))
    with pytest.raises(KeyError, match=r"no parameter 'layers/2'; the closest paths are layers/0"):
        model.leaf("layers/2")
