"""Mistakes of beginners, and messages that say what to write instead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit


class Mlp(nn.Module):
    """A network with a flag."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(4)(nn.relu(nn.Dense(8)(x)))


class Net(nnx.Module):
    """An NNX network."""

    def __init__(self, rngs):
        self.dense = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        return self.dense(x)


X, LABELS = jnp.ones((4, 8)), jnp.arange(4)
KEY = jax.random.key(0)
MODEL = jinit.linen.trace(Mlp(), X)
PART = np.ones((64, 8), np.float32), np.arange(64) % 4
TASK = jinit.Task("mine", train=PART, validation=PART, batch_size=8)
SPACE = jinit.grid(init=["zeros"], lr=[0.1])
COLUMN = jinit.trace(lambda w, x: x @ w["w"], {"w": jnp.ones((8, 1))}, X)


def task(targets=PART[1], **options):
    part = PART[0], np.asarray(targets)
    return jinit.Task("mine", train=part, validation=part, **options)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: jinit.diagnose(MODEL, X, LABELS),
            ValueError,
            r"expected the parameters after the model, .*params = jinit\.init\(model, key\)",
        ),
        (lambda: jinit.linen.trace(Mlp(), X, True), TypeError, "by name, such as train=True"),
        (lambda: jinit.linen.trace(Mlp(), [[1.0, 2.0]]), TypeError, r"give jnp\.asarray"),
        (lambda: jinit.linen.trace(Mlp(), X, rngs=KEY), TypeError, "a dictionary of keys, such as"),
        (lambda: jinit.recommend(Mlp()), TypeError, r"recommend: .*jinit\.linen\.trace\(module"),
        (lambda: jinit.plan(Mlp(), {}), TypeError, r"plan: expected a Model, got Mlp; make one"),
        (lambda: jinit.trace(Mlp(), {}, X), TypeError, r"use jinit\.linen\.trace\(module, x\)"),
        (lambda: jinit.nnx.trace(Mlp(), X), TypeError, r"use jinit\.linen\.trace\(module, x\)"),
        (lambda: jinit.nnx.trace(lambda: Net(nnx.Rngs(0)), X), TypeError, "give lambda rngs: Mod"),
        (lambda: jinit.Sweep(TASK, Mlp(), SPACE), TypeError, r"lambda config: Mlp\(kernel_init="),
        (lambda: jinit.Sweep(TASK, Mlp, SPACE), TypeError, r"lambda config: Mlp\(kernel_init="),
        (
            lambda: jinit.Sweep(TASK, lambda config: Mlp(), jinit.grid(init=["zeros"], lr=["0.1"])),
            ValueError,
            "write the number without quotes",
        ),
        (lambda: jinit.init(MODEL, {"**": "zeros"}, KEY), TypeError, "expected a random key, got"),
        (lambda: jinit.init(MODEL, nnx.Rngs(0)), TypeError, "expected a random key, got Rngs: mak"),
        (lambda: jinit.plan(MODEL, {"**": "he"}), ValueError, "did you mean 'he_normal' or 'he_un"),
        (lambda: jinit.he, AttributeError, "did you mean 'he_normal' or 'he_uniform'"),
        (
            lambda: jinit.plan(MODEL, {"**/kernel": "he_normal"}),
            jinit.RuleError,
            r"Rule\(None\) at the end leaves everything else to the model",
        ),
        (lambda: task(["a", "b"] * 32), ValueError, r"np\.unique\(targets, return_inverse=True\)"),
        (lambda: task(loss="mse"), TypeError, r"such as jinit\.sweep\.cross_entropy, got 'mse'"),
        (
            lambda: jinit.diagnose(COLUMN, {"w": jnp.ones((8, 1))}, X, jnp.ones(4)),
            ValueError,
            "squeeze outputs or reshape targets",
        ),
    ],
)
def test_the_message_says_what_to_write(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_labels_that_are_not_counted_from_zero_are_suspected(tmp_path):
    sweep = jinit.Sweep(task(np.arange(64) % 4 + 1), lambda config: Mlp(), SPACE)
    with pytest.raises(ValueError, match="counted from 0 to the largest label, 4"):
        sweep.run(tmp_path / "run")


def test_the_own_initializers_are_a_plan_and_a_rule():
    rows = jinit.plan(MODEL).rows
    assert [row.initializer for row in rows] == [None] * 4
    rules = {"**/Dense_0/kernel": "zeros", "**": None}
    found, own = (jinit.init(MODEL, KEY, each)["params"] for each in (rules, None))
    assert not found["Dense_0"]["kernel"].any()
    np.testing.assert_array_equal(found["Dense_1"]["kernel"], own["Dense_1"]["kernel"])
