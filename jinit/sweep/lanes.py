"""Lanes: one pure trial vmapped over a block, and the block spread over the local devices."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "lane"


def use_all_cores() -> int:
    """Give JAX one CPU device per core, so that lanes use them all; returns how many.

    Small matrix products leave most of a CPU idle when one device runs them; a device per core
    with its own lanes does not. Call it before JAX is first used in the process: later it can
    change nothing, and returns the number of devices there are.

    >>> use_all_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(RuntimeError):  # JAX is running: its devices are what they are
        jax.config.update("jax_num_cpu_devices", cores)
    return jax.local_device_count()


def local_mesh() -> Mesh:
    """All devices of this process, along one axis of lanes."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def over_lanes(lane: Callable[..., Any], mesh: Mesh, shared: int) -> Callable[..., Any]:
    """`lane` over blocks: vmapped, and split over the mesh without any communication.

    The last `shared` arguments are the same for every lane; the others, and the results, have a
    leading axis of lanes.
    """

    def block(*arguments: Any) -> Any:
        own = len(arguments) - shared
        axes = (0,) * own + (None,) * shared
        specs = tuple(PartitionSpec(AXIS) if axis == 0 else PartitionSpec() for axis in axes)
        return jax.shard_map(
            jax.vmap(lane, in_axes=axes),
            mesh=mesh,
            in_specs=specs,
            out_specs=PartitionSpec(AXIS),
            check_vma=False,
        )(*arguments)

    return block


def by_lane(mesh: Mesh) -> NamedSharding:
    """The layout of an array whose leading axis enumerates lanes."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def replicated(mesh: Mesh) -> NamedSharding:
    """The layout of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def pad(array: np.ndarray, lanes: int) -> np.ndarray:
    """Repeat the first lane until there are `lanes`; a fixed width keeps results reproducible."""
    missing = lanes - len(array)
    return np.concatenate([array, np.repeat(array[:1], missing, axis=0)]) if missing else array
