"""Roles and fans as text, and example inputs, shared by the tests of roles."""

import jax
import jax.numpy as jnp
from arrays import floats


def numbers(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


SEQUENCE, IMAGE, LINE = floats(2, 7, 16), floats(2, 8, 8, 16), floats(2, 9, 16)
VOLUME, TOKENS = floats(2, 5, 5, 5, 4), numbers(2, 7)


def describe(leaf) -> str:
    """Return the role, axes, fan-in and fan-out of a leaf as text."""
    fans = [f"{fan:g}" for fan in (leaf.fan_in, leaf.fan_out) if fan is not None]
    return " ".join([leaf.role, *([",".join(leaf.axes)] if leaf.axes else []), *fans])


def check(model, expected):
    leaves = {leaf.path.removeprefix("params/"): leaf for leaf in model.leaves}
    assert len(leaves) == len(model.paths)
    assert {path: describe(leaves[path]) for path in expected} == expected
