"""Globs over paths, and the number of a layer in a path."""

import pytest

from jinit.model import compile_glob
from jinit.rules.conditions import is_in_range, read_depth


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("**", "params/a/kernel", True),
        ("**/kernel", "params/a/kernel", True),
        ("**/kernel", "kernel", True),
        ("*/kernel", "params/a/kernel", False),
        ("params/*/kernel", "params/a/kernel", True),
        ("params/**", "params/a/kernel", True),
        ("params/**", "params", True),
        ("params/**", "params2/a", False),
        ("**/block_?/**", "params/block_1/kernel", True),
        ("**/block_?/**", "params/block_11/kernel", False),
        ("**/bl*1/kernel", "params/block_11/kernel", True),
        ("a.b", "axb", False),
        ("kernel", "kernels", False),
    ],
)
def test_globs(pattern, path, fits):
    assert bool(compile_glob(pattern).fullmatch(path)) == fits


def test_the_depth_of_a_path():
    assert read_depth("params/blocks_12/Dense_0/kernel") == 12
    assert read_depth("hidden/3/kernel") == 3
    assert read_depth("head/kernel") is None


def test_a_range_excludes_its_end():
    in_range = [depth for depth in (None, *range(8)) if is_in_range((2, 5), depth)]
    assert in_range == [2, 3, 4]
    assert [depth for depth in range(8) if is_in_range(2, depth)] == [2]
    assert not is_in_range(None, 2)
