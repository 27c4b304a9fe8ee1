"""Files of parameters: every structure and dtype comes back, and nothing that is damaged does."""

from typing import NamedTuple

import flax.core
import flax.serialization
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jinit.params_file import read_params_file, write_params_file
from jinit.stored_file import write_with_digest


class Pair(NamedTuple):
    kernel: np.ndarray
    bias: np.ndarray


@flax.struct.dataclass
class Layer:
    kernel: np.ndarray
    inner: dict


ONES = np.ones((2, 3), np.float32)
TREES = {
    "nested": {"dense": {"kernel": ONES, "bias": np.zeros(3)}, "steps": np.array(3)},
    "sequences": [ONES, (np.arange(3), [np.array(2.0)])],
    "named tuple": {"a": Pair(ONES, np.zeros(3))},
    "dataclass": Layer(ONES, {"b": np.zeros(2)}),
    "frozen": flax.core.freeze({"a": {"b": ONES}}),
    "integers as keys": {"layers": {0: ONES, 1: 2 * ONES, 10: 3 * ONES}},
    "one array": ONES,
    "no array": {"a": {}, "b": (), "c": None},
    "empty arrays": {"a": np.zeros((0, 3)), "b": np.zeros((2, 0), np.int32)},
    "not contiguous": {"a": np.arange(12.0).reshape(3, 4).T, "b": np.arange(8)[::2]},
    "on a device": {"a": jnp.ones((2, 2)), "b": jnp.arange(3)},
}
DTYPES = ["float16", "bfloat16", "float8_e4m3fn", "float64", "complex64", "int4", "uint8", "bool"]


def assert_equal_trees(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_comes_back(tmp_path, name):
    write_params_file(tmp_path / "a", TREES[name])
    assert_equal_trees(read_params_file(tmp_path / "a", TREES[name]), TREES[name])
    leaves = jax.tree.leaves(read_params_file(tmp_path / "a"))
    assert len(leaves) == len(jax.tree.leaves(TREES[name]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_comes_back(tmp_path, dtype):
    tree = {"a": np.arange(6).reshape(2, 3).astype(jnp.dtype(dtype))}
    write_params_file(tmp_path / "a", tree)
    assert_equal_trees(read_params_file(tmp_path / "a"), tree)
    shapes = {"a": jax.ShapeDtypeStruct((2, 3), jnp.dtype(dtype))}
    assert_equal_trees(read_params_file(tmp_path / "a", shapes), tree)


def test_containers_without_a_structure(tmp_path):
    write_params_file(tmp_path / "a", ({"a": Pair(ONES, ONES)}, [], None, {0: ONES}, {}))
    expected = [{"a": {"kernel": ONES, "bias": ONES}}, [], None, {"0": ONES}, {}]
    assert_equal_trees(read_params_file(tmp_path / "a"), expected)


def test_flax_reads_it(tmp_path):
    write_params_file(tmp_path / "a", TREES["nested"])
    content = (tmp_path / "a").read_bytes()[:-32]
    assert_equal_trees(flax.serialization.from_bytes(TREES["nested"], content), TREES["nested"])


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"a": ONES, "b": ONES}, "lacks b"),
        ({}, "has beyond like= a"),
        ({"a": ONES.T}, r"has shape \(2, 3\) and dtype float32 for a, .* shape \(3, 2\)"),
        ({"a": ONES.astype(np.float16)}, r"dtype float32 for a, and like= .* dtype float16"),
        (ONES, "lacks an array that is the whole tree"),
    ],
)
def test_another_structure_is_refused(tmp_path, like, words):
    write_params_file(tmp_path / "a", {"a": ONES})
    with pytest.raises(ValueError, match=words):
        read_params_file(tmp_path / "a", like)


@pytest.mark.parametrize("content", [b"", b"\x81", b"\x81\xa1a\xc7\x01\x01\x00"])
def test_bytes_of_another_kind(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file that jinit wrote, or is damaged"):
        read_params_file(tmp_path / "a")
    write_with_digest(tmp_path / "a", content)
    with pytest.raises(ValueError, match="does not hold parameters"):
        read_params_file(tmp_path / "a")


def test_a_damaged_byte(tmp_path):
    write_params_file(tmp_path / "a", TREES["nested"])
    content = bytearray((tmp_path / "a").read_bytes())
    for place in range(len(content)):
        content[place] ^= 16
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            read_params_file(tmp_path / "a")
        content[place] ^= 16
    for end in range(len(content)):
        (tmp_path / "a").write_bytes(content[:end])
        with pytest.raises(ValueError, match="is damaged"):
            read_params_file(tmp_path / "a")
