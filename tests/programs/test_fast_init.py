"""fast_init returns the values of any initialization function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit
from jinit.programs import count_compilations
from jinit.rules import fast_init

KEY = jax.random.key(3)
X = jnp.ones((2, 8, 16))
IMAGE = jnp.ones((1, 8, 8, 3))
INITS = jax.nn.initializers


class Mixed(nn.Module):
    """Layers with every distribution of jax.nn.initializers, and several collections."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(16, kernel_init=INITS.he_uniform())(x)
        x = nn.BatchNorm(use_running_average=False)(x)
        x = nn.Dense(16, kernel_init=INITS.orthogonal(), bias_init=INITS.uniform())(x)
        x = nn.MultiHeadDotProductAttention(2, kernel_init=INITS.xavier_normal())(x)
        x = x + self.param("table", INITS.truncated_normal(0.02, lower=-1), (8, 16))[None]
        return nn.Dense(4, kernel_init=jinit.lecun_normal(), bias_init=INITS.normal(0.1))(x)


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x):
        scan = nn.scan(
            nn.LSTMCell,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        cell = scan(8)
        carry = cell.initialize_carry(KEY, x[:, 0].shape)
        return cell(carry, x)[1]


def assert_equal(ours, theirs):
    """Assert equal bits; from jax 0.11 a logarithm may differ by two units in the last place."""
    units = 0 if jax.__version_info__ < (0, 11) else 2
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for left, right in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        assert (left.shape, left.dtype) == (right.shape, right.dtype)
        np.testing.assert_array_max_ulp(np.asarray(left), np.asarray(right), maxulp=units)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("module", "example"), [(Mixed(), X), (Scanned(), X), (nn.Conv(8, (3, 3)), IMAGE)]
)
def test_the_values_of_module_init(module, example):
    assert_equal(fast_init(module.init)(KEY, example), module.init(KEY, example))


def test_several_collections_keys_and_static_arguments():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool):
            return nn.Dropout(0.5, deterministic=not train)(nn.Dense(4)(x))

    keys = {"params": KEY, "dropout": jax.random.key(9)}
    assert_equal(fast_init(Net().init)(keys, X, train=True), Net().init(keys, X, train=True))
    assert_equal(fast_init(Net().init)(keys, X, False), Net().init(keys, X, False))


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(3)])
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)


def test_a_function_that_constructs_an_nnx_module():
    def build(seed=0):
        return Net(nnx.Rngs(seed))

    ours, theirs = fast_init(build)(), build()
    assert isinstance(ours, Net)
    for left, right in zip(*(jax.tree.leaves(nnx.state(m)) for m in (ours, theirs)), strict=True):
        if jnp.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        np.testing.assert_array_equal(left, right)


@pytest.mark.once
def test_any_function():
    def build(key, data, scale=2.0):
        one, two = jax.random.split(key)
        return {
            "normal": scale * jax.random.normal(one, (4, 3)),
            "bits": jax.random.bits(two, (5,), "uint8"),
            "mean": data.mean(0),
            "same": data,
            "name": "net",
            "seeded": jax.random.uniform(jax.random.key(5)),
            "permuted": jax.random.permutation(two, 7),
        }

    data = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    for keys in (KEY, jax.random.key(4), jax.random.PRNGKey(4), jax.random.key(1, impl="rbg")):
        ours, theirs = fast_init(build)(keys, data), build(keys, data)
        assert ours.pop("name") == theirs.pop("name") == "net"
        assert_equal(ours, theirs)


def test_a_function_is_traced_once_and_equal_draws_are_compiled_once():
    count = 0

    def build(key):
        nonlocal count
        count += 1
        return [jax.random.normal(jax.random.fold_in(key, n), (16, 3)) for n in range(8)]

    fast = fast_init(build)
    with count_compilations() as compilations:
        fast(KEY)
    assert compilations.count == 1
    assert_equal(fast(jax.random.key(1)), build(jax.random.key(1)))
    assert count == 2  # one trace, and the direct call


def test_the_forward_pass_is_not_run():
    called = []

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(4)(x)
            jax.debug.callback(lambda: called.append(1))
            return x

    fast_init(Net().init)(KEY, X)
    jax.effects_barrier()
    assert called == []


def test_a_module_instead_of_its_init_function_is_an_error():
    with pytest.raises(TypeError, match="expected an initialization function"):
        fast_init(nn.Dense(3))
