"""Batches of a diagnosis, and the losses that their targets imply."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from arrays import normals

from jinit.diagnostics.measuring.batch import (
    check_examples,
    count_examples,
    prepare_batch,
    prepare_inputs,
    prepare_loss_batch,
)
from jinit.diagnostics.measuring.losses import OutputDirection, choose_loss
from jinit.model import trace

KEY = jax.random.key(0)
SHAPE = jax.ShapeDtypeStruct
W, X = jnp.ones((3, 4)), jnp.ones((5, 3))
MODEL = trace(lambda w, x: x @ w, W, X)


def test_inputs_are_drawn_in_the_traced_shapes_and_dtypes():
    inputs = SHAPE((6, 3), jnp.bfloat16), SHAPE((6,), jnp.int32)
    model = trace(lambda w, x, n: x.astype(jnp.float32) @ w + n[:, None], W, *inputs)
    x, n = prepare_batch("diagnose", model, (), KEY).inputs
    assert (x.shape, x.dtype, n.shape, n.dtype) == ((6, 3), jnp.bfloat16, (6,), jnp.int32)
    assert not n.any()
    assert jnp.std(x.astype(jnp.float32)) > 0.5
    same = prepare_batch("diagnose", model, (), jax.random.PRNGKey(0)).inputs[0]
    np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(same, np.float32))


def test_a_batch_without_loss_and_targets_gets_a_random_direction():
    batch = prepare_loss_batch("diagnose", MODEL, (X,), None, None)
    assert isinstance(batch.targets[0], OutputDirection)
    assert batch.targets[0].leaves[0].shape == (5, 4)
    assert prepare_loss_batch("diagnose", MODEL, (X,), jnp.mean, None).targets == []


def test_the_targets_imply_the_loss():
    outputs = normals(KEY, (5, 4))
    labels = jnp.arange(5) % 4
    chosen = choose_loss(None, outputs, [labels])
    expected = optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean()
    assert chosen.name == "cross-entropy"
    assert float(chosen.function(outputs, [labels])) == pytest.approx(float(expected), rel=1e-5)
    chosen = choose_loss(None, outputs, [outputs + 1])
    assert chosen.name == "mean squared error"
    assert float(chosen.function(outputs, [outputs + 1])) == pytest.approx(4)


def test_examples_are_counted_along_axis_0_of_the_first_input():
    assert count_examples([X, jnp.ones(7)]) == check_examples("jacobian", [X, jnp.ones(7)]) == 5
    assert count_examples([jnp.ones(())]) == count_examples([]) == 1
    with pytest.raises(ValueError, match=r"jacobian: .*, but the first input is missing; trace"):
        check_examples("jacobian", [])


def test_unsuitable_batches_are_named():
    pair = trace(lambda w, x, y: (x + y) @ w, W, X, X)
    with pytest.raises(ValueError, match="takes 2 inputs, got a batch of 1; give all inputs"):
        prepare_batch("diagnose", pair, (X,), None)
    with pytest.raises(ValueError, match="takes 2 inputs, got 3; jacobian uses no targets"):
        prepare_inputs("jacobian", pair, (X, X, X), None)
    with pytest.raises(ValueError, match=r"input 0 has shape \(2, 3\), .* traced with \(5, 3\)"):
        prepare_batch("diagnose", MODEL, (X[:2],), None)
    with pytest.raises(TypeError, match=r"random key, such as jax\.random\.key\(0\), got 3"):
        prepare_batch("diagnose", MODEL, (X,), 3)
    masked = trace(lambda w, x, m: jnp.where(m[:, None], x @ w, 0), W, X, jnp.ones(5, bool))
    with pytest.raises(
        ValueError, match=r"cannot draw inputs of dtype bool, only .*; give a batch"
    ):
        prepare_batch("diagnose", masked, (), None)
    with pytest.raises(TypeError, match=r"diagnose: loss: expected a function .*, got 'nope'"):
        prepare_loss_batch("diagnose", MODEL, (X,), "nope", None)


def test_targets_that_imply_no_loss_are_named():
    with pytest.raises(
        ValueError, match="do not say which loss is meant for outputs of shape"
    ) as e:
        choose_loss(None, jnp.ones((5, 4)), [jnp.ones((5, 1)), jnp.arange(5)])
    assert "(float32[5, 1], int32[5])" in str(e.value)
    assert "give loss=lambda outputs, *targets: ..." in str(e.value)
    with pytest.raises(
        ValueError, match=r"go from 0 to 4, but the outputs have 4 classes, from 0 to"
    ):
        prepare_loss_batch("diagnose", MODEL, (X, jnp.arange(5)), None, None)
    with pytest.raises(
        ValueError, match=r"expected one number, .* got shape \(5,\); take its mean"
    ):
        choose_loss(lambda y: y[:, 0], None, []).function(jnp.ones((5, 4)), [])
