"""Equal units and equal parameters, found by random products."""

import jax.numpy as jnp
import numpy as np
import pytest
from arrays import normals

from jinit.diagnostics.measuring.symmetry import (
    count_equal_units,
    find_equal_products,
    random_products,
)
from jinit.gains import find_equal_arrays

RNG = np.random.default_rng(0)
SIZES = {"in": 20, "out": 30, "spatial": 3, "batch": 4}
AXES = [
    ("in", "out"),
    ("spatial", "spatial", "in", "out"),
    ("batch", "in", "out"),
    ("out", "in"),
]


@pytest.mark.parametrize("axes", AXES)
def test_random_weights_have_no_equal_units(axes):
    weights = RNG.normal(size=[SIZES[role] for role in axes]).astype(np.float32)
    assert count_equal_units(random_products(jnp.asarray(weights), axes)) == (0, 0)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("role", "copied_role"), [("out", "batch"), ("in", "spatial")])
def test_equal_units_are_counted(axes, role, copied_role):
    """Batch axes count as outputs, spatial ones as inputs: each of their entries is a unit."""
    weights = RNG.normal(size=[SIZES[name] for name in axes]).astype(np.float32)
    units = np.moveaxis(weights, axes.index(role), 0)
    units[3], units[7] = units[5], units[5]
    copies = int(np.prod([SIZES[name] for name in axes if name == copied_role]))
    outputs, inputs = count_equal_units(random_products(jnp.asarray(weights), axes))
    assert (outputs, inputs) == ((2 * copies, 0) if role == "out" else (0, 2 * copies))


@pytest.mark.parametrize("shape", [(3, 5000), (5000, 3), (64, 64), (768, 3072)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_large_random_matrices_have_no_equal_units(shape, dtype):
    weights = normals(0, shape).astype(dtype)
    assert count_equal_units(random_products(weights, ("in", "out"))) == (0, 0)


def test_units_of_two_numbers_are_not_compared():
    weights = jnp.ones((2, 5000))
    assert count_equal_units(random_products(weights, ("in", "out")))[0] == 0


def test_units_that_are_equal_in_several_arrays_are_counted():
    """Three units have equal weights, and two of them have equal gradients as well."""
    weights, gradients = (RNG.normal(size=(20, 30)).astype(np.float32) for _ in range(2))
    weights[:, 3] = weights[:, 7] = weights[:, 11]
    gradients[:, 3] = gradients[:, 11]
    gradients[4] = gradients[9]
    both = [
        random_products(jnp.asarray(each), ("in", "out")) for each in (weights, 1e-9 * gradients)
    ]
    assert [count_equal_units(each) for each in both] == [(2, 0), (1, 1)]
    assert count_equal_units(*both) == (1, 0)


def test_units_of_zeros_do_not_count():
    assert count_equal_units(random_products(jnp.zeros((5, 6)), ("in", "out"))) == (0, 0)


def test_equal_parameters_are_found_and_constants_are_not():
    first, second = (RNG.normal(size=(4, 5)).astype(np.float32) for _ in range(2))
    arrays = {
        "a": first,
        "b": second,
        "c": first.copy(),
        "d": np.zeros((4, 5)),
        "e": np.zeros((4, 5)),
        "f": first.reshape(5, 4),
        "g": np.where(first == first[3, 4], 0, first),
    }
    assert find_equal_arrays(arrays) == {"c": "a"}
    near = find_equal_products(
        {path: random_products(jnp.asarray(each), ("in", "out")) for path, each in arrays.items()}
    )
    assert near["c"] == "a"
    assert {"b", "f"}.isdisjoint(near)
