"""Orthonormal frames over a mesh: the values of one device, in the memory of their shards."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from jinit.sampling import draw_orthonormal, draw_orthonormal_over_mesh
from jinit.sampling.orthonormal import reflection_frame
from jinit.sampling.orthonormal_over_mesh import distributed_reflection_frame

KEY = jax.random.key(2718)
FLOAT = np.dtype("float32")


def mesh_of(*sizes: int) -> jax.sharding.Mesh:
    names = ("data", "model")[: len(sizes)]
    return jax.make_mesh(sizes, names, axis_types=(AxisType.Auto,) * len(sizes))


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ((2, 4), (270, 1000)),
        pytest.param((8,), (1500, 250), marks=pytest.mark.slow),
        pytest.param((2, 4), (500, 700), marks=pytest.mark.slow),
        pytest.param((8,), (520, 512), marks=pytest.mark.slow),
        pytest.param((2, 4), (200, 1501), marks=pytest.mark.slow),
    ],
)
def test_values_do_not_depend_on_the_mesh(sizes, shape):
    """Square, wide, tall, and sizes that eight does not divide."""
    assert np.prod(shape) > 2**18
    mesh = mesh_of(*sizes)
    frame = jax.jit(lambda key: draw_orthonormal_over_mesh(mesh, key, *shape, FLOAT))(KEY)
    np.testing.assert_allclose(frame, draw_orthonormal(KEY, *shape), rtol=0, atol=1e-5)


def test_drawn_reflections_do_not_depend_on_the_mesh_and_need_no_communication():
    shape = (530, 512)
    expected = jax.jit(reflection_frame, static_argnums=(1, 2))(KEY, shape, FLOAT)
    draw = partial(distributed_reflection_frame, shape=shape, dtype=FLOAT, mesh=mesh_of(2, 4))
    program = jax.jit(draw)
    np.testing.assert_allclose(program(KEY), expected, rtol=0, atol=1e-5)
    text = program.lower(KEY).compile().as_text()
    assert not any(name in text for name in ("all-reduce", "all-gather", "all-to-all"))


def test_no_device_holds_a_whole_frame():
    """JAX's own orthogonal plans four whole matrices on every device."""
    sharding = NamedSharding(mesh_of(8), PartitionSpec("data", None))
    program = jax.jit(lambda key: jinit.orthogonal()(key, (1024, 1024), None, sharding))
    memory = program.lower(KEY).compile().memory_analysis()
    device_bytes = memory.temp_size_in_bytes + memory.output_size_in_bytes
    assert device_bytes <= 1.5 * 4 * 1024 * 1024


def test_initializers_keep_the_sharding_asked_for():
    sharding = NamedSharding(mesh_of(2, 4), PartitionSpec("data", "model"))
    for initializer in (jinit.orthogonal(0.5), jinit.scaled_uniform_orthogonal(0.5)):
        drawn = initializer(KEY, (172, 1600), "bfloat16", sharding)
        assert drawn.sharding.is_equivalent_to(sharding, 2)
        expected = initializer(KEY, (172, 1600))
        np.testing.assert_allclose(drawn.astype(jnp.float32), expected, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (600, 500)])
def test_wrong_arguments_are_named(shape):
    with pytest.raises(TypeError, match="orthonormal draws floating-point or complex values"):
        draw_orthonormal_over_mesh(mesh_of(8), KEY, *shape, np.dtype("int32"))
    with pytest.raises(TypeError, match=r"expected a random key, got \d"):
        draw_orthonormal_over_mesh(mesh_of(8), 3, *shape, FLOAT)
