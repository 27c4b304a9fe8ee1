"""Sharded draws: the same bits, no communication, and no memory beyond the shard."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jinit.sampling import bits, normal, truncated_normal, uniform

SHAPE = (512, 1024)
DRAWS = {
    "bits": lambda key: bits(key, SHAPE, np.uint32),
    "uniform": lambda key: uniform(key, SHAPE, np.float32, -1.0, 1.0, scale=0.1),
    "normal": lambda key: normal(key, SHAPE, np.float32, scale=0.1),
    "truncated": lambda key: truncated_normal(key, -2.0, 2.0, SHAPE, np.float32),
    "bfloat16": lambda key: normal(key, SHAPE, "bfloat16"),
}


def compiled(draw, spec: PartitionSpec) -> jax.stages.Compiled:
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.jit(draw, out_shardings=NamedSharding(mesh, spec)).lower(key).compile()


def collectives(program: jax.stages.Compiled) -> list[str]:
    return [line for line in program.as_text().splitlines() if "all-" in line or "permute" in line]


@pytest.mark.parametrize(
    ("spec", "shards"),
    [
        (PartitionSpec("data", "model"), 8),
        (PartitionSpec(None, ("model", "data")), 8),
        (PartitionSpec("model", None), 2),
    ],
)
@pytest.mark.parametrize("name", DRAWS)
def test_a_shard_is_drawn_where_it_lives(name, spec, shards):
    program = compiled(DRAWS[name], spec)
    key = jax.random.key(7)
    whole = np.asarray(DRAWS[name](key))
    assert collectives(program) == []
    memory = program.memory_analysis()
    assert memory.output_size_in_bytes <= whole.nbytes / shards + 256
    assert memory.temp_size_in_bytes <= memory.output_size_in_bytes / 10
    drawn = program(key)
    assert len({str(shard.index) for shard in drawn.addressable_shards}) == shards
    assert np.asarray(drawn).tobytes() == whole.tobytes()


def test_communication_and_temporary_memory_are_seen():
    """What JAX's unpartitionable stream costs, which jinit hands over to JAX."""
    with jax.threefry_partitionable(False):
        program = compiled(DRAWS["normal"], PartitionSpec("data", "model"))
    assert collectives(program) != []
    memory = program.memory_analysis()
    assert memory.temp_size_in_bytes > memory.output_size_in_bytes / 10
