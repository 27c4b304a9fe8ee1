"""The initializers of the catalog, each as one program."""

from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import SingleDeviceSharding

import jinit
from jinit.initializers import CATALOG
from jinit.sweep.group_computations import JittedCall

SHAPE = (3, 3, 128, 256)
"""A convolution kernel."""
_OTHER_SHAPES = {"hippo": (256, 256), "masked": (3, 3, 128, 32)}
"""For a state matrix, and for the mask of the example."""


def programs(device: Any = None) -> Iterator[tuple[str, JittedCall]]:
    """Yield the draw of every entry of the catalog, with its name.

    Args:
      device: the device to compile for; None for a platform to be chosen later.
    """
    for entry in CATALOG:
        shape = _OTHER_SHAPES.get(entry.name, SHAPE)
        yield entry.name, _draw(entry.example, shape, device)
    orthogonal = jinit.orthogonal()
    yield "orthogonal, 1024 × 1024", _draw(orthogonal, (1024, 1024), device)
    yield "orthogonal, 64 × 64 for 256 keys", _draw(orthogonal, (64, 64), device, keys=256)


def _draw(initializer: Any, shape: tuple[int, ...], device: Any, keys: int = 0) -> JittedCall:
    def draw(data: jax.Array) -> jax.Array:
        return initializer(jax.random.wrap_key_data(data), shape)

    sharding = None if device is None else SingleDeviceSharding(device)
    size = (keys, 2) if keys else (2,)
    function = jax.jit(jax.vmap(draw) if keys else draw)
    return JittedCall(function, (jax.ShapeDtypeStruct(size, "uint32", sharding=sharding),))
