"""Lanes: one pure trial vmapped over a block, and the block divided over the local devices."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_LANE_AXIS = "lane"


def use_all_cores() -> int:
    """Give JAX one CPU device per core, so that lanes use all cores.

    One device that runs small matrix products leaves most of a CPU idle. Call this before JAX is
    first used in the process: later it changes nothing.

    Returns:
      The number of devices of this process.

    >>> use_all_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(RuntimeError):  # JAX is running: its devices are fixed
        jax.config.update("jax_num_cpu_devices", cores)
    return jax.local_device_count()


def local_mesh() -> Mesh:
    """Return a mesh of all devices of this process, along one axis of lanes."""
    return Mesh(np.array(jax.local_devices()), (_LANE_AXIS,))


def map_lanes(
    lane: Callable[..., Any], mesh: Mesh, tile_lanes: int, shared_count: int
) -> Callable[..., Any]:
    """Map a function of one lane over blocks of lanes, without communication between devices.

    Args:
      lane: the function of one lane.
      mesh: the devices over which the lanes are divided.
      tile_lanes: lanes that a device computes together; divides the lanes of every device.
      shared_count: number of arguments, the last ones, that are the same for every lane. The
        others, and the results, have a leading axis of lanes.

    Returns:
      The function of blocks.
    """

    def block(*arguments: Any) -> Any:
        lane_count = len(arguments) - shared_count
        specs = (PartitionSpec(_LANE_AXIS),) * lane_count + (PartitionSpec(),) * shared_count
        return jax.shard_map(
            partial(_map_tiles, lane, tile_lanes, lane_count),
            mesh=mesh,
            in_specs=specs,
            out_specs=PartitionSpec(_LANE_AXIS),
            check_vma=False,
        )(*arguments)

    return block


def _map_tiles(lane: Callable[..., Any], tile_lanes: int, lane_count: int, *arguments: Any) -> Any:
    """Map over the lanes of one device; the first `lane_count` arguments have an axis of lanes."""
    by_lane, shared = arguments[:lane_count], arguments[lane_count:]
    lanes = jax.tree.leaves(by_lane)[0].shape[0]
    if tile_lanes == 1:
        return jax.lax.map(lambda one: lane(*one, *shared), by_lane)
    axes = (0,) * lane_count + (None,) * (len(arguments) - lane_count)
    map_tile = jax.vmap(lane, in_axes=axes)
    if lanes == tile_lanes:
        return map_tile(*arguments)
    tiled = jax.tree.map(lambda leaf: leaf.reshape(-1, tile_lanes, *leaf.shape[1:]), by_lane)
    results = jax.lax.map(lambda tile: map_tile(*tile, *shared), tiled)
    return jax.tree.map(lambda leaf: leaf.reshape(lanes, *leaf.shape[2:]), results)


def lane_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array whose leading axis enumerates lanes."""
    return NamedSharding(mesh, PartitionSpec(_LANE_AXIS))


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array that every device holds completely."""
    return NamedSharding(mesh, PartitionSpec())


def to_host(leaf: jax.Array) -> Any:
    """Return an array of lanes as an array of NumPy, or keys as keys on one device.

    Args:
      leaf: the array.
    """
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(leaf)
    data = jnp.asarray(np.asarray(jax.random.key_data(leaf)))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))


def take_lane(leaf: jax.Array, place: int) -> jax.Array:
    """Return one lane of an array whose leading axis of lanes is divided over devices.

    The device that holds the lane computes it alone. `leaf[place]` would be a program of all
    devices with a collective, and waits for ever if others keep the threads of a CPU busy.

    Args:
      leaf: the array.
      place: place of the lane.
    """
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = take_lane(jax.random.key_data(leaf), place)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    for shard in leaf.addressable_shards:
        first, stop, _ = shard.index[0].indices(len(leaf))
        if first <= place < stop:
            on_cpu = shard.device.platform == "cpu"
            lanes = np.asarray(shard.data) if on_cpu else shard.data  # without a copy, or a program
            return jnp.array(lanes[place - first])
    raise IndexError(f"lane {place} of {len(leaf)} is on a device of another process")


def pad_lanes(array: Any, lanes: int) -> Any:
    """Return the array with the first lane repeated until there are `lanes` of them.

    A fixed number of lanes keeps results reproducible.
    """
    missing = lanes - len(array)
    if not missing:
        return array
    library = np if isinstance(array, np.ndarray) else jnp
    return library.concatenate([array, library.repeat(array[:1], missing, axis=0)])
