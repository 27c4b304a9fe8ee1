"""Linen modules, NNX constructors, pairs and Models as Models, and errors for anything else."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals
from flax import linen as nn
from flax import nnx
from jax.extend.core import jaxpr_as_fun

import jinit
from jinit.hooks import as_model
from jinit.sweep import mlp

X = normals(3, (6, 5))
HUGE = 10**6


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, shift: float = 0.0):
        hidden = nn.relu(nn.Dense(4, name="first")(x))
        return nn.Dense(3, name="second", kernel_init=jinit.he_normal())(hidden) + shift


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(5, 4, rngs=rngs)
        self.second = nnx.Linear(4, 3, kernel_init=jinit.he_normal(), rngs=rngs)

    def __call__(self, x, shift: float = 0.0):
        return self.second(nnx.relu(self.first(x))) + shift


class Deep(nnx.Module):
    """Twelve layers in a list; sorted as text, the eleventh would come second."""

    def __init__(self, rngs):
        self.hidden = nnx.List([nnx.Linear(5, 5, rngs=rngs) for _ in range(12)])
        self.out = nnx.Sequential(nnx.Linear(5, 3, rngs=rngs), nnx.tanh)

    def __call__(self, x):
        for layer in self.hidden:
            x = nnx.relu(layer(x))
        return self.out(x)


def test_a_linen_module():
    module, key = Linen(), jax.random.key(0)
    model = as_model(module, X)
    params = model.init(key)
    assert [leaf.path for leaf in model.leaves] == [
        "params/first/kernel",
        "params/first/bias",
        "params/second/kernel",
        "params/second/bias",
    ]
    assert model.layer_names == ("params/first/kernel", "params/second/kernel")
    jax.tree.map(np.testing.assert_array_equal, params, module.init(key, X))
    np.testing.assert_array_equal(model.apply(params, X), module.apply(params, X))


@pytest.mark.parametrize("constructor", [Nnx, Deep])
def test_an_nnx_constructor(constructor):
    model = as_model(lambda rngs: constructor(rngs), X)
    params = model.init(jax.random.key(0))
    module = constructor(nnx.Rngs(jax.random.key(0)))
    expected = jax.tree.leaves(nnx.state(module, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(params), expected)
    drawn = jaxpr_as_fun(model.init_jaxpr)(jax.random.key(0))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), drawn, expected)
    np.testing.assert_allclose(model.apply(params, X), module(X), rtol=1e-6)
    assert jax.tree.structure(params) == jax.tree.structure(model.params)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
    nnx.update(module, jax.tree.map(lambda leaf: leaf + 0.1, nnx.state(module, nnx.Param)))
    np.testing.assert_allclose(model.apply(moved, X), module(X), rtol=1e-5)


def test_nnx_layers_in_lists_keep_their_order():
    model = as_model(lambda rngs: Deep(rngs), X)
    assert model.layer_names == (
        *(f"hidden/{layer}/kernel" for layer in range(12)),
        "out/layers/0/kernel",
    )


def test_equal_linen_and_nnx_modules_are_the_same_function():
    linen, in_nnx = as_model(Linen(), X), as_model(lambda rngs: Nnx(rngs), X)
    params = linen.init(jax.random.key(0))["params"]
    np.testing.assert_array_equal(linen.apply({"params": params}, X), in_nnx.apply(params, X))
    assert linen.graph.fingerprint == in_nnx.graph.fingerprint
    assert [name.removeprefix("params/") for name in linen.layer_names] == list(in_nnx.layer_names)


def test_a_pair_and_a_model():
    model = as_model(mlp(5, 3, depth=2, width=4), X)
    assert model.layer_names == tuple(f"layer_{n:02d}/kernel" for n in range(3))
    assert as_model(model) is model
    np.testing.assert_array_equal(
        model.init(jax.random.key(0))["layer_00"]["kernel"],
        mlp(5, 3, depth=2, width=4)[0](jax.random.key(0))["layer_00"]["kernel"],
    )


def test_static_arguments_of_the_call():
    for model in (
        jinit.linen.trace(Linen(), X, shift=2.0),
        jinit.nnx.trace(lambda rngs: Nnx(rngs), X, shift=2.0),
    ):
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), model.params)
        np.testing.assert_array_equal(model.apply(zeros, X), jnp.full((6, 3), 2.0))


def test_metadata_is_unboxed():
    boxed = nn.Dense(3, kernel_init=nn.with_partitioning(jinit.he_normal(), (None, None)))
    assert as_model(boxed, X).layer_names == ("params/kernel",)
    sharded = nnx.with_metadata(jinit.he_normal(), custom="value")
    model = as_model(lambda rngs: nnx.Linear(5, 3, kernel_init=sharded, rngs=rngs), X)
    assert model.layer_names == ("kernel",)


@pytest.mark.parametrize(
    "network",
    [
        nn.Dense(HUGE),
        lambda rngs: nnx.Linear(HUGE, HUGE, rngs=rngs),
        (lambda key: jinit.he_normal()(key, (HUGE, HUGE)), lambda params, x: x @ params),
    ],
    ids=["linen", "nnx", "pair"],
)
def test_a_kernel_of_a_million_million_parameters_is_traced(network):
    """4 TB of weights and of inputs: neither can have been allocated."""
    model = as_model(network, jax.ShapeDtypeStruct((HUGE, HUGE), jnp.float32))
    assert max(leaf.shape for leaf in model.leaves) == (HUGE, HUGE)
    assert [layer.width for layer in model.contractions] == [HUGE]


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(4)(x))


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=False):
        return nn.Dropout(0.5, deterministic=deterministic)(nn.Dense(4)(x))


class Stateful(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(5, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(self.dense(x)))


def test_state_is_traced_with_the_parameters():
    linen = jinit.linen.trace(Normalized(), X)
    assert linen.state_kinds == ("batch_stats",)
    assert linen.untrained_paths == {"batch_stats/BatchNorm_0/mean", "batch_stats/BatchNorm_0/var"}
    roles = {leaf.path: leaf.role for leaf in linen.leaves}
    assert roles["batch_stats/BatchNorm_0/mean"] == "state"
    assert roles["params/BatchNorm_0/scale"] == "scale"
    variables = linen.init(jax.random.key(0))
    expected, _ = Normalized().apply(variables, X, mutable=["batch_stats"])
    np.testing.assert_array_equal(linen.apply(variables, X), expected)
    in_nnx = jinit.nnx.trace(Stateful, X)
    assert in_nnx.state_kinds == ("BatchStat", "RngCount", "RngKey")
    assert in_nnx.untrained_paths == {"norm/mean", "norm/var"}
    params = in_nnx.init(jax.random.key(0))
    np.testing.assert_array_equal(in_nnx.apply(params, X), in_nnx.apply(params, X))
    assert float((in_nnx.apply(params, X) == 0).mean()) > 0.2


def test_random_numbers_in_a_call_need_keys():
    with pytest.raises(ValueError, match=r'PRNG for "dropout".*with deterministic=True, or give k'):
        _ = jinit.linen.trace(Dropping(), X).graph
    model = jinit.linen.trace(Dropping(), X, deterministic=True)
    assert model.layer_names == ("params/Dense_0/kernel",)
    dropping = jinit.linen.trace(Dropping(), X, rngs={"dropout": jax.random.key(1)})
    variables = dropping.init(jax.random.key(0))
    np.testing.assert_array_equal(dropping.apply(variables, X), dropping.apply(variables, X))


def test_an_nnx_module_with_drawn_weights_is_refused():
    with pytest.raises(TypeError, match="Linear is an NNX module whose weights are drawn already"):
        as_model(nnx.Linear(5, 3, rngs=nnx.Rngs(0)), X)


def test_reading_the_roles_does_not_change_later_calls():
    """The random states of a call are the same whether a trace or a call came first."""
    model = jinit.nnx.trace(Stateful, X)
    params = model.init(jax.random.key(0))
    expected = jinit.nnx.trace(Stateful, X).apply(params, X)
    assert model.leaves[0].role == "kernel"
    assert len(model.contractions) == 1
    np.testing.assert_allclose(model.apply(params, X), expected, rtol=1e-6)


def test_inputs_that_do_not_fit_raise_when_an_nnx_module_is_traced():
    with pytest.raises(TypeError, match="contracting dimensions") as caught:
        jinit.nnx.trace(lambda rngs: nnx.Linear(4, 3, rngs=rngs), X)
    assert "nnx.trace: the module raised this when it was called with float32[6, 5]" in (
        caught.value.__notes__
    )


@pytest.mark.parametrize("trace", [jinit.linen.trace, jinit.nnx.trace])
def test_a_shape_without_dtype_is_refused(trace):
    network = nn.Dense(3) if trace is jinit.linen.trace else lambda rngs: Nnx(rngs)
    with pytest.raises(TypeError, match=r"input 1 is \(1, 5\), which looks like a shape; .*jnp\."):
        trace(network, (1, 5))


def test_a_linen_class_is_refused():
    with pytest.raises(TypeError, match=r"got the class Dense; call it, such as Dense\(\.\.\.\)"):
        jinit.linen.trace(nn.Dense, X)


@pytest.mark.parametrize("network", [3, "he_normal", (mlp(5, 3)[0],), {"a": 1}, None])
def test_anything_else_is_not_a_network(network):
    with pytest.raises(
        TypeError, match=r"cannot make a model of \w+: expected a Linen module, a f"
    ):
        as_model(network, X)


def test_a_function_that_does_not_return_an_nnx_module():
    with pytest.raises(TypeError, match="returns an NNX module, but it returned Dense; for pure"):
        as_model(nn.Dense, X)
    with pytest.raises(TypeError, match="returned int; for pure functions give the pair"):
        as_model(lambda rngs: 3, X)


PROGRAM = """
import sys
import jax, jax.numpy as jnp
import jinit
from jinit.hooks import as_model
seen = ["flax" in sys.modules]
as_model(jinit.sweep.mlp(5, 3, depth=1), jnp.ones((6, 5))).graph
seen.append("flax" in sys.modules)
jinit.linen
seen.append("flax.linen" in sys.modules)
print(*seen)
"""


def test_flax_is_imported_only_for_a_flax_module():
    command = [sys.executable, "-c", PROGRAM]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert seen == ["False", "False", "True"]


class NeedsRngsOnly(nnx.Module):
    """An NNX module with an option before its rngs."""

    def __init__(self, width: int = 3, *, rngs: nnx.Rngs):
        self.dense = nnx.Linear(4, width, rngs=rngs)

    def __call__(self, x):
        return self.dense(x)


class OptionalRngs(NeedsRngsOnly):
    """An NNX module whose rngs are not its first argument, and can be left out."""

    def __init__(self, width: int = 3, rngs: nnx.Rngs | None = None):
        super().__init__(width, rngs=rngs or nnx.Rngs(0))


@pytest.mark.parametrize("constructor", [NeedsRngsOnly, OptionalRngs])
def test_a_class_that_needs_nothing_but_rngs_is_its_own_constructor(constructor):
    expected = jinit.nnx.trace(lambda rngs: constructor(rngs=rngs), jnp.ones((2, 4)))
    model = jinit.nnx.trace(constructor, jnp.ones((2, 4)))
    found, expected = (each.init(jax.random.key(0)) for each in (model, expected))
    np.testing.assert_array_equal(found["dense"]["kernel"], expected["dense"]["kernel"])


def test_a_constructor_that_needs_more_than_rngs_is_explained():
    message = r"got Linear\(in_features.*missing a required .*; give lambda rngs: Linear\(\.\.\., "
    with pytest.raises(TypeError, match=message):
        jinit.nnx.trace(nnx.Linear, jnp.ones((2, 4)))
