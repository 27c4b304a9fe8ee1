"""Orthogonal matrices over eight devices; on CPU this process makes itself eight of them."""

import math

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jinit
from draws import xla

DEVICES = 8
jax.config.update("jax_num_cpu_devices", DEVICES)


def spread(mesh: list[int], shape: list[int]) -> dict:
    """Planned memory per device in whole matrices, and the largest difference to no mesh."""
    axes = ("data", "model")[: len(mesh)]
    devices = jax.make_mesh(tuple(mesh), axes, axis_types=(AxisType.Auto,) * len(mesh))
    layout = NamedSharding(devices, PartitionSpec(*axes))
    whole = 4 * math.prod(shape)

    def ours(key: jax.Array, sharding: NamedSharding | None = layout) -> jax.Array:
        return jinit.orthogonal()(key, tuple(shape), None, sharding)

    theirs = jax.jit(
        lambda key: jax.nn.initializers.orthogonal()(key, tuple(shape)), out_shardings=layout
    )
    drawn = np.asarray(ours(xla.key()))
    return {
        "mesh": mesh,
        "shape": shape,
        "memory": {"jinit": _planned(jax.jit(ours)) / whole, "jax": _planned(theirs) / whole},
        "difference": float(abs(drawn - np.asarray(ours(xla.key(), None))).max()),
    }


def _planned(program) -> int:
    """Bytes that one device needs for the program's temporaries and results."""
    analysis = program.lower(xla.key()).compile().memory_analysis()
    return analysis.temp_size_in_bytes + analysis.output_size_in_bytes
