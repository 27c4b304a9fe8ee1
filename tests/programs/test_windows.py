"""Arrays that are drawn by windows equal those drawn at once, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jinit
from jinit.initializers import CATALOG
from jinit.programs import count_compilations
from jinit.programs.calls import run_calls
from jinit.programs.parameters import trace_initializer
from jinit.programs.windows import WINDOW_SIZE
from jinit.rules import fast_init

KEY = jax.random.key(11)
DATA = np.asarray(jax.random.key_data(KEY))
# Less than a window, a window and one entry, and several windows that do not end with a row.
SHAPES = [(), (7,), (5, 3), (WINDOW_SIZE + 1,), (3, 47, 1999)]


def draw_by_windows(initializer, shape, dtype=jnp.float32):
    aval = jax.ShapeDtypeStruct(shape, np.dtype(dtype))
    draw = trace_initializer(initializer, aval)
    assert draw.window is not None
    return run_calls([draw.make_call([DATA] * len(draw.output_slice.inputs), aval)])[0]


def windowed_initializers():
    """Return the first initializer of every distribution that can be drawn by windows."""
    first = {}
    for entry in CATALOG:
        try:
            draw = trace_initializer(entry.example, jax.ShapeDtypeStruct((8, 6), jnp.float32))
        except ValueError:  # it needs another shape
            continue
        if draw.window is not None and draw.output_slice.constant_value is None:
            first.setdefault(draw.window.name, entry.example)
    return list(first.values())


def test_the_common_distributions_are_drawn_by_windows():
    names = {type(initializer).__name__ for initializer in windowed_initializers()}
    assert {"Normal", "Uniform", "TruncatedNormal"} <= names
    assert len(windowed_initializers()) >= 8


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    for initializer in (jinit.normal(0.3), jinit.truncated_normal(2.0)):
        np.testing.assert_array_equal(draw_by_windows(initializer, shape), initializer(KEY, shape))


@pytest.mark.few(4)
@pytest.mark.parametrize("initializer", windowed_initializers(), ids=repr)
def test_entries_equal_those_of_the_initializer(initializer):
    for dtype in (jnp.float32, jnp.bfloat16):
        shape = (33, 70)
        ours = np.asarray(draw_by_windows(initializer, shape, dtype).astype(jnp.float32))
        theirs = np.asarray(initializer(KEY, shape, dtype).astype(jnp.float32))
        np.testing.assert_array_equal(ours, theirs)


def test_equal_draws_of_other_numbers_shapes_and_keys_share_a_program():
    def build(key):
        shapes = [(64, 24), (64, 24), (24, 64), (200,)]
        return [
            (layer + 1) * jax.random.normal(jax.random.fold_in(key, layer), shape)
            for layer, shape in enumerate(shapes)
        ]

    with count_compilations() as compilations:
        arrays = fast_init(build)(KEY)
    assert compilations.count == 1
    for ours, theirs in zip(arrays, build(KEY), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_computation_that_mixes_entries_is_not_split_into_windows():
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
    x = draw_by_windows(jinit.normal(), (300, 1000))
    kept = np.array(x)
    y = jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    np.testing.assert_array_equal(y, kept + 1)


def uncommon_draws(key):
    """Return draws that combine entries, shapes and numbers in uncommon ways."""
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


@pytest.mark.slow
@pytest.mark.parametrize("key", [jax.random.PRNGKey(5), KEY], ids=["legacy", "typed"])
def test_uncommon_draws(key):
    for ours, theirs in zip(fast_init(uncommon_draws)(key), uncommon_draws(key), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours, theirs)
