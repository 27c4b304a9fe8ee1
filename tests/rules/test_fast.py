"""fast_init: any initialization function, the same values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit
from jinit.rules import fast_init

KEY = jax.random.key(3)
X = jnp.ones((2, 8, 16))
IMAGE = jnp.ones((1, 8, 8, 3))
INITS = jax.nn.initializers


class Mixed(nn.Module):
    """Layers with every distribution of jax.nn.initializers, and collections besides params."""

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
        cell = nn.scan(nn.LSTMCell, variable_broadcast="params", split_rngs={"params": False},
                       in_axes=1, out_axes=1)(8)  # fmt: skip
        carry = cell.initialize_carry(KEY, x[:, 0].shape)
        return cell(carry, x)[1]


def close(ours, theirs):
    """Equal bits; jax 0.12 rounds a logarithm by where in a vector it stands, two units at most."""
    units = 0 if jax.__version_info__ < (0, 11) else 2
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for left, right in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        assert (left.shape, left.dtype) == (right.shape, right.dtype)
        np.testing.assert_array_max_ulp(np.asarray(left), np.asarray(right), maxulp=units)


@pytest.mark.parametrize(
    ("module", "example"), [(Mixed(), X), (Scanned(), X), (nn.Conv(8, (3, 3)), IMAGE)]
)
def test_the_values_of_module_init(module, example):
    close(fast_init(module.init)(KEY, example), module.init(KEY, example))


def test_several_collections_streams_and_static_arguments():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool):
            return nn.Dropout(0.5, deterministic=not train)(nn.Dense(4)(x))

    keys = {"params": KEY, "dropout": jax.random.key(9)}
    close(fast_init(Net().init)(keys, X, train=True), Net().init(keys, X, train=True))
    close(fast_init(Net().init)(keys, X, False), Net().init(keys, X, False))


class Twin(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(3)])
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)


def test_an_nnx_constructor_returns_the_module():
    def build(seed=0):
        return Twin(nnx.Rngs(seed))

    ours, theirs = fast_init(build)(), build()
    assert isinstance(ours, Twin)
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
        close(ours, theirs)


def test_it_is_traced_once_and_equal_draws_aresubmitted_once():
    from jinit.rules.programs import submitted

    count = 0

    def build(key):
        nonlocal count
        count += 1
        return [jax.random.normal(jax.random.fold_in(key, n), (16, 3)) for n in range(8)]

    fast = fast_init(build)
    submitted.cache_clear()
    fast(KEY)
    assert submitted.cache_info().misses == 1
    close(fast(jax.random.key(1)), build(jax.random.key(1)))
    assert count == 2  # one trace, and the call just above


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


def test_it_wants_a_function():
    with pytest.raises(TypeError, match="expected an initialization function"):
        fast_init(nn.Dense(3))
