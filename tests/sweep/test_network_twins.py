"""Built-in networks against the same networks in Flax Linen: equal weights, equal outputs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals
from flax import linen as nn

from jinit.sweep import cnn, lstm, mlp, transformer

VOCABULARY, LENGTH, WIDTH, HEADS = 11, 7, 8, 2


class Convolutions(nn.Module):
    """The twin of `cnn(..., channels=(4, 6), depth=2)`."""

    space: int

    @nn.compact
    def __call__(self, x, train):
        for channels, stride in ((4, 1), (4, 1), (6, 2), (6, 1)):
            x = nn.Conv(channels, (3,) * self.space, strides=stride)(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.relu(x)
        return nn.Dense(3)(x.reshape(x.shape[0], -1))


class Perceptron(nn.Module):
    """The twin of an MLP with LayerNorm."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.tanh(nn.LayerNorm()(nn.Dense(5)(x)))
        return nn.Dense(3)(x)


class Transformer(nn.Module):
    """The twin of `transformer(..., depth=1)`."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, WIDTH)(tokens)
        x = x + self.param("positions", nn.initializers.normal(0.02), (LENGTH, WIDTH))[None]
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(HEADS)(y, mask=nn.make_causal_mask(tokens))
        y = nn.gelu(nn.Dense(4 * WIDTH)(nn.LayerNorm()(x)))
        x = x + nn.Dense(WIDTH)(y)
        return nn.Dense(VOCABULARY)(nn.LayerNorm()(x))


class Lstm(nn.Module):
    """The twin of `lstm(...)`."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, WIDTH)(tokens)
        return nn.Dense(VOCABULARY)(nn.RNN(nn.OptimizedLSTMCell(WIDTH))(x))


def perturbed(init):
    """Initial variables with all leaves, biases and scales too, moved at random."""
    return jax.jit(lambda key: moved(init(key)))(jax.random.key(0))


def moved(tree):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    pairs = zip(keys, leaves, strict=True)
    added = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for key, leaf in pairs]
    return jax.tree.unflatten(structure, added)


def tokens():
    return jax.random.randint(jax.random.key(1), (3, LENGTH), 0, VOCABULARY)


def convolution_twin(variables):
    """Variables of `Convolutions` from those of `cnn`."""
    params, statistics = {}, {}
    *hidden, last = sorted(variables["params"])
    for place, name in enumerate(hidden):
        layer = dict(variables["params"][name])
        params[f"BatchNorm_{place}"] = layer.pop("normalization")
        params[f"Conv_{place}"] = layer
        statistics[f"BatchNorm_{place}"] = variables["batch_stats"][name]
    return {"params": params | {"Dense_0": variables["params"][last]}, "batch_stats": statistics}


def assert_close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, other)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((6, 6, 2), id="image", marks=pytest.mark.slow),
        pytest.param((9, 1), id="signal", marks=pytest.mark.slow),
    ],
)
def test_a_step_of_a_convolutional_network(shape):
    init, train, evaluate = cnn(shape, 3, channels=(4, 6), depth=2)
    variables, module = perturbed(init), Convolutions(len(shape) - 1)
    inputs = normals(1, (5, *shape))
    targets = jnp.arange(5) % 3
    twin = convolution_twin(variables)
    evaluated = jax.jit(partial(module.apply, train=False))(twin, inputs)
    assert_close(jax.jit(evaluate)(variables, inputs), evaluated)

    def loss(params, call):
        outputs, updated = call(params)
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return losses.mean(), (outputs, updated)

    def ours(params):
        return train(variables | {"params": params}, jax.random.key(0), inputs)

    def theirs(params):
        return module.apply(twin | {"params": params}, inputs, train=True, mutable=["batch_stats"])

    step = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    gradient, (outputs, updated) = step(variables["params"], ours)
    expected, (wanted, state) = step(twin["params"], theirs)
    assert_close(outputs, wanted)
    both = {"params": gradient, "batch_stats": updated["batch_stats"]}
    assert_close(convolution_twin(both), {"params": expected, **state})
    old, new = (jax.tree.leaves(each["batch_stats"]) for each in (variables, updated))
    assert not any(np.allclose(a, b) for a, b in zip(old, new, strict=True))


def test_an_mlp_with_layer_normalization():
    init, apply = mlp(4, 3, depth=2, width=5, activation="tanh", normalization="layer")
    params = perturbed(init)
    inputs, twin = normals(1, (6, 4)), {}
    for place, layer in enumerate(dict(each) for each in params.values()):
        if "normalization" in layer:
            twin[f"LayerNorm_{place}"] = layer.pop("normalization")
        twin[f"Dense_{place}"] = layer
    assert_close(
        jax.jit(apply)(params, inputs), jax.jit(Perceptron().apply)({"params": twin}, inputs)
    )


@pytest.mark.slow
def test_a_transformer():
    init, apply = transformer(VOCABULARY, LENGTH, depth=1, width=WIDTH, heads=HEADS)
    params = perturbed(init)
    block = params["block_00"]
    size = WIDTH // HEADS
    attention = {
        name: {
            "kernel": block[name]["kernel"].reshape(WIDTH, HEADS, size),
            "bias": block[name]["bias"].reshape(HEADS, size),
        }
        for name in ("query", "key", "value")
    }
    out = {
        "kernel": block["out"]["kernel"].reshape(HEADS, size, WIDTH),
        "bias": block["out"]["bias"],
    }
    twin = {
        "Embed_0": {"embedding": params["embedding"]},
        "positions": params["positions"],
        "MultiHeadDotProductAttention_0": attention | {"out": out},
        "LayerNorm_0": block["attention_norm"],
        "LayerNorm_1": block["mlp_norm"],
        "LayerNorm_2": params["norm"],
        "Dense_0": block["up"],
        "Dense_1": block["down"],
        "Dense_2": params["head"],
    }
    assert_close(
        jax.jit(apply)(params, tokens()), jax.jit(Transformer().apply)({"params": twin}, tokens())
    )


@pytest.mark.slow
def test_an_lstm():
    init, apply = lstm(VOCABULARY, width=WIDTH)
    params = perturbed(init)
    layer, cell = params["layer_00"], {}
    for place, gate in enumerate("ifgo"):
        block = slice(place * WIDTH, (place + 1) * WIDTH)
        cell[f"i{gate}"] = {"kernel": layer["input"][:, block]}
        cell[f"h{gate}"] = {
            "kernel": layer["recurrent"][:, block],
            "bias": layer["bias"][block],
        }
    twin = {
        "Embed_0": {"embedding": params["embedding"]},
        "OptimizedLSTMCell_0": cell,
        "Dense_0": params["head"],
    }
    assert_close(
        jax.jit(apply)(params, tokens()), jax.jit(Lstm().apply)({"params": twin}, tokens())
    )
