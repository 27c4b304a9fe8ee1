"""Haiku functions as Models: axes and fans counted by hand, variances measured."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from model.roles import check, floats, numbers

import jinit
from jinit.programs import count_compilations

KEY = jax.random.key(0)


def transform(build):
    """Return a transformed function of one input that applies the layer from `build`."""
    return hk.without_apply_rng(hk.transform(lambda x: build()(x)))


def trace_net(net, example):
    params = jax.eval_shape(net.init, KEY, example)
    zeros = jnp.zeros(example.shape, example.dtype)
    return jinit.trace(net.apply, params, example, init=lambda key: net.init(key, zeros))


def unrolled(build):
    """Return a recurrent core that runs over a sequence, with time as the first axis."""

    def run(x):
        core = build()
        return hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))[0]

    return lambda: run


def self_attention():
    layer = hk.MultiHeadAttention(4, 8, w_init=hk.initializers.VarianceScaling(), model_size=16)
    return lambda x: layer(x, x, x)


SEQUENCE, IMAGE, TOKENS = floats(8, 7, 16), floats(8, 10, 10, 4), numbers(8, 7)
LAYERS = {
    "Linear": (
        lambda: hk.Linear(3), SEQUENCE,
        {"linear/w": "kernel in,out 16 3", "linear/b": "bias out 16"},
    ),
    "Conv1D": (
        lambda: hk.Conv1D(6, 3), SEQUENCE,
        {"conv1_d/w": "kernel spatial,in,out 48 18", "conv1_d/b": "bias out 48"},
    ),
    "Conv2D": (
        lambda: hk.Conv2D(6, 3), IMAGE, {"conv2_d/w": "kernel spatial,spatial,in,out 36 54"},
    ),
    "Conv2D in groups with stride": (
        lambda: hk.Conv2D(6, 4, stride=2, feature_group_count=2), IMAGE,
        {"conv2_d/w": "kernel spatial,spatial,in,out 32 12"},
    ),
    "Conv2DTranspose": (
        lambda: hk.Conv2DTranspose(6, 4, stride=2), IMAGE,
        {"conv2_d_transpose/w": "kernel spatial,spatial,out,in 16 96"},
    ),
    "DepthwiseConv2D": (
        lambda: hk.DepthwiseConv2D(2, 3), IMAGE,
        {"depthwise_conv2_d/w": "kernel spatial,spatial,in,out 9 18"},
    ),
    "MultiHeadAttention": (
        self_attention, SEQUENCE,
        {f"multi_head_attention/{name}/w": "kernel in,out 16 32"
         for name in ("query", "key", "value")}
        | {"multi_head_attention/linear/w": "kernel in,out 32 16",
           "multi_head_attention/query/b": "bias out 16"},
    ),
    "Embed": (lambda: hk.Embed(100, 8), TOKENS, {"embed/embeddings": "embedding lookup,out 1 8"}),
    "Embed by one-hot codes": (
        lambda: hk.Embed(100, 8, lookup_style="ONE_HOT"), TOKENS,
        {"embed/embeddings": "embedding lookup,out 1 8"},
    ),
    "LayerNorm": (
        lambda: hk.LayerNorm(-1, True, True), SEQUENCE,
        {"layer_norm/scale": "scale out", "layer_norm/offset": "bias out"},
    ),
    "LSTM": (
        unrolled(lambda: hk.LSTM(4)), SEQUENCE,
        {"lstm/linear/w": "kernel in,out 20 16", "lstm/linear/b": "bias out 20"},
    ),
    # Its recurrent kernel is split into two, for the gates and for the candidate.
    "GRU": (
        unrolled(lambda: hk.GRU(4)), SEQUENCE,
        {"gru/w_i": "kernel in,out 16 12", "gru/w_h": "kernel in,out 4 8"},
    ),
    "MLP": (
        lambda: hk.nets.MLP([32, 3]), SEQUENCE,
        {"mlp/~/linear_0/w": "kernel in,out 16 32", "mlp/~/linear_1/w": "kernel in,out 32 3"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    build, example, expected = LAYERS[name]
    check(trace_net(transform(build), example), expected)


MLP = transform(lambda: hk.nets.MLP([256, 256, 256], activation=jnp.tanh, with_bias=False))


def test_a_recommended_initialization_keeps_the_variance():
    """E[z²] is σ_w² after the first kernel, then σ_w² E[φ(z)²]."""
    model = trace_net(MLP, floats(8, 256))
    *hidden, last = model.leaves
    x = np.linspace(-3, 3, 25)
    for leaf in hidden:
        assert leaf.activation.end == "product"
        np.testing.assert_allclose(leaf.activation(x), np.tanh(x), atol=1e-6)
    assert last.activation.end == "output"
    params = jinit.recommend(model).init(KEY)
    z, moments = normals(5, (512, 256)), []
    for layer in params.values():
        z = (jnp.tanh(z) if moments else z) @ layer["w"]
        moments.append(float((z**2).mean()))
    expected = [1.0]
    for factor in (1.0, 1.0):
        expected.append(factor * jinit.theory.moments(jnp.tanh, expected[-1]).second)
    np.testing.assert_allclose(moments, expected, rtol=0.15)
    assert model.apply(params, jnp.ones((2, 256))).shape == (2, 256)


def test_plans_and_haiku_own_initializers():
    model = trace_net(MLP, floats(8, 256))
    plan = jinit.plan(model, {"**/linear_2/w": "zeros", "**": "orthogonal"})
    assert [row.std for row in plan.rows] == pytest.approx([1 / 16, 1 / 16, None])
    params = jinit.init(model, KEY)
    assert jax.tree.structure(params) == jax.tree.structure(MLP.init(KEY, jnp.ones((2, 256))))
    # 0.8796: the standard deviation of a normal distribution truncated at two
    assert float(params["mlp/~/linear_1"]["w"].std()) == pytest.approx(0.8796 / 16, rel=0.02)


def test_state_is_an_input():
    net = hk.without_apply_rng(
        hk.transform_with_state(
            lambda x: jnp.tanh(hk.BatchNorm(True, True, 0.9)(hk.Linear(8)(x), is_training=True))
        )
    )
    params, state = jax.eval_shape(net.init, KEY, floats(32, 16))
    model = jinit.trace(
        lambda params, state, x: net.apply(params, state, x)[0], params, state, floats(32, 16)
    )
    check(
        model,
        {"linear/w": "kernel in,out 16 8", "linear/b": "bias out 16"}
        | {"batch_norm/scale": "scale unit,out", "batch_norm/offset": "bias unit,out"},
    )
    assert model.leaves[0].activation.has_normalization
    drawn = jinit.recommend(model).init(KEY)
    assert float(drawn["batch_norm"]["scale"].min()) == 1


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["Conv2D", "MultiHeadAttention"])
def test_fast_init_gives_the_values_of_init(name):
    build, example, _ = LAYERS[name]
    net, zeros = transform(build), jnp.zeros(example.shape, example.dtype)
    ours, theirs = jinit.fast_init(net.init)(KEY, zeros), net.init(KEY, zeros)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("as_data", [False, True])
def test_equal_layers_are_one_program(as_data):
    net = transform(lambda: hk.nets.MLP([8] * 5, activation=jnp.tanh))
    x = floats(2, 8)

    def build(key):
        return net.init(jax.random.key_data(key) if as_data else key, jnp.ones((2, 8)))

    model = jinit.trace(net.apply, jax.eval_shape(build, KEY), x, init=build)
    with count_compilations() as compilations:
        params = jinit.init(model, KEY)
    assert compilations.count == 1
    kernels = {np.asarray(layer["w"]).tobytes() for layer in params.values()}
    assert len(kernels) == 5
