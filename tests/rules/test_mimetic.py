"""Mimetic initialization, with the kernels of attention found by what the computation does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import Stack, sequence

import jinit
from jinit import RuleError, recipes
from jinit.rules import plan

D, HEADS, HEAD = 32, 2, 16
TOKENS = jax.ShapeDtypeStruct((2, 5, D), jnp.float32)


def split_heads(array, heads=HEADS):
    return array.reshape(*array.shape[:-1], heads, -1)


def attend(x, query, key, value):
    return jax.nn.dot_product_attention(query, key, value).reshape(*x.shape[:-1], -1)


def separate(params, x):
    projected = [split_heads(x @ params[name]) for name in ("a", "b", "c")]
    return x + attend(x, *projected) @ params["d"]


def transposed(params, x):
    projected = [split_heads(x @ params[name].T) for name in ("a", "b", "c")]
    return x + attend(x, *projected) @ params["d"].T


def heads_as_axis(params, x):
    kernels = [params[name].reshape(D, HEADS, HEAD) for name in ("a", "b", "c")]
    projected = [jnp.einsum("btd,dhk->bthk", x, kernel) for kernel in kernels]
    return x + attend(x, *projected) @ params["d"]


def by_thirds(params, x):
    projected = jnp.split(x @ params["fused"], 3, -1)
    return x + attend(x, *map(split_heads, projected)) @ params["d"]


def by_heads(params, x):
    projected = jnp.split(split_heads(x @ params["fused"]), 3, -1)
    return x + attend(x, *projected) @ params["d"]


def keys_with_values(params, x):
    key, value = map(split_heads, jnp.split(x @ params["fused"], 2, -1))
    return x + attend(x, split_heads(x @ params["a"]), key, value) @ params["d"]


SQUARE = jax.ShapeDtypeStruct((D, D), jnp.float32)


def kernels(*names):
    return dict.fromkeys(names, SQUARE)


def fused(parts, *names):
    return {"fused": jax.ShapeDtypeStruct((D, parts * D), jnp.float32)} | kernels(*names)


def thirds(array):
    return np.split(array, 3, -1)


CASES = {
    "separate": (separate, kernels(*"abcd"), lambda p: [p[name] for name in "abcd"]),
    "transposed": (transposed, kernels(*"abcd"), lambda p: [p[name].T for name in "abcd"]),
    "heads_as_axis": (heads_as_axis, kernels(*"abcd"), lambda p: [p[name] for name in "abcd"]),
    "by_thirds": (by_thirds, fused(3, "d"), lambda p: [*thirds(p["fused"]), p["d"]]),
    "by_heads": (
        by_heads,
        fused(3, "d"),
        lambda p: [
            *(part.reshape(D, D) for part in thirds(p["fused"].reshape(D, HEADS, -1))),
            p["d"],
        ],
    ),
    "keys_with_values": (
        keys_with_values,
        fused(2, "a", "d"),
        lambda p: [p["a"], *np.split(p["fused"], 2, -1), p["d"]],
    ),
}


def assert_mimetic(query, key, value, out, beta=0.4):
    """Assert both products; a trace of 0.7 Z is N(0, 0.49), five deviations below 0.7 D."""
    products = np.einsum("ihk,jhk->hij", query.reshape(D, HEADS, -1), key.reshape(D, HEADS, -1))
    assert (products.trace(axis1=1, axis2=2) > 0.7 * HEAD - 5 * 0.7).all()
    both = value @ out
    assert both.trace() / D == pytest.approx(-beta, abs=5 * 0.4 / D)
    assert np.linalg.norm(both + beta * np.eye(D)) / D**0.5 == pytest.approx(0.4, rel=0.2)
    assert not np.allclose(np.linalg.norm(query), np.linalg.norm(value), rtol=0.01)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("by_heads", "transposed") else pytest.mark.slow)
        for name in CASES
    ],
)
def test_products_are_mimetic(name):
    apply, params, read = CASES[name]
    model = jinit.trace(apply, params, TOKENS)
    drawn = jinit.init(model, jax.random.key(0), recipes.mimetic(heads=HEADS))
    assert_mimetic(*read(jax.tree.map(np.asarray, drawn)))


@pytest.mark.slow  # the compilation of singular values of several matrices at once
def test_mimetic_in_a_loop():
    model = jinit.linen.trace(Stack(), sequence())
    params = jinit.init(model, jax.random.key(0), recipes.mimetic())["params"]
    attention = params["loop"]["attention"]
    value, out = attention["value"]["kernel"], attention["out"]["kernel"]
    both = value.reshape(3, 16, 16) @ out.reshape(3, 16, 16)
    assert (np.trace(both, axis1=1, axis2=2) / 16 < -0.2).all()
    assert not np.allclose(both[0], both[1])


def grouped(params, x):
    key, value = (split_heads(x @ params[name], 1) for name in ("b", "c"))
    return x + attend(x, split_heads(x @ params["a"]), key, value) @ params["d"]


def half(params, x):
    """Two attentions, of which the second has no output kernel."""
    x = separate(params, x)
    return x + attend(x, *(split_heads(x @ params[name]) for name in "efg"))


NARROW = jax.ShapeDtypeStruct((D, HEAD), jnp.float32)


@pytest.mark.parametrize(
    ("apply", "params", "options", "text"),
    [
        (
            grouped,
            kernels("a", "d") | dict.fromkeys("bc", NARROW),
            {},
            "differ in features or heads",
        ),
        (separate, kernels(*"abcd"), {"heads": 4}, "has 2 heads of 16 features"),
        (lambda p, x: jnp.tanh(x @ p["a"]), kernels("a"), {}, "no parameter matches Rule"),
        (half, kernels(*"abcdefg"), {}, "cannot read one output kernel"),
    ],
    ids=["grouped", "heads", "none", "no output"],
)
def test_kernels_without_a_mimetic_pair_raise(apply, params, options, text):
    model = jinit.trace(apply, params, TOKENS)
    with pytest.raises(RuleError) as caught:
        plan(model, recipes.mimetic(**options))
    assert text in str(caught.value)


def test_attention_to_another_signal_is_xavier_uniform():
    def network(params, x, other):
        inner = x + attend(x, *(split_heads(x @ params[name]) for name in "abc")) @ params["d"]
        query, key, value = inner @ params["e"], other @ params["f"], other @ params["g"]
        return inner + attend(x, *map(split_heads, (query, key, value))) @ params["h"]

    model = jinit.trace(network, kernels(*"abcdefgh"), TOKENS, TOKENS)
    rows = {row.path: row for row in plan(model, recipes.mimetic()).rows}
    assert [rows[name].std for name in "efgh"] == pytest.approx([math.sqrt(1 / D)] * 4)
    assert "mimetic('query_key', 0, 0.7, 0.7" in repr(rows["a"].initializer)
    assert "mimetic('value_output', 1, 0.4, 0.4" in repr(rows["d"].initializer)


def test_a_fused_kernel_is_scaled_by_parts():
    model = jinit.trace(by_thirds, fused(3, "d"), TOKENS)
    drawn = jinit.init(model, jax.random.key(0), recipes.deepnorm(2))
    query, key, value = thirds(np.asarray(drawn["fused"]))
    for part, factor in ((query, 1), (key, 1), (value, 1 / 2)):  # six standard errors
        assert part.std() == pytest.approx(factor * D**-0.5, rel=6 / (2 * part.size) ** 0.5)
    drawn = jinit.init(model, jax.random.key(0), recipes.t5())
    query, key, _ = thirds(np.asarray(drawn["fused"]))
    assert query.std() == pytest.approx((D * HEAD) ** -0.5, rel=6 / (2 * query.size) ** 0.5)
    assert key.std() == pytest.approx(D**-0.5, rel=6 / (2 * key.size) ** 0.5)
    whole = jinit.init(model, jax.random.key(0), [jinit.Rule(jinit.lecun_normal())])
    assert whole["fused"].std() == pytest.approx(D**-0.5, rel=6 / (6 * D * D) ** 0.5)
