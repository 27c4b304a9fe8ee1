"""The initialization of GPT-2 by `jinit.init`, on one device and over a mesh."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from architectures import gpt2
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

import jinit
from jinit.sweep.group_computations import JittedCall

_SPLIT_SIZE = 2**16
"""Entries from which on a parameter is split over the devices of a mesh."""


def programs(
    devices: Sequence[Any] = (), config: gpt2.Config | None = None
) -> Iterator[tuple[str, JittedCall]]:
    """Yield the initialization of GPT-2 for one device, and for all of them.

    The mesh has an axis for copies of the model and one of four devices over which every large
    parameter is split, along the last axis that four divides.

    Args:
      devices: the devices to compile for; none for a platform to be chosen later.
      config: sizes of the network, by default those of GPT-2 with 124 million parameters.
    """
    module = gpt2.LinenGPT2(config or gpt2.Config())
    model = jinit.linen.trace(module, jax.ShapeDtypeStruct((1, 8), "int32"))
    first = SingleDeviceSharding(devices[0]) if devices else None
    for name, rules in (("own", None), ("recommended", jinit.recommend(model))):
        yield f"{name}, one device", _init(model, rules, None, first)
        if devices:
            mesh = _mesh(devices)
            split = jax.tree.map(lambda leaf, mesh=mesh: _split(leaf, mesh), model.params)
            replicated = NamedSharding(mesh, PartitionSpec())
            yield f"{name}, {len(devices)} devices", _init(model, rules, split, replicated)


def _init(model: Any, rules: Any, shardings: Any, key_sharding: Any) -> JittedCall:
    def init(data: jax.Array) -> Any:
        return jinit.init(model, jax.random.wrap_key_data(data), rules, sharding=shardings)

    data = jax.ShapeDtypeStruct((2,), "uint32", sharding=key_sharding)
    return JittedCall(jax.jit(init, out_shardings=shardings), (data,))


def _mesh(devices: Sequence[Any]) -> Mesh:
    grid = np.array(devices).reshape(-1, 4)
    return Mesh(grid, ("copy", "model"), axis_types=(AxisType.Auto,) * 2)


def _split(leaf: jax.ShapeDtypeStruct, mesh: Mesh) -> NamedSharding:
    axes: list[str | None] = [None] * leaf.ndim
    divided = [axis for axis, size in enumerate(leaf.shape) if size % 4 == 0]
    if divided and leaf.size >= _SPLIT_SIZE:
        axes[divided[-1]] = "model"
    return NamedSharding(mesh, PartitionSpec(*axes))
