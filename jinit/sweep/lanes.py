"""Lanes: one pure trial mapped over the lanes of a block, on one device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def map_lanes(lane: Callable[..., Any], tile_lanes: int, shared_count: int) -> Callable[..., Any]:
    """Map a function of one lane over the lanes of a block.

    Args:
      lane: the function of one lane.
      tile_lanes: lanes that are computed together; divides the lanes of the block.
      shared_count: number of arguments, the last ones, that are the same for every lane. The
        others, and the results, have a leading axis of lanes.

    Returns:
      The function of blocks.
    """

    def block(*arguments: Any) -> Any:
        lane_count = len(arguments) - shared_count
        by_lane, shared = arguments[:lane_count], arguments[lane_count:]
        lanes = jax.tree.leaves(by_lane)[0].shape[0]
        if tile_lanes == 1:
            return jax.lax.map(lambda one: lane(*one, *shared), by_lane)
        map_tile = jax.vmap(lane, in_axes=(0,) * lane_count + (None,) * shared_count)
        if lanes == tile_lanes:
            return map_tile(*arguments)
        tiled = jax.tree.map(lambda leaf: leaf.reshape(-1, tile_lanes, *leaf.shape[1:]), by_lane)
        results = jax.lax.map(lambda tile: map_tile(*tile, *shared), tiled)
        return jax.tree.map(lambda leaf: leaf.reshape(lanes, *leaf.shape[2:]), results)

    return block


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
    """Return one lane of an array with a leading axis of lanes.

    On CPU no program is run, which would wait for those that train.

    Args:
      leaf: the array.
      place: place of the lane.
    """
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = take_lane(jax.random.key_data(leaf), place)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    on_cpu = all(device.platform == "cpu" for device in leaf.devices())
    return jnp.array(np.asarray(leaf)[place] if on_cpu else leaf[place])


def pad_lanes(array: Any, lanes: int) -> Any:
    """Return the array with the first lane repeated until there are `lanes` of them.

    A fixed number of lanes keeps results reproducible.
    """
    missing = lanes - len(array)
    if not missing:
        return array
    library = np if isinstance(array, np.ndarray) else jnp
    return library.concatenate([array, library.repeat(array[:1], missing, axis=0)])
