"""Equinox modules as Models: axes and fans counted by hand, variances measured."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from equinox import nn
from model.roles import check, floats, numbers

import jinit
from jinit.gains import needed
from jinit.programs import count_compilations

KEY = jax.random.key(0)


def batched(net, x):
    return jax.vmap(net)(x)


def trace_module(build, example):
    """Return the Model of a module, traced with shapes."""
    return jinit.trace(batched, eqx.filter_eval_shape(build, KEY), example, init=build)


class Each(eqx.Module):
    """A layer applied at every position of a sequence."""

    layer: eqx.Module

    def __call__(self, x):
        return jax.vmap(self.layer)(x)


class SelfAttention(eqx.Module):
    """Attention with queries, keys and values from one sequence."""

    layer: nn.MultiheadAttention

    def __call__(self, x):
        return self.layer(x, x, x)


class Recurrent(eqx.Module):
    """A cell that runs over a sequence."""

    cell: eqx.Module

    def __call__(self, x):
        zero = jnp.zeros(4)
        carry = (zero, zero) if isinstance(self.cell, nn.LSTMCell) else zero
        return jax.lax.scan(lambda h, x: (self.cell(x, h), None), carry, x)[0]


def layer(kind, *sizes, **options):
    return lambda key: kind(*sizes, **options, key=key)


def wrap(wrapper, build):
    return lambda key: wrapper(build(key))


SEQUENCE, LINE, IMAGE = floats(8, 7, 16), floats(8, 4, 10), floats(8, 4, 10, 10)
LAYERS = {
    "Linear": (
        layer(nn.Linear, 16, 3), floats(8, 16),
        {"weight": "kernel out,in 16 3", "bias": "bias out 16"},
    ),
    "Linear to a scalar": (
        layer(nn.Linear, 16, "scalar"), floats(8, 16), {"weight": "kernel out,in 16 1"},
    ),
    "Linear over a sequence": (
        wrap(Each, layer(nn.Linear, 16, 3)), SEQUENCE, {"layer/weight": "kernel out,in 16 3"},
    ),
    "Conv1d": (
        layer(nn.Conv1d, 4, 6, 3), LINE,
        {"weight": "kernel out,in,spatial 12 18", "bias": "bias out,unit 12"},
    ),
    "Conv2d": (
        layer(nn.Conv2d, 4, 6, 3), IMAGE,
        {"weight": "kernel out,in,spatial,spatial 36 54", "bias": "bias out,unit,unit 36"},
    ),
    "Conv2d with stride": (
        layer(nn.Conv2d, 4, 6, 4, stride=2), IMAGE,
        {"weight": "kernel out,in,spatial,spatial 64 24"},
    ),
    "Conv2d in groups": (
        layer(nn.Conv2d, 4, 6, 3, groups=2), IMAGE,
        {"weight": "kernel out,in,spatial,spatial 18 27"},
    ),
    "Conv2d depthwise": (
        layer(nn.Conv2d, 4, 4, 3, groups=4), IMAGE, {"weight": "kernel out,in,spatial,spatial 9 9"},
    ),
    "ConvTranspose2d": (
        layer(nn.ConvTranspose2d, 4, 6, 4, stride=2), IMAGE,
        {"weight": "kernel out,in,spatial,spatial 16 96"},
    ),
    "ConvTranspose2d in groups": (
        layer(nn.ConvTranspose2d, 4, 6, 4, stride=2, groups=2), IMAGE,
        {"weight": "kernel out,in,spatial,spatial 8 48"},
    ),
    "MultiheadAttention": (
        wrap(SelfAttention, layer(nn.MultiheadAttention, 4, 16, use_query_bias=True)), SEQUENCE,
        {f"layer/{name}_proj/weight": "kernel out,in 16 16"
         for name in ("query", "key", "value", "output")}
        | {"layer/query_proj/bias": "bias out 16"},
    ),
    "Embedding": (
        wrap(Each, layer(nn.Embedding, 100, 8)), numbers(8, 7),
        {"layer/weight": "embedding lookup,out 1 8"},
    ),
    "LayerNorm": (
        lambda key: nn.LayerNorm(16), floats(8, 16), {"weight": "scale out", "bias": "bias out"},
    ),
    "GroupNorm": (
        lambda key: nn.GroupNorm(2, 4), IMAGE, {"weight": "scale out", "bias": "bias out"},
    ),
    "RMSNorm": (
        lambda key: nn.RMSNorm(16), floats(8, 16), {"weight": "scale out", "bias": "bias out"},
    ),
    "WeightNorm": (
        wrap(nn.WeightNorm, layer(nn.Linear, 16, 3)), floats(8, 16),
        {"layer/weight": "kernel out,in 16 3", "g": "scale out,unit"},
    ),
    "PReLU": (lambda key: nn.PReLU(0.1), floats(8, 16), {"negative_slope": "scale"}),
    "LSTMCell": (
        wrap(Recurrent, layer(nn.LSTMCell, 16, 4)), SEQUENCE,
        {"cell/weight_ih": "kernel out,in 16 16", "cell/weight_hh": "kernel out,in 4 16"},
    ),
    "GRUCell": (
        wrap(Recurrent, layer(nn.GRUCell, 16, 4)), SEQUENCE,
        {"cell/weight_ih": "kernel out,in 16 12", "cell/weight_hh": "kernel out,in 4 12",
         "cell/bias": "bias out 16", "cell/bias_n": "bias out 4"},
    ),
    "MLP": (
        layer(nn.MLP, 16, 3, 32, 2), floats(8, 16),
        {"layers/0/weight": "kernel out,in 16 32", "layers/1/weight": "kernel out,in 32 32",
         "layers/2/weight": "kernel out,in 32 3", "layers/0/bias": "bias out 16"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    build, example, expected = LAYERS[name]
    check(trace_module(build, example), expected)


def mlp(key):
    return nn.MLP(256, 256, 256, 2, jax.nn.gelu, key=key)


def test_the_activation_after_every_kernel():
    x = np.linspace(-3, 3, 25)
    leaves = trace_module(mlp, floats(8, 256)).leaves
    *hidden, last = [leaf for leaf in leaves if leaf.role == "kernel"]
    for leaf in hidden:
        assert leaf.activation.end == "product"
        np.testing.assert_allclose(leaf.activation(x), jax.nn.gelu(x), atol=1e-6)
    assert last.activation.is_identity
    assert last.activation.end == "output"


@pytest.mark.slow
def test_init_returns_complete_modules():
    rules = {"**/weight": "orthogonal", "**/bias": "zeros"}
    shapes = eqx.filter_eval_shape(mlp, KEY)
    model = jinit.trace(batched, mlp(KEY), floats(8, 256), init=mlp)
    for net in (jinit.init(model, KEY), jinit.init(model, KEY, rules)):
        assert jax.tree.structure(net) == jax.tree.structure(shapes)
        assert net.activation is jax.nn.gelu
        assert model.apply(net, jnp.ones((2, 256))).shape == (2, 256)
    w = net.layers[0].weight
    np.testing.assert_allclose(w.T @ w, np.eye(256), atol=1e-5)
    again = jinit.init(model, jax.random.key(1), rules, only="layers/0/*", keep=net)
    assert (again.layers[1].weight == net.layers[1].weight).all()
    assert (again.layers[0].weight != net.layers[0].weight).any()


def test_a_partitioned_module_is_a_tree_like_any_other():
    params, static = eqx.partition(mlp(KEY), eqx.is_inexact_array)
    x = floats(8, 256)
    model = jinit.trace(lambda params, x: batched(eqx.combine(params, static), x), params, x)
    assert model.leaves == trace_module(mlp, x).leaves
    drawn = jinit.recommend(model).init(KEY)
    assert jax.tree.structure(drawn) == jax.tree.structure(params)
    assert batched(eqx.combine(drawn, static), jnp.ones((2, 256))).shape == (2, 256)


def second_moments(net, x):
    """Return E[z²] of every pre-activation of an MLP."""
    moments = []
    for layer in net.layers[:-1]:
        z = jax.vmap(layer)(x)
        moments.append(float((z**2).mean()))
        x = net.activation(z)
    return [*moments, float((jax.vmap(net.layers[-1])(x) ** 2).mean())]


def test_a_recommended_initialization_keeps_the_variance():
    """E[z²] is σ_w² after the first kernel, then σ_w² E[φ(z)²].

    Widths of 256 and 512 inputs leave a random error of a few percent.
    """
    x = normals(5, (512, 256))
    model = trace_module(mlp, floats(8, 256))
    net = jinit.recommend(model).init(KEY)
    zero = jax.tree.map(lambda leaf: leaf * (leaf.ndim > 1), eqx.filter(net, eqx.is_inexact_array))
    net = eqx.combine(zero, net)
    first, *others = [scale.weights for leaf in model.leaves if (scale := needed(leaf))]
    expected = [first]
    for factor in others:
        expected.append(factor * jinit.theory.moments(jax.nn.gelu, expected[-1]).second)
    np.testing.assert_allclose(second_moments(net, x), expected, rtol=0.25)
    image = normals(KEY, (16, 8, 9, 9))
    build = layer(nn.ConvTranspose2d, 8, 64, 4, stride=2, padding=((3, 3), (3, 3)), use_bias=False)
    z = batched(jinit.recommend(trace_module(build, floats(16, 8, 9, 9))).init(KEY), image)
    inner = z[:, :, 3:-3, 3:-3]
    assert float((inner**2).mean()) == pytest.approx(1, abs=0.2)


def test_a_recommendation_shows_equinox_own_initialization():
    model = trace_module(mlp, floats(8, 256))
    rows = {row.path: row for row in jinit.recommend(model).rows}
    assert rows["layers/1/weight"].advice.startswith("its gain is 0.57")  # 1/√3: uniform on ±1/√n
    needed_std = needed(model.leaf("layers/1/weight")).std
    assert rows["layers/1/weight"].std == pytest.approx(needed_std, rel=1e-5)
    plan = jinit.plan(model, {"**": jinit.normal(0.02)})
    assert plan.rows[0].axes == ("out", "in")


class Normalized(eqx.Module):
    """A layer with running statistics."""

    linear: nn.Linear
    norm: nn.BatchNorm
    dropout: nn.Dropout

    def __init__(self, key):
        self.linear = nn.Linear(16, 8, key=key)
        self.norm = nn.BatchNorm(8, "batch", mode="batch")
        self.dropout = nn.Dropout(0.5, inference=True)

    def __call__(self, x, state):
        x, state = self.norm(self.linear(x), state)
        return self.dropout(jnp.tanh(x)), state


make_normalized = nn.make_with_state(Normalized)


@pytest.mark.slow
def test_state_is_an_input():
    net, state = make_normalized(KEY)
    batched_net = jax.vmap(
        lambda net, state, x: net(x, state),
        axis_name="batch",
        in_axes=(None, None, 0),
        out_axes=(0, None),
    )
    model = jinit.trace(
        lambda net, state, x: batched_net(net, state, x)[0],
        net,
        state,
        floats(32, 16),
        init=lambda key: make_normalized(key)[0],
    )
    check(
        model,
        {"linear/weight": "kernel out,in 16 8", "norm/weight": "scale out", "norm/bias": "bias out"}
        | {"linear/bias": "bias out 16"},
    )
    assert model.leaves[0].activation.has_normalization
    drawn = jinit.init(model, KEY, {"linear/weight": "he_normal", "*/bias": "zeros", "**": "ones"})
    out, after = batched_net(drawn, state, normals(KEY, (32, 16)))
    assert out.shape == (32, 8)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    check_equal(jinit.fast_init(make_normalized)(KEY), make_normalized(KEY))


def check_equal(ours, theirs):
    """Compare structures, functions and bits."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for left, right in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        if eqx.is_array(left):
            assert (left.shape, left.dtype) == (right.shape, right.dtype)
            np.testing.assert_array_equal(left, right)
        else:
            assert left is right or left == right


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["Conv2d", "MultiheadAttention"])
def test_fast_init_gives_the_values_of_the_constructor(name):
    build = LAYERS[name][0]
    check_equal(jinit.fast_init(build)(KEY), build(KEY))


