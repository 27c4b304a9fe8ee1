"""Built-in networks: causality, how parameters are drawn and read, and wrong options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

import jinit
from jinit.hooks import as_model
from jinit.sweep import cnn, lstm, mlp, transformer

VOCABULARY, LENGTH = 11, 6
NETWORKS = {
    "transformer": lambda **options: transformer(VOCABULARY, LENGTH, **options),
    "lstm": lambda **options: lstm(VOCABULARY, **options),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_depend_on_the_past_and_present_only(name):
    init, apply = NETWORKS[name](width=8, depth=2)
    params = init(jax.random.key(0))
    tokens = jnp.arange(LENGTH)[None]
    for place in range(LENGTH):
        changed = apply(params, tokens.at[0, place].set(VOCABULARY - 1))
        moved = np.abs(changed - apply(params, tokens)).max((0, 2)) > 1e-6
        np.testing.assert_array_equal(moved, np.arange(LENGTH) >= place)


def test_every_gate_has_a_block_of_its_own():
    width, (init, _) = 64, lstm(VOCABULARY, width=64, init="xavier_normal", forget_bias=2.0)
    layer = init(jax.random.key(0))["layer_00"]
    # The variance of 16,384 draws has a relative standard deviation of 1.1 %.
    assert layer["input"].var() * width == pytest.approx(1, rel=0.06)
    blocks = np.split(np.asarray(layer["recurrent"]), 4, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(width), atol=1e-5)
    assert not np.allclose(blocks[0], blocks[1])
    assert layer["bias"].reshape(4, width).mean(1).tolist() == [0, 2, 0, 0]


@pytest.mark.slow
def test_the_initializer_draws_all_kernels():
    for name, build in NETWORKS.items():
        given = {"recurrent_init": "zeros"} if name == "lstm" else {}
        init, apply = build(width=8, init=jinit.zeros, **given)
        logits = apply(init(jax.random.key(0)), jnp.zeros((2, LENGTH), int))
        assert (logits == 0).all()


def test_embeddings_and_positions_have_initializers_of_their_own():
    params = transformer(1000, 500, width=64, init="zeros")[0](jax.random.key(0))
    assert params["embedding"].std() == pytest.approx(1 / 8, rel=0.03)
    assert params["positions"].std() == pytest.approx(0.02, rel=0.03)


ALL = {
    "mlp": (lambda: mlp(6, 3, depth=2, width=8, normalization="batch"), (4, 6), jnp.float32),
    "cnn": (lambda: cnn((6, 6, 1), 3, channels=(4, 4)), (4, 6, 6, 1), jnp.float32),
    "transformer": (lambda: transformer(VOCABULARY, LENGTH, width=8), (4, LENGTH), jnp.int32),
    "lstm": (lambda: lstm(VOCABULARY, width=8), (4, LENGTH), jnp.int32),
}
TABLES = {"embedding": "embedding", "positions": "position", "mean": "state", "var": "state"}
KERNELS = ("kernel", "input", "recurrent")


@pytest.mark.parametrize("name", ALL)
def test_jinit_reads_the_roles_of_all_parameters(name):
    build, shape, dtype = ALL[name]
    model = as_model(build(), jax.ShapeDtypeStruct(shape, dtype))
    for leaf in model.leaves:
        last = leaf.path.rpartition("/")[2]
        expected = "kernel" if last in KERNELS else TABLES.get(last, last)
        assert (leaf.path, leaf.role) == (leaf.path, expected)
        if expected == "kernel":
            assert leaf.fan_in == np.prod(leaf.shape[:-1])
    table = str(jinit.recommend(model))
    assert all(last in table for last in KERNELS if any(last in leaf.path for leaf in model.leaves))


@pytest.mark.slow
def test_dropout_draws_from_the_key_and_keeps_the_mean():
    init, apply = mlp(6, 3, depth=1, width=512, activation=lambda x: x, dropout=0.5)
    params, inputs = init(jax.random.key(0)), jnp.ones((1, 6))
    keys = jax.random.split(jax.random.key(2), 4000)
    outputs = jax.vmap(lambda key: apply(params, inputs, key=key))(keys)
    kept = apply(params, inputs, key=None)
    # Five standard deviations of the mean of 4,000 draws.
    np.testing.assert_array_less(abs(outputs.mean(0) - kept), 5 * outputs.std(0) / 4000**0.5)
    assert (outputs.std(0) > 0.1).all()


@pytest.mark.slow
def test_dropout_of_a_transformer_is_for_training_only():
    build = functools.partial(transformer, VOCABULARY, LENGTH, width=8, depth=1)
    init, apply = build(dropout=0.5)
    params, tokens = init(jax.random.key(0)), jnp.zeros((4, LENGTH), int)
    kept = apply(params, tokens, key=None)
    np.testing.assert_array_equal(kept, build()[1](params, tokens))
    assert not np.allclose(apply(params, tokens, key=jax.random.key(0)), kept)


@pytest.mark.slow
def test_flat_inputs_of_a_cnn_are_reshaped():
    init, _, evaluate = cnn((4, 4, 2), 3)
    variables, images = init(jax.random.key(0)), normals(1, (5, 4, 4, 2))
    flat = evaluate(variables, images.reshape(5, -1))
    np.testing.assert_array_equal(flat, evaluate(variables, images))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: transformer(5, 4, width=6, heads=4), "heads: expected a divisor of the width, 6"),
        (lambda: transformer(5, 4, dropout=1), "dropout: expected a number from 0 to below 1"),
        (lambda: transformer(0, 4), "vocabulary: expected an integer of at least 1, got 0"),
        (lambda: lstm(5, width=0), "width: expected an integer of at least 1, got 0"),
        (lambda: lstm(5, recurrent_init="orthogonl"), "did you mean 'orthogonal'"),
        (lambda: cnn((8,), 3), r"input_shape: expected axes of space and then one of channels"),
        (lambda: cnn((8, 8, 1), 3, channels=8), r"channels: expected a list such as \(16, 32\)"),
        (lambda: cnn((8, 8, 1), 3, channels=(8, 0)), "channels: expected an integer of at least"),
        (lambda: cnn((8, 8, 1), 3, kernel_size=0), "kernel_size: expected an integer of at least"),
        (lambda: mlp(4, 3, normalization="bach"), "unknown normalization 'bach'; did you mean"),
        (lambda: mlp(4, 3, statistics_momentum=1.0), "statistics_momentum: expected a number from"),
    ],
)
def test_options_that_cannot_work(build, text):
    with pytest.raises(ValueError, match=text):
        build()
