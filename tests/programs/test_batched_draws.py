"""fast_init returns the values of functions that draw under vmap, whatever is drawn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jinit
from jinit.rules import fast_init

KEY = jax.random.key(3)
JAX = jax.nn.initializers
RANDOM = jax.random


def experts(initializer, shape=(4, 4), dtype=jnp.float32):
    """Three draws, one for each of three keys."""
    return lambda key: jax.vmap(lambda key: initializer(key, shape, dtype))(RANDOM.split(key, 3))


def twice(initializer):
    """Draws for a grid of keys, under two vmaps."""
    draw = jax.vmap(jax.vmap(lambda key: initializer(key, (4, 2), jnp.float32)))
    return lambda key: draw(RANDOM.split(key, (3, 2)))


def in_columns(initializer):
    """Draws for keys whose data are columns, with the results along the last axis."""
    draw = jax.vmap(lambda key: initializer(key, (2, 2), jnp.float32), in_axes=1, out_axes=-1)
    return lambda key: draw(RANDOM.key_data(RANDOM.split(key, 2)).T)


def scaled_draws(initializer):
    """One draw times several scales: the key is the same in all lanes."""
    draw = jax.vmap(lambda key, s: s * initializer(key, (2, 2), jnp.float32), in_axes=(None, 0))
    return lambda key: draw(key, jnp.arange(2.0))


def jitted(initializer):
    """Draws by a jitted function under vmap."""
    draw = jax.vmap(jax.jit(lambda key: initializer(key, (2, 2), jnp.float32)))
    return lambda key: draw(RANDOM.split(key, 2))


def folded(initializer):
    """Draws from keys into which the number of the lane is folded."""
    lanes = jnp.arange(2)

    def build(key):
        return jax.vmap(lambda n: initializer(RANDOM.fold_in(key, n), (2, 2), jnp.float32))(lanes)

    return build


def seeded(initializer):
    """Draws from seeds, for no key at all."""
    seeds = jnp.arange(2)
    return lambda key: jax.vmap(lambda n: initializer(RANDOM.key(n), (2, 2), jnp.float32))(seeds)


def mapped(initializer):
    """Draws in a loop over keys, each of them a batch."""
    draw = jax.vmap(lambda key: initializer(key, (2, 2), jnp.float32))
    return lambda key: jax.lax.map(draw, RANDOM.split(key, (2, 2)))


def drawn(draw, *options, **named):
    """An initializer from a function of jax.random."""
    return lambda key, shape, dtype: draw(key, *options, shape, **named)


def categorical(key, shape, dtype):
    return RANDOM.categorical(key, jnp.zeros(3), shape=shape).astype(dtype)


def permuted(key, shape, dtype):
    return RANDOM.permutation(key, jnp.arange(shape[0]))


def layers(key):
    split = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    dense = nn.vmap(nn.Dense, in_axes=None, axis_size=3, **split)
    return dense(2, kernel_init=jinit.he_normal(), bias_init=jinit.uniform()).init(
        key, jnp.ones((1, 4))
    )


def scanned(key):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.Dense(4, kernel_init=jinit.blockwise(jinit.lecun_normal(), 2))(x), None

    split = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    return nn.scan(Layer, length=2, **split)().init(key, jnp.ones((1, 4)), None)


def stacked_nnx(key):
    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0, out_axes=0)
    def build(rngs):
        return nnx.Linear(4, 2, kernel_init=jinit.he_uniform(), rngs=rngs)

    return jax.tree.leaves(nnx.state(build(nnx.Rngs(params=key)), nnx.Param))


def ensemble(key):
    """Whole networks, initialized for several keys."""
    net = nn.Dense(2, kernel_init=jinit.truncated_normal(1.0))
    return jax.vmap(net.init, in_axes=(0, None))(RANDOM.split(key, 3), jnp.ones((1, 4)))


BF16, COMPLEX = {"dtype": jnp.bfloat16}, {"dtype": jnp.complex64}
MASK = np.tril(np.ones((4, 4)))
FUNCTIONS = {
    # jinit's initializers
    "normal": experts(jinit.normal(1.0)),
    "uniform": experts(jinit.uniform()),
    "truncated_normal": experts(jinit.truncated_normal(1.0)),
    "random_uniform": experts(jinit.random_uniform(-2, 3)),
    "random_normal": experts(jinit.random_normal(1, 2)),
    "timm": experts(jinit.timm_trunc_normal()),
    "he_normal": experts(jinit.he_normal()),
    "he_normal square of keys": experts(jinit.he_normal(), (2, 3)),
    "scalars": experts(jinit.normal(1.0), ()),
    "pairs": experts(jinit.normal(1.0), (2,)),
    "zero size": experts(jinit.normal(1.0), (0, 2)),
    "orthogonal": experts(jinit.orthogonal()),
    "delta_orthogonal": experts(jinit.delta_orthogonal(), (3, 2, 4)),
    "sparse": experts(jinit.sparse(0.5)),
    "blockwise": experts(jinit.blockwise(jinit.normal(1.0), 2)),
    "stacked": experts(jinit.stacked(jinit.orthogonal()), (2, 3, 3)),
    "masked": experts(jinit.masked(jinit.he_uniform(), MASK)),
    "truncated": experts(jinit.truncated(jinit.normal(1.0), -1, 1)),
    "scaled": experts(jinit.scaled(jinit.normal(1.0), 0.5)),
    "bfloat16": experts(jinit.normal(1.0), **BF16),
    "float16": experts(jinit.glorot_uniform(), dtype=jnp.float16),
    "float8": experts(jinit.normal(1.0), dtype=jnp.float8_e4m3fn),
    "complex": experts(jinit.normal(1.0), **COMPLEX),
    "complex he_normal": experts(jinit.he_normal(), **COMPLEX),
    # JAX's
    "jax normal": experts(JAX.normal(1.0)),
    "jax truncated_normal": experts(JAX.truncated_normal(1.0)),
    "jax orthogonal": experts(JAX.orthogonal()),
    "jax complex": experts(JAX.normal(1.0), **COMPLEX),
    "bernoulli": experts(drawn(RANDOM.bernoulli, 0.3)),
    "categorical": experts(categorical),
    "permutation": experts(permuted),
    "choice": experts(lambda key, shape, dtype: RANDOM.choice(key, jnp.arange(5.0), shape)),
    "bits": experts(drawn(RANDOM.bits, dtype="uint8")),
    "gumbel": experts(drawn(RANDOM.gumbel)),
    # other ways to batch
    "twice": twice(jinit.normal(1.0)),
    "twice truncated": twice(jinit.he_normal()),
    "jax twice": twice(JAX.normal(1.0)),
    "columns": in_columns(jinit.normal(1.0)),
    "shared key": scaled_draws(jinit.normal(1.0)),
    "jax shared key": scaled_draws(JAX.normal(1.0)),
    "jitted": jitted(jinit.normal(1.0)),
    "jax jitted": jitted(JAX.normal(1.0)),
    "folded": folded(jinit.normal(1.0)),
    "jax folded": folded(JAX.normal(1.0)),
    "seeded": seeded(jinit.normal(1.0)),
    "mapped": mapped(jinit.normal(1.0)),
    "jax mapped": mapped(JAX.normal(1.0)),
    # networks
    "nn.vmap": layers,
    "nn.scan": scanned,
    "nnx.vmap": stacked_nnx,
    "ensemble": ensemble,
}


# Of each kind of draw another one stays: these run with `-m slow`.
REPETITIONS = {"categorical", "choice", "gumbel", "complex he_normal", "jax complex", "stacked"}
OTHERS = {name: function for name, function in FUNCTIONS.items() if name not in REPETITIONS}


def build_all(key):
    return {name: function(key) for name, function in OTHERS.items()}


@pytest.fixture(scope="module")
def results():
    return fast_init(build_all)(KEY), build_all(KEY)


def assert_equal_draws(mine, theirs):
    for left, right in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_batched_draws(results, name):
    mine, theirs = results
    assert_equal_draws(mine[name], theirs[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REPETITIONS))
def test_batched_draws_of_the_same_kinds(name):
    assert_equal_draws(fast_init(FUNCTIONS[name])(KEY), FUNCTIONS[name](KEY))


@pytest.mark.few(2)
@pytest.mark.parametrize("transform", [jax.vmap, lambda f: jax.jit(jax.vmap(f))])
@pytest.mark.parametrize("initializer", [JAX.lecun_normal(), jinit.he_normal()])
def test_fast_init_under_a_transformation(transform, initializer):
    """The program is compiled as a whole there too: a truncated normal has the same bits."""
    keys, draw = RANDOM.split(KEY, 3), partial(initializer, shape=(4, 4))
    ours, theirs = transform(fast_init(draw))(keys), transform(draw)(keys)
    np.testing.assert_array_equal(ours, theirs)


def test_a_function_of_a_traced_value_that_is_not_an_argument():
    def draw(scale):
        return fast_init(lambda key: scale * jinit.normal(1.0)(key, (3,)))(KEY)

    scales = jnp.arange(2.0)
    np.testing.assert_array_equal(jax.vmap(draw)(scales)[1], draw(1.0))
    assert jax.grad(lambda scale: draw(scale).sum())(2.0) == draw(1.0).sum()


def test_a_function_with_the_name_of_a_replaced_call():
    @partial(jax.jit, static_argnums=(1, 2))
    def fused_bits(data, shape, dtype):
        return jnp.zeros(shape, dtype) + data[0]

    def draw(key):
        return fused_bits(RANDOM.key_data(key), (3,), jnp.uint32)

    np.testing.assert_array_equal(fast_init(draw)(KEY), draw(KEY))


def test_init_under_vmap():
    model = jinit.linen.trace(nn.Dense(9), jnp.ones((1, 40)))
    keys = RANDOM.split(KEY, 3)
    batched = jax.vmap(lambda key: jinit.init(model, key))(keys)["params"]["kernel"]
    alone = [jinit.init(model, key)["params"]["kernel"] for key in keys]
    np.testing.assert_array_equal(batched, alone)
