"""Values that rules do not draw: integers, truth values and keys; what may be kept; paths."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import floats

import jinit
from jinit.rules import init

KEY = jax.random.key(7)
SHAPES = {
    "count": jax.ShapeDtypeStruct((), jnp.int32),
    "key": jax.eval_shape(jax.random.key, 0),
    "mask": jax.ShapeDtypeStruct((3,), jnp.bool_),
    "w": floats(4, 3),
}
STATE = {"count": jnp.int32(5), "key": jax.random.key(1), "mask": jnp.array([True, False, True])}
RULES = {"w": "he_normal"}


def apply(p, x):
    return x @ p["w"] * p["mask"][None] + p["count"]


def build(key):
    first, second = jax.random.split(key)
    return STATE | {"key": second, "w": jax.random.normal(first, (4, 3))}


PLAIN = jinit.trace(apply, SHAPES, floats(2, 4))
OWN = jinit.trace(apply, SHAPES, floats(2, 4), init=build)


def test_rules_draw_the_parameters_and_the_others_are_kept():
    drawn = init(PLAIN, KEY, RULES, keep=STATE)
    assert all(drawn[name] is STATE[name] for name in STATE)
    np.testing.assert_array_equal(drawn["w"], init(OWN, KEY, RULES)["w"])
    jitted = jax.jit(lambda key: init(PLAIN, key, RULES, keep=STATE))(KEY)
    np.testing.assert_array_equal(jitted["w"], drawn["w"])
    recommended = jinit.recommend(PLAIN).init(KEY, keep=STATE)
    np.testing.assert_array_equal(recommended["count"], 5)


@pytest.mark.parametrize("rules", [None, RULES])
def test_a_model_with_its_own_initialization_draws_the_others_itself(rules):
    drawn = init(OWN, KEY, rules)
    assert (drawn["count"], drawn["mask"].tolist()) == (5, [True, False, True])
    assert jax.random.key_data(drawn["key"]).shape == (2,)
    assert not (jax.random.key_data(drawn["key"]) == jax.random.key_data(KEY)).all()


@pytest.mark.parametrize("name", STATE)
def test_a_value_that_is_neither_kept_nor_drawn_is_named(name):
    kept = {path: value for path, value in STATE.items() if path != name}
    text = f"init: {name} ({SHAPES[name].dtype}) is not a trained parameter, so no rule draws it"
    with pytest.raises(ValueError, match=re.escape(text)):
        init(PLAIN, KEY, RULES, keep=kept)


def test_a_rule_for_a_value_that_is_not_trained():
    with pytest.raises(jinit.RuleError, match=r"matches count \(int32\), which is not trained"):
        init(PLAIN, KEY, RULES | {"count": "zeros"}, keep=STATE)


@pytest.mark.parametrize(
    ("keep", "text"),
    [
        (STATE | {"count": 5.0}, "count holds real numbers (float32), but the model's integers"),
        (STATE | {"count": True}, "count holds truth values (bool), but the model's integers"),
        (STATE | {"mask": np.ones(3)}, "mask holds real numbers (float32), but"),
        (STATE | {"w": np.ones((4, 3), int)}, "w holds integers (int32), but the model's real"),
        (STATE | {"w": np.ones((4, 3), complex)}, "w holds complex numbers (complex64), but"),
        (STATE | {"key": jax.random.PRNGKey(1)}, "key holds integers (uint32), but"),
        (STATE | {"w": SHAPES["w"]}, "w is a shape without values"),
        (STATE | {"w": "params.npz"}, "keep: w: expected an array, got str"),
        (1, "keep: expected a tree of parameters like the model's, got int"),
        ("params.npz", "keep: expected a tree of parameters like the model's, got str"),
        (np.ones(3), "keep: expected a tree of parameters like the model's, got ndarray"),
    ],
)
def test_values_of_another_kind_cannot_be_kept(keep, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        init(PLAIN, KEY, RULES, keep=keep)


def test_functions_of_a_module_may_be_among_the_kept_values():
    keep = STATE | {"activation": jnp.tanh}
    assert init(PLAIN, KEY, RULES, keep=keep)["w"].shape == (4, 3)


@pytest.mark.parametrize(
    ("dtype", "error", "text"),
    [
        ("float64", ValueError, "float64 was asked for, but JAX's 64-bit types are off"),
        ("int32", TypeError, "got dtype int32: pass a floating dtype"),
        ("complex64", TypeError, "got dtype complex64: pass a floating dtype"),
        ("float8_e8m0fnu", TypeError, "has neither a sign nor zero"),
    ],
)
def test_dtypes_that_parameters_cannot_have(dtype, error, text):
    for model, rules in ((OWN, None), (PLAIN, RULES)):
        with pytest.raises(error, match=text):
            init(model, KEY, rules, dtype=dtype, keep=STATE)


@pytest.mark.parametrize("params", [{"a/b": 1, "a": {"b": 1}}, {"a": {"b/c": 1, "b": {"c": 1}}}])
def test_two_parameters_with_one_path_are_an_error(params):
    tree = jax.tree.map(lambda _: floats(3, 3), params)
    with pytest.raises(ValueError, match="two parameters have the path 'a/b"):
        jinit.trace(lambda p, x: x @ sum(jax.tree.leaves(p)), tree, floats(2, 3))


def test_a_prefix_of_linen_that_is_not_linens_gives_another_draw():
    w = floats(3, 3)
    both = {"params": {"w": w}, "w": w}
    model = jinit.trace(lambda p, x: x @ p["params"]["w"] @ p["w"], both, floats(2, 3))
    drawn = init(model, KEY, {"**": "normal"})
    assert not np.array_equal(drawn["params"]["w"], drawn["w"])
    alone = jinit.trace(lambda p, x: x @ p["params"]["w"], {"params": {"w": w}}, floats(2, 3))
    np.testing.assert_array_equal(init(alone, KEY, {"**": "normal"})["params"]["w"], drawn["w"])
