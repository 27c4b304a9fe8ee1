"""Modules, train states and Models as arguments of `diagnose`, and a beginner's mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from flax import nnx
from flax.core import freeze
from flax.training import train_state

import jinit
from jinit.hooks import read_network

KEY = jax.random.key(0)
X, Y = jnp.ones((8, 6)), jnp.arange(8) % 3


class Norm(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        return nn.Dense(3)(nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x)))


class Flag(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(3)(x) if train else x


class Small(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(6, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)
        self.drop, self.norm = nnx.Dropout(0.1, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(nnx.relu(self.norm(self.first(x)))))


class NormState(train_state.TrainState):
    batch_stats: object


DENSE, NORM = nn.Dense(3), Norm()
VARIABLES, NORM_VARIABLES = DENSE.init(KEY, X), NORM.init(KEY, X)
SMALL = Small(nnx.Rngs(0))
TX = optax.sgd(0.1)
STATE = train_state.TrainState.create(apply_fn=DENSE.apply, params=VARIABLES["params"], tx=TX)
NORM_STATE = NormState.create(apply_fn=NORM.apply, tx=TX, **NORM_VARIABLES)
EVALUATED = NORM_STATE.replace(apply_fn=partial(NORM.apply, train=False))
MODEL = jinit.linen.trace(DENSE, X)


@pytest.mark.parametrize(
    ("network", "arguments", "layers"),
    [
        (DENSE, (VARIABLES, X, Y), 1),
        (DENSE, (freeze(VARIABLES), X, Y), 1),
        (DENSE, (STATE, X, Y), 1),
        (DENSE, (None, X, Y), 1),
        (NORM, (NORM_VARIABLES, X, Y), 2),
        (STATE, (X, Y), 1),
        (STATE, (None, X, Y), 1),
        (STATE.replace(params=VARIABLES), (X, Y), 1),
        (STATE.replace(apply_fn=lambda variables, x: DENSE.apply(variables, x)), (X, Y), 1),
        (NORM_STATE, (X, Y), 2),
        (EVALUATED, (X, Y), 2),
        (SMALL, (X, Y), 2),
        (SMALL, (None, X, Y), 2),
        (SMALL, (nnx.state(SMALL), X, Y), 2),
        (MODEL, (VARIABLES, X, Y), 1),
        (MODEL, (STATE, X, Y), 1),
    ],
)
def test_networks_in_every_form(network, arguments, layers):
    model, params, batch = read_network("diagnose", network, arguments)
    assert len(model.layer_names) == layers
    assert [leaf.shape for leaf in batch] == [(8, 6), (8,)]
    assert len(model.inputs) == 1
    if params is not None:
        assert len(model.by_path(params)) == len(model.paths)


def test_a_state_and_a_module_have_one_diagnosis():
    by_state = jinit.diagnose(STATE, X, Y)
    assert by_state.to_dict() == jinit.diagnose(DENSE, VARIABLES, X, Y).to_dict()
    assert by_state.layers[0].path == "params/kernel"


BARE = STATE.replace(apply_fn=NORM.apply, params=NORM_VARIABLES["params"])


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (NORM, (), "Norm needs an example input, such as diagnose"),
        (NORM, (NORM_VARIABLES,), "Norm needs an example input"),
        (SMALL, (), "Small needs an example input"),
        (STATE, (), "needs an example input"),
        (NORM, (X, Y), "expected the variables of Norm after it, got an array of shape"),
        (NORM, (VARIABLES, X), "Norm keeps batch_stats besides its parameters, but the variables"),
        (BARE, (X,), "with a TrainState, add a field batch_stats to it"),
        (DENSE, (NORM_VARIABLES, X), "belong to another module than Dense: expected params/bias"),
        (
            DENSE,
            (VARIABLES["params"], X),
            "a dictionary with 'params', got a dictionary with",
        ),
        (Flag(), (None, X, Y), r"Flag\(x, train\) could not be called with .*trace it yourself"),
        (SMALL, (X[:, :3], Y), r"could not be called with \(float32\[8, 3\]\): TypeError"),
    ],
)
def test_mistakes_name_a_remedy(network, arguments, message):
    with pytest.raises(ValueError, match=f"diagnose: .*{message}"):
        read_network("diagnose", network, arguments)


@pytest.mark.parametrize(
    ("network", "message"),
    [(Norm, r"the class Norm; call it, such as Norm\(...\)"), (len, "builtin.*; make a Model")],
)
def test_anything_else_is_no_network(network, message):
    with pytest.raises(TypeError, match=message):
        read_network("diagnose", network, (X,))
