"""Sharded draws: the same bits, no communication, and no memory beyond the shard."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit.sampling import draw_bits, draw_normal, draw_truncated_normal, draw_uniform

SHAPE = (512, 1024)
DRAWS = {
    "bits": lambda key: draw_bits(key, SHAPE, np.uint32),
    "uniform": lambda key: draw_uniform(key, SHAPE, np.float32, -1.0, 1.0, scale=0.1),
    "normal": lambda key: draw_normal(key, SHAPE, np.float32, scale=0.1),
    "truncated": lambda key: draw_truncated_normal(key, -2.0, 2.0, SHAPE, np.float32),
    "bfloat16": lambda key: draw_normal(key, SHAPE, "bfloat16"),
}


def compile_draw(draw, spec: PartitionSpec) -> jax.stages.Compiled:
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.jit(draw, out_shardings=NamedSharding(mesh, spec)).lower(key).compile()


def collectives(program: jax.stages.Compiled) -> list[str]:
    return [line for line in program.as_text().splitlines() if "all-" in line or "permute" in line]


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("spec", "shards"),
    [
        (PartitionSpec("data", "model"), 8),
        (PartitionSpec(None, ("model", "data")), 8),
        (PartitionSpec("model", None), 2),
    ],
)
@pytest.mark.parametrize("name", DRAWS)
def test_each_device_draws_its_own_shard(name, spec, shards):
    program = compile_draw(DRAWS[name], spec)
    key = jax.random.key(7)
    unsharded = np.asarray(DRAWS[name](key))
    assert collectives(program) == []
    memory = program.memory_analysis()
    assert memory.output_size_in_bytes <= unsharded.nbytes / shards + 256
    assert memory.temp_size_in_bytes <= memory.output_size_in_bytes / 10
    sharded = program(key)
    assert len({str(shard.index) for shard in sharded.addressable_shards}) == shards
    assert np.asarray(sharded).tobytes() == unsharded.tobytes()


def test_communication_and_temporary_memory_are_seen():
    """jax.random draws for unpartitionable threefry, with communication and temporaries."""
    with jax.threefry_partitionable(False):
        program = compile_draw(DRAWS["normal"], PartitionSpec("data", "model"))
    assert collectives(program) != []
    memory = program.memory_analysis()
    assert memory.temp_size_in_bytes > memory.output_size_in_bytes / 10
