"""Draws that are laid out over the devices of a mesh."""

from functools import partial
from typing import Protocol

import jax
import numpy as np
from jax import Array
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec


class _MeshDrawer(Protocol):
    """The method of an initializer that draws inside a sharded program."""

    def draw_over_mesh(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array: ...


@partial(jax.jit, static_argnums=(0, 2, 3, 4))
def draw_sharded(
    initializer: _MeshDrawer,
    key: Array,
    shape: tuple[int, ...],
    dtype: np.dtype,
    sharding: NamedSharding | PartitionSpec,
) -> Array:
    """Draw an array that is laid out over a mesh as `sharding` says."""

    def draw(key: Array) -> Array:
        return initializer.draw_over_mesh(_automatic_mesh(sharding), key, shape, dtype)

    mesh = jax.sharding.get_abstract_mesh()
    if AxisType.Explicit in mesh.axis_types:
        automatic = jax.sharding.auto_axes(draw, axes=mesh.axis_names, out_sharding=sharding)
        return jax.jit(automatic)(key)
    if isinstance(sharding, PartitionSpec) and mesh.empty:
        raise ValueError(
            f"out_sharding={sharding} names mesh axes, but there is no mesh: pass a "
            "jax.sharding.NamedSharding, or call inside `with jax.set_mesh(mesh):`"
        )
    return jax.jit(draw, out_shardings=sharding)(key)


def _automatic_mesh(sharding: NamedSharding | PartitionSpec) -> Mesh | AbstractMesh:
    """Return the mesh of a draw, on which the compiler chooses the layouts that are not given."""
    current = jax.sharding.get_abstract_mesh()
    if isinstance(sharding, PartitionSpec) or not current.empty:
        return current
    mesh = sharding.mesh
    types = (AxisType.Auto,) * len(mesh.axis_names)
    return Mesh(np.asarray(mesh.devices), mesh.axis_names, axis_types=types)
