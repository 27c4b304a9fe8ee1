"""Draws by windows: for every initializer that has them, the entries of the whole, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.initializers import CATALOG
from jinit.rules import fast_init
from jinit.rules.initialize import _drawing
from jinit.rules.programs import run, submitted
from jinit.rules.windows import SIZE

KEY = jax.random.key(11)
DATA = np.asarray(jax.random.key_data(KEY))
# Fewer entries than a window, one window and a rest, several of which none ends where a row does.
SHAPES = [(), (7,), (5, 3), (SIZE + 1,), (3, 47, 1999)]


def drawn(initializer, shape, dtype=jnp.float32):
    draw = _drawing(initializer, shape, np.dtype(dtype), None)
    assert draw.window is not None
    whole = jax.ShapeDtypeStruct(shape, dtype)
    return run([draw.call([DATA] * len(draw.part.inputs), whole)])[0]


def by_windows():
    """The first initializer of every distribution whose entries are drawn one by one."""
    found = {}
    for entry in CATALOG:
        try:
            draw = _drawing(entry.example, (8, 6), np.dtype("float32"), None)
        except ValueError:  # it wants another shape
            continue
        if draw.window is not None and draw.part.constant is None:
            found.setdefault(draw.window_name, entry.example)
    return list(found.values())


def test_every_initializer_with_one_distribution_is_drawn_by_windows():
    names = {type(initializer).__name__ for initializer in by_windows()}
    assert {"Normal", "Uniform", "TruncatedNormal"} <= names
    assert len(by_windows()) >= 8


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    for initializer in (jinit.normal(0.3), jinit.truncated_normal(2.0)):
        np.testing.assert_array_equal(drawn(initializer, shape), initializer(KEY, shape))


@pytest.mark.parametrize("initializer", by_windows(), ids=repr)
def test_the_entries_are_those_of_the_whole(initializer):
    for dtype in (jnp.float32, jnp.bfloat16):
        shape = (33, 70)
        ours = np.asarray(drawn(initializer, shape, dtype).astype(jnp.float32))
        theirs = np.asarray(initializer(KEY, shape, dtype).astype(jnp.float32))
        np.testing.assert_array_equal(ours, theirs)


def test_equal_draws_of_other_numbers_shapes_and_keys_share_a_program():
    def build(key):
        shapes = [(64, 24), (64, 24), (24, 64), (200,)]
        return [
            (layer + 1) * jax.random.normal(jax.random.fold_in(key, layer), shape)
            for layer, shape in enumerate(shapes)
        ]

    submitted.cache_clear()
    for ours, theirs in zip(fast_init(build)(KEY), build(KEY), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert submitted.cache_info().misses == 1


def test_what_mixes_entries_is_drawn_whole():
    def build(key):
        x = jax.random.normal(key, (8, 8))
        return [
            x @ x,
            x + x.T,
            x - x.mean(),
            jnp.sort(x.ravel()),
            x * jnp.arange(8.0)[None],
            x[::2],
        ]

    for ours, theirs in zip(fast_init(build)(KEY), build(KEY), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_an_array_can_be_donated_and_outlives_its_window():
    x = drawn(jinit.normal(), (300, 1000))
    kept = np.array(x)
    y = jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    np.testing.assert_array_equal(y, kept + 1)


def odd(key):
    """Draws whose entries, shapes and numbers are mixed in uncommon ways."""
    one, two = jax.random.split(key)
    numbers = jnp.array([2.0, 3.0])
    return [
        jax.random.normal(one, (8,)) * numbers[:1],
        jax.random.normal(one, (1,)) * numbers[:1],
        jax.random.normal(one, (16, 8)).reshape(8, 16) * jax.random.normal(two, (8, 16)),
        jax.random.normal(one, (16, 8)).T,
        jax.random.normal(one, (8,))[:, None] * jnp.ones((8, 1)),
        jnp.broadcast_to(jax.random.normal(one), (5,)),
        jnp.where(jax.random.normal(one, (7,)) > 0, 1.0, -1.0),
        jax.random.bits(one, (5,), "uint8"),
        jax.random.uniform(one, (3, 5), minval=numbers[0], maxval=numbers[1]),
        jax.random.normal(one, (5,)).astype(jnp.bfloat16),
        jax.random.bernoulli(one, 0.3, (9,)),
        jax.random.gamma(one, 2.0, (4,)),
        jax.vmap(lambda key: jax.random.uniform(key, (5,)))(jax.random.split(one, 4)),
        jnp.zeros((0, 3)),
    ]


@pytest.mark.parametrize(
    "key",
    [jax.random.PRNGKey(5), pytest.param(KEY, marks=pytest.mark.slow)],
    ids=["legacy", "typed"],
)
def test_odd_draws(key):
    for ours, theirs in zip(fast_init(odd)(key), odd(key), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours, theirs)
