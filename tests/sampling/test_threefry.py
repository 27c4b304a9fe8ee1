"""Random bits: the published block function, JAX's bits, and counters beyond 2^32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_threefry import random_bits, threefry

from jinit.sampling import draw_bits
from jinit.sampling.threefry import threefry2x32

FULL = 0xFFFFFFFF
# Random123 1.14, tests/kat_vectors: threefry2x32, 20 rounds; counter, key, output.
PUBLISHED = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((FULL, FULL), (FULL, FULL), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
SHAPES = [(), (1,), (7,), (0,), (3, 5), (2, 0, 3), (1, 9, 1), (3, 1, 5, 2), (2, 3, 1, 2, 3)]
SEED = 20240817


def key_numbers(key) -> tuple[int, int]:
    first, second = np.asarray(jax.random.key_data(key))
    return int(first), int(second)


@pytest.mark.parametrize(("counter", "key", "output"), PUBLISHED)
def test_block_function_gives_the_published_vectors(counter, key, output):
    first, second, high, low = (jnp.asarray(value, jnp.uint32) for value in (*key, *counter))
    encrypted = threefry2x32((first, second), high, low)
    assert tuple(map(int, encrypted)) == output
    assert threefry(key, counter) == output


def test_the_oracle_can_fail():
    key = jax.random.key(SEED)
    positions = np.arange(64)
    bits = np.asarray(draw_bits(key, (64,), np.uint32))
    assert (random_bits(key_numbers(key), positions) == bits).all()
    assert (random_bits((1, 2), positions) != bits).any()
    assert (random_bits(key_numbers(key), positions + 1) != bits).any()


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint32", shape) for shape in SHAPES]
    + [("uint8", (3, 5)), ("uint16", (3, 5)), ("uint64", (3, 5)), ("uint64", ())],
)
def test_bits_are_those_of_jax_and_of_the_oracle(dtype, shape):
    key = jax.random.key(SEED)
    with jax.enable_x64(True):
        bits, expected = draw_bits(key, shape, dtype), jax.random.bits(key, shape, dtype)
    assert (bits.shape, bits.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(bits, expected)
    positions = np.arange(bits.size).reshape(shape)
    np.testing.assert_array_equal(bits, random_bits(key_numbers(key), positions, bits.itemsize * 8))


def test_default_dtype_is_that_of_jax():
    key = jax.random.key(SEED)
    for x64 in (False, True):
        with jax.enable_x64(x64):
            bits, expected = draw_bits(key, (5,)), jax.random.bits(key, (5,))
            assert bits.dtype == expected.dtype
            np.testing.assert_array_equal(bits, expected)


def test_legacy_and_numpy_keys_give_the_bits_of_the_typed_key():
    typed, legacy = jax.random.key(SEED), jax.random.PRNGKey(SEED)
    expected = draw_bits(typed, (3, 5))
    for key in (legacy, np.asarray(legacy)):
        np.testing.assert_array_equal(draw_bits(key, (3, 5)), expected)
        np.testing.assert_array_equal(jax.random.bits(key, (3, 5)), expected)


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ((2**33,), (2**32 - 2,)),
        ((2**33,), (2**33 - 4,)),
        ((3, 2**31), (1, 2**31 - 4)),
        ((3, 2**31), (2, 7)),
        ((2**20, 2**14), (2**18, 0)),
        ((2**20, 2**14), (2**20 - 1, 2**14 - 4)),
        ((2**40, 2, 5), (2**40 - 1, 1, 1)),
        ((2**16, 2**16), (2**16 - 1, 2**16 - 4)),
        ((2**16, 1, 2**16 + 1), (2**16 - 1, 0, 2**16 - 3)),
    ],
)
def test_bits_beyond_four_billion_elements(shape, first):
    """XLA computes a slice of the bits without the rest."""
    key = jax.random.key(SEED)
    sizes = (1,) * (len(shape) - 1) + (4,)

    @jax.jit
    def draw_slice(key):
        return jax.lax.slice(draw_bits(key, shape, np.uint32), first, np.add(first, sizes))

    compiled = draw_slice.lower(key).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1024
    positions = np.array(
        [np.ravel_multi_index((*first[:-1], first[-1] + step), shape) for step in range(4)]
    )
    expected = random_bits(key_numbers(key), positions).reshape(sizes)
    np.testing.assert_array_equal(compiled(key), expected)


@pytest.mark.parametrize(
    "implementation", ["rbg", "unsafe_rbg", "threefry4x32", "philox2x32", "philox4x32"]
)
def test_keys_of_another_implementation_get_the_bits_of_jax(implementation):
    key = jax.random.key(SEED, impl=implementation)
    np.testing.assert_array_equal(draw_bits(key, (3, 5)), jax.random.bits(key, (3, 5)))


def test_unpartitionable_threefry_gets_the_bits_of_jax():
    key = jax.random.key(SEED)
    partitionable = np.asarray(draw_bits(key, (3, 5)))
    with jax.threefry_partitionable(False):
        bits = np.asarray(draw_bits(key, (3, 5)))
        np.testing.assert_array_equal(bits, jax.random.bits(key, (3, 5)))
    assert (bits != partitionable).any()
    np.testing.assert_array_equal(draw_bits(key, (3, 5)), partitionable)


def test_legacy_keys_follow_the_default_implementation():
    with jax.default_prng_impl("rbg"):
        key = jax.random.PRNGKey(SEED)
        np.testing.assert_array_equal(draw_bits(key, (3, 5)), jax.random.bits(key, (3, 5)))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0,), TypeError, r"expected a random key, got 0: make one with jax\.random\.key\(0"),
        ((None,), TypeError, "expected a random key, got None"),
        (
            (np.zeros(2),),
            TypeError,
            "expected a random key, got an array of shape \\(2,\\) and dtype float64",
        ),
        (
            (np.uint32(3),),
            TypeError,
            r"expected a random key, got an array of shape \(\) and dtype uint32",
        ),
        (
            (np.zeros(3, np.uint32),),
            TypeError,
            r"expected a random key, got an array of shape \(3,\)",
        ),
        (
            (np.zeros((4, 2), np.uint32),),
            ValueError,
            r"expected one random key, got an array of keys of shape \(4,\): .* jax\.vmap",
        ),
        ((np.zeros(2, np.uint32), (3,), np.int32), TypeError, "unsigned integers, got dtype int32"),
        ((np.zeros(2, np.uint32), (3,), float), TypeError, "or call draw_uniform"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, text):
    with pytest.raises(error, match=text):
        draw_bits(*arguments)


def test_an_array_of_typed_keys_is_refused():
    with pytest.raises(ValueError, match=r"got an array of keys of shape \(3,\)"):
        draw_bits(jax.random.split(jax.random.key(0), 3), (2,))
