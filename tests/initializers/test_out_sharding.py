"""out_sharding gives the same bits in the requested layout, on Auto and Explicit meshes."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit.initializers import constant, he_normal, lecun_uniform, orthogonal

KEY = jax.random.key(3)
SHAPE = (16, 8)
SPEC = PartitionSpec("data", "model")
INITIALIZERS = [he_normal(), orthogonal(), constant(0.5)]


def mesh(axis_type: AxisType) -> jax.sharding.Mesh:
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(axis_type,) * 2)


def check(values: jax.Array, initializer, spec: PartitionSpec = SPEC) -> None:
    assert values.sharding.spec == spec
    assert values.addressable_shards[0].data.shape == (4, 4)
    np.testing.assert_array_equal(values, initializer(KEY, SHAPE))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
def test_a_named_sharding_needs_no_current_mesh(initializer, axis_type):
    check(initializer(KEY, SHAPE, None, NamedSharding(mesh(axis_type), SPEC)), initializer)


@pytest.mark.few(2)
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("initializer", INITIALIZERS, ids=repr)
def test_both_forms_work_under_a_current_mesh(initializer, axis_type):
    current = mesh(axis_type)
    with jax.set_mesh(current):
        for sharding in (SPEC, NamedSharding(current, SPEC)):
            check(initializer(KEY, SHAPE, out_sharding=sharding), initializer)
            draw = partial(initializer, shape=SHAPE, out_sharding=sharding)
            check(jax.jit(draw)(KEY), initializer)


def test_a_jitted_named_sharding_needs_no_current_mesh():
    sharding = NamedSharding(mesh(AxisType.Auto), SPEC)
    initializer = lecun_uniform()
    check(jax.jit(lambda key: initializer(key, SHAPE, None, sharding))(KEY), initializer)


def test_a_spec_without_a_mesh_is_refused():
    with pytest.raises(
        ValueError, match=r"there is no mesh: pass a jax\.sharding\.NamedSharding, or"
    ):
        he_normal()(KEY, SHAPE, None, SPEC)


def test_a_shape_that_does_not_divide_is_refused():
    with pytest.raises(
        ValueError, match=r"axis 0 is partitioned 4 times, but the dimension size is 15"
    ):
        he_normal()(KEY, (15, 8), None, NamedSharding(mesh(AxisType.Auto), SPEC))


@pytest.mark.parametrize(
    "sharding", [jax.devices()[0], jax.sharding.SingleDeviceSharding(jax.devices()[0]), "data"]
)
def test_a_single_device_is_refused_with_its_remedy(sharding):
    with pytest.raises(
        TypeError,
        match=r"out_sharding: expected a jax\.sharding\.NamedSharding.*with jax\.default_device",
    ):
        he_normal()(KEY, SHAPE, None, sharding)
