"""Queries, keys, values and output kernels of attention, read from the computation."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx
from networks import Mixture, ResNet, Stack, image, sequence

import jinit

D, HEADS = 16, 4
X = sequence(D)
SQUARE = jax.ShapeDtypeStruct((D, D), jnp.float32)
KERNELS = dict.fromkeys("abcd", SQUARE)
ROLES = {"a": "query", "b": "key", "c": "value", "d": "output"}


def roles(model):
    return {leaf.path: leaf.attention_role for leaf in model.leaves if leaf.attention}


def split(array, heads=HEADS):
    return array.reshape(*array.shape[:-1], heads, -1)


def merge(array, params):
    return array.reshape(*array.shape[:-2], -1) @ params["d"]


def project(params, x):
    return (split(x @ params[name]) for name in "abc")


def swapped(params, x):
    query, key, value = project(params, x)
    weights = nn.softmax(jnp.einsum("bshd,bthd->bhts", key, query) / 2)
    return x + merge(jnp.einsum("bhts,bshd->bthd", weights, value), params)


def transposed(params, x):
    query, key, value = (split(x @ params[name].T).transpose(0, 2, 1, 3) for name in "abc")
    weights = nn.softmax(query @ key.swapaxes(-1, -2) / 2)
    return merge((weights @ value).transpose(0, 2, 1, 3), {"d": params["d"].T})


def one_head(params, x):
    query, key, value = (x @ params[name] for name in "abc")
    return nn.softmax(query @ key.swapaxes(1, 2) / 4) @ value @ params["d"]


def rotary_and_normalized(params, x):
    angle = jnp.arange(5.0)[:, None] / jnp.array([[1.0, 10.0]])
    cos, sin = (wave(angle)[None, :, None] for wave in (jnp.cos, jnp.sin))

    def rotate(array):
        array = array * jax.lax.rsqrt((array * array).mean(-1, keepdims=True) + 1e-6)
        first, second = jnp.split(array, 2, -1)
        return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)

    query, key, value = project(params, x)
    logits = jnp.einsum("bthd,bshd->bhts", rotate(query), rotate(key))
    logits = jnp.where(jnp.tril(jnp.ones((1, 1, 5, 5), bool)), logits, -1e9)
    return x + merge(jnp.einsum("bhts,bshd->bthd", nn.softmax(logits), value), params)


def gated(params, x):
    query, key, value = project(params, x)
    mixed = jax.nn.dot_product_attention(query, key, value)
    return x + merge(mixed * split(nn.sigmoid(x @ params["gate"])), params)


def rematerialized(params, x):
    return jax.checkpoint(swapped)(params, x)


def in_a_vmap(params, x):
    return jax.vmap(lambda row: swapped(params, row[None])[0])(x)


@pytest.mark.parametrize(
    "apply",
    [swapped, transposed, one_head, rotary_and_normalized, gated, rematerialized, in_a_vmap],
    ids=lambda apply: apply.__name__,
)
def test_roles_in_pure_functions(apply):
    model = jinit.trace(apply, KERNELS | {"gate": SQUARE}, X)
    assert roles(model) == ROLES
    head_dim = 16 if apply is one_head else 4
    for leaf in model.leaves:
        for part in leaf.attention:
            assert (part.head_dim, part.unit_count, part.is_ordered) == (head_dim, D, True)


def fused(kind):
    def apply(params, x):
        joined = x @ params["abc"]
        if kind == "thirds":
            parts = map(split, jnp.split(joined, 3, -1))
        elif kind == "axis":
            parts = jnp.moveaxis(joined.reshape(*x.shape[:2], 3, HEADS, -1), 2, 0)
        elif kind == "heads":
            parts = jnp.split(split(joined), 3, -1)
        else:
            parts = (split(joined[..., start : start + D]) for start in (0, D, 2 * D))
        return x + merge(jax.nn.dot_product_attention(*parts), params)

    return apply


@pytest.mark.parametrize(
    ("kind", "size", "period"),
    [("thirds", D, 3 * D), ("axis", D, 3 * D), ("slices", D, 3 * D), ("heads", 4, 12)],
)
def test_blocks_of_a_fused_kernel(kind, size, period):
    params = {"abc": jax.ShapeDtypeStruct((D, 3 * D), jnp.float32), "d": SQUARE}
    leaf = jinit.trace(fused(kind), params, X).leaf("abc")
    assert leaf.attention_role == "query·key·value"
    blocks = [(part.units.start, part.units.size, part.units.period) for part in leaf.attention]
    assert blocks == [(size * number, size, period) for number in range(3)]


def grouped(params, x):
    key, value = (split(x @ params[name], 2) for name in "bc")
    return x + merge(jax.nn.dot_product_attention(split(x @ params["a"]), key, value), params)


def test_grouped_queries_have_fewer_keys():
    narrow = jax.ShapeDtypeStruct((D, D // 2), jnp.float32)
    model = jinit.trace(grouped, KERNELS | {"b": narrow, "c": narrow}, X)
    assert roles(model) == ROLES
    assert [model.leaf(name).attention[0].unit_count for name in "abcd"] == [16, 8, 8, 16]
    assert not model.leaf("d").attention[0].is_ordered


def linear_attention(params, x):
    query, key, value = project(params, x)
    state = jnp.einsum("bshk,bshv->bhkv", nn.elu(key) + 1, value)
    return x + merge(jnp.einsum("bthk,bhkv->bthv", nn.elu(query) + 1, state), params)


def raw_queries(params, x):
    """The queries and keys are the residual stream itself, which other kernels added to."""
    x = x + nn.relu(x @ params["a"]) @ params["b"]
    return x + nn.softmax(x @ x.swapaxes(1, 2)) @ (x @ params["c"]) @ params["d"]


def test_what_is_not_a_kernel_of_attention():
    assert roles(jinit.trace(linear_attention, KERNELS, X)) == {}
    assert roles(jinit.trace(raw_queries, KERNELS, X)) == {"c": "value", "d": "output"}
    assert roles(jinit.linen.trace(ResNet(), image())) == {}
    assert roles(jinit.linen.trace(Mixture(), X)) == {}


class Cross(nn.Module):
    """Attention to the tokens themselves, then to others."""

    @nn.compact
    def __call__(self, x, other):
        x = x + nn.MultiHeadDotProductAttention(2, name="own", dtype=jnp.bfloat16)(x)
        return x + nn.MultiHeadDotProductAttention(2, name="cross")(x, other)


def test_attention_to_another_signal():
    model = jinit.linen.trace(Cross(), X, jax.ShapeDtypeStruct((2, 7, 12), jnp.float32))
    parts = {
        leaf.path.split("/")[1:][0]: leaf.attention[0] for leaf in model.leaves if leaf.attention
    }
    assert (parts["own"].is_cross, parts["own"].attention) == (False, 0)
    assert (parts["cross"].is_cross, parts["cross"].attention) == (True, 1)


def test_attention_in_a_loop_and_after_it():
    leaves = jinit.linen.trace(Stack(), X).leaves
    found = {leaf.path: leaf.attention[0] for leaf in leaves if leaf.attention}
    assert [part.attention for part in found.values()] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found["params/loop/attention/key/kernel"].role == "key"


def traced_equinox():
    module = eqx.nn.MultiheadAttention(2, D, key=jax.random.key(0))
    arrays, static = eqx.partition(module, eqx.is_array)

    def apply(arrays, x):
        return jax.vmap(lambda row: eqx.combine(arrays, static)(row, row, row))(x)

    return jinit.trace(apply, arrays, X)


def traced_haiku():
    scaling = hk.initializers.VarianceScaling(1.0)
    network = hk.transform(lambda x: hk.MultiHeadAttention(2, 8, w_init=scaling)(x, x, x))
    params = jax.eval_shape(network.init, jax.random.key(0), X)
    return jinit.trace(lambda params, x: network.apply(params, None, x), params, X)


@pytest.mark.parametrize(
    "model",
    [
        traced_equinox,
        traced_haiku,
        lambda: jinit.linen.trace(nn.MultiHeadDotProductAttention(2), X),
        lambda: jinit.linen.trace(nn.MultiHeadDotProductAttention(2), jnp.ones((2, 1, D))),
        lambda: jinit.nnx.trace(
            lambda rngs: nnx.MultiHeadAttention(2, D, decode=False, rngs=rngs), X
        ),
    ],
    ids=["equinox", "haiku", "linen", "one position", "nnx"],
)
def test_roles_in_frameworks(model):
    found = list(roles(model()).values())
    assert found == ["query", "key", "value", "output"]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.LayerNorm(), True),
        (nn.RMSNorm(), True),
        (nn.GroupNorm(2), True),
        (nn.BatchNorm(use_running_average=False), True),
    ],
    ids=["LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm"],
)
def test_scales_and_biases_of_normalizations(module, expected):
    model = jinit.linen.trace(module, X)
    known = [leaf.is_normalization for leaf in model.leaves if leaf.role in ("scale", "bias")]
    assert known
    assert set(known) == {expected}


def test_scales_that_are_not_of_a_normalization():
    def network(params, x):
        gate, mixing, offset, bias = (jnp.broadcast_to(params[name], x.shape) for name in "abcd")
        y = x - x.mean(-1, keepdims=True)
        y = y * jax.lax.rsqrt((y * y).mean(-1, keepdims=True) + 1e-6)
        normalized = y * (1 + offset)
        return x + gate * (normalized * mixing) + bias

    vector = jax.ShapeDtypeStruct((D,), jnp.float32)
    model = jinit.trace(network, dict.fromkeys("abcd", vector), X)
    assert not any(leaf.is_normalization for leaf in model.leaves)
