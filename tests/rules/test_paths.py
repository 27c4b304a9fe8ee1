"""Globs over paths, and the number of a layer in one."""

import pytest

from jinit.model import glob
from jinit.rules.paths import depth_of


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
    assert bool(glob(pattern).fullmatch(path)) == fits


def test_the_depth_of_a_path():
    assert depth_of("params/blocks_12/Dense_0/kernel") == 12
    assert depth_of("hidden/3/kernel") == 3
    assert depth_of("head/kernel") is None
