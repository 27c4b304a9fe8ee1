"""Lanes: one pure trial vmapped over a block, and the block spread over the local devices."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
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


def over_lanes(lane: Callable[..., Any], mesh: Mesh, tile: int, shared: int) -> Callable[..., Any]:
    """`lane` over blocks: split over the mesh without any communication, vmapped tile by tile.

    The last `shared` arguments are the same for every lane; the others, and the results, have a
    leading axis of lanes, of which every device's part is a multiple of `tile`.
    """

    def block(*arguments: Any) -> Any:
        own = len(arguments) - shared
        specs = (PartitionSpec(AXIS),) * own + (PartitionSpec(),) * shared
        return jax.shard_map(
            partial(_in_tiles, lane, tile, own),
            mesh=mesh,
            in_specs=specs,
            out_specs=PartitionSpec(AXIS),
            check_vma=False,
        )(*arguments)

    return block


def _in_tiles(lane: Callable[..., Any], tile: int, own: int, *arguments: Any) -> Any:
    """A device's part: the first `own` arguments by lane, the others shared."""
    axes = (0,) * own + (None,) * (len(arguments) - own)
    together = jax.vmap(lane, in_axes=axes)
    by_lane, shared = arguments[:own], arguments[own:]
    lanes = jax.tree.leaves(by_lane)[0].shape[0]
    if lanes == tile:
        return together(*arguments)
    tiled = jax.tree.map(lambda leaf: leaf.reshape(-1, tile, *leaf.shape[1:]), by_lane)
    results = jax.lax.map(lambda part: together(*part, *shared), tiled)
    return jax.tree.map(lambda leaf: leaf.reshape(lanes, *leaf.shape[2:]), results)


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