class Stack(eqx.Module):
    """Six equal layers, whose keys are split or folded, at once or one after the other."""

    layers: list

    def __init__(self, key, way):
        keys = jax.random.split(key, 6)
        if way == "folded":
            keys = [jax.random.fold_in(key, n) for n in range(6)]
        if way == "chained":
            keys = []
            for _ in range(6):
                key, layer_key = jax.random.split(key)
                keys.append(layer_key)
        self.layers = [nn.Linear(8, 8, key=key) for key in keys]

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return x


@pytest.mark.parametrize("way", ["split", "folded", "chained"])
def test_equal_layers_are_one_program_whatever_their_keys_are_made_of(way):
    model = trace_module(lambda key: Stack(key, way), floats(8, 8))
    with count_compilations() as compilations:
        net = jinit.init(model, KEY)
    assert compilations.count == 1
    arrays = jax.tree.leaves(eqx.filter(net, eqx.is_array))
    assert len({array.tobytes() for array in map(np.asarray, arrays)}) == 12
    assert max(float(abs(array).max()) for array in arrays) <= 8**-0.5


def test_a_parameter_does_not_change_when_layers_are_reordered():
    """Its key comes from its path, not from its position among the keys that are split."""

    class Reordered(eqx.Module):
        a: nn.Linear
        b: nn.Linear

        def __init__(self, key, swapped):
            first, second = jax.random.split(key)[:: -1 if swapped else 1]
            self.a, self.b = nn.Linear(8, 8, key=first), nn.Linear(8, 8, key=second)

        def __call__(self, x):
            return self.b(self.a(x))

    one, other = (
        jinit.init(trace_module(lambda key, s=s: Reordered(key, s), floats(2, 8)), KEY)
        for s in (False, True)
    )
    np.testing.assert_array_equal(one.a.weight, other.a.weight)
