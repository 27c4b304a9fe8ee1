"""A model that was traced with a few examples is measured with any number of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn
from flax import nnx

import jinit
from jinit import diagnostics
from jinit.model import trace_for

KEY = jax.random.key(0)
X = normals(1, (24, 8))
LABELS = jnp.arange(24) % 3


class Chain(nn.Module):
    """Two dense layers."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.tanh(nn.Dense(8)(x)))


class Recurrent(nn.Module):
    """A recurrence along axis 1, whose carry has the number of examples."""

    @nn.compact
    def __call__(self, x):
        return nn.RNN(nn.SimpleCell(8))(x.reshape(-1, 4, 2))[:, -1]


class Nnx(nnx.Module):
    """An NNX module whose rngs can only be given by keyword."""

    def __init__(self, width: int = 8, *, rngs: nnx.Rngs):
        self.dense = nnx.Linear(8, width, rngs=rngs)

    def __call__(self, x):
        return self.dense(x)


MODELS = {
    "linen": lambda x: jinit.linen.trace(Chain(), x),
    "recurrent": lambda x: jinit.linen.trace(Recurrent(), x),
    "nnx": lambda x: jinit.nnx.trace(Nnx, x),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("name", MODELS)
def test_the_answers_are_those_of_a_model_that_was_traced_with_the_batch(name):
    small, large = MODELS[name](X[:1]), MODELS[name](X)
    params = jinit.init(large, KEY, {"**kernel": "lecun_normal", "**bias": "zeros"})
    found, expected = (
        jinit.diagnose(model, params, X, LABELS, key=KEY).to_dict() for model in (small, large)
    )
    assert found["layers"] == expected["layers"]
    assert (found["verdict"], found["loss"]) == (expected["verdict"], expected["loss"])
    spectra = [diagnostics.jacobian(model, params, X, key=KEY) for model in (small, large)]
    assert spectra[0].largest == spectra[1].largest


@pytest.mark.slow
def test_every_probe_takes_any_number_of_examples():
    small, large = MODELS["linen"](X[:2]), MODELS["linen"](X)
    params = jinit.init(large, KEY)
    for probe, batch in (
        (diagnostics.tangent_kernel, (X,)),
        (diagnostics.curvature, (X, LABELS)),
        (diagnostics.gradient_quotient, (X, LABELS)),
        (diagnostics.gradient_noise, (X, LABELS)),
    ):
        found, expected = (probe(model, params, *batch, key=KEY) for model in (small, large))
        jax.tree.map(np.testing.assert_array_equal, vars_of(found), vars_of(expected))
    grid = {"sigma_w": (0.5, 2.0), "sigma_b": (0.0,)}
    found, expected = (diagnostics.phase_diagram(model, KEY, X, **grid) for model in (small, large))
    np.testing.assert_array_equal(found.chi, expected.chi)
    found, expected = (
        diagnostics.scale_effect(model, params, X, LABELS, scales=(1.0, 2.0))
        for model in (small, large)
    )
    np.testing.assert_array_equal(found.signal_std, expected.signal_std)


def vars_of(value):
    return value if isinstance(value, float) else vars(value)


def test_equal_shapes_give_one_model_and_other_differences_none():
    model = MODELS["linen"](X[:2])
    assert trace_for(model, [X]) is trace_for(model, [X, LABELS])
    assert trace_for(model, [X[:2]]) is model
    assert trace_for(model, []) is model
    assert trace_for(model, [X[:, :4]]) is model
    assert trace_for(model, [{"x": X}]) is model
    with pytest.raises(ValueError, match=r"only the number of examples, axis 0, may differ"):
        jinit.diagnose(model, jinit.init(model, KEY), X[:, :4])


def test_a_network_that_needs_its_own_number_of_examples_says_so():
    model = jinit.trace(lambda w, x: (x @ w).reshape(2, 8), jnp.eye(8), X[:2])
    message = r"was traced with inputs of the shapes \(2, 8\), and cannot be called with \(24, 8\)"
    with pytest.raises(ValueError, match=message):
        jinit.diagnose(model, jnp.eye(8), X)
