"""Orthonormal frames over a mesh.

No device holds all of a large frame, and values do not depend on the mesh.
"""

from dataclasses import dataclass
from functools import partial
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import AbstractMesh, Mesh, PartitionSpec
from jax.typing import ArrayLike

from jinit.sampling.distributions import draw_normal
from jinit.sampling.orthonormal import (
    cholesky_qr,
    draw_orthonormal,
    draw_reflections,
    scale_frame,
)
from jinit.sampling.products import full_precision_product
from jinit.sampling.reflectors import PANEL_WIDTH, ReflectionPanel, unit_lower_triangle
from jinit.sampling.rounding import check_dtype, factorization_dtype
from jinit.sampling.threefry import check_key

# Frames of up to this many entries (1 MB) are computed on every device: cheaper than communicating.
_REPLICATED_ENTRIES = 1 << 18


def draw_orthonormal_over_mesh(
    mesh: Mesh | AbstractMesh,
    key: Array,
    rows: int,
    columns: int,
    dtype: np.dtype,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """Draw the frame of `draw_orthonormal`, computed jointly by all devices of a mesh.

    Each device holds its part of the frame, its part of the normal matrix, and one panel of
    reflections. Values are those of `draw_orthonormal`: the same bits for a frame of up to 2¹⁸
    entries, which every device draws completely, and equal within rounding for a larger one.

    Args:
      mesh: all its devices take part; its axis types must be Auto, not Explicit.
      key: one key.
      rows: rows of the result.
      columns: columns of the result.
      dtype: a floating or complex dtype.
      scale: factor on every entry; may be traced.

    Raises:
      TypeError: if `dtype` is neither floating nor complex, or `key` is not a key.
      ValueError: if `key` holds several keys.

    Reference: Blackford et al., "ScaLAPACK users' guide", 1997, section 3.3 (QR over a grid).

    >>> import jax, numpy as np
    >>> mesh = jax.sharding.Mesh(jax.devices(), "d")
    >>> frame = draw_orthonormal_over_mesh(mesh, jax.random.key(0), 600, 500, np.dtype("float32"))
    >>> bool(abs(frame - draw_orthonormal(jax.random.key(0), 600, 500)).max() < 1e-5)
    True
    """
    if rows * columns <= _REPLICATED_ENTRIES or mesh.size == 1:
        return draw_orthonormal(key, rows, columns, dtype, scale=scale)
    check_key(key)
    check_dtype(dtype, jnp.inexact, "orthonormal draws floating-point or complex values")
    options = {
        "shape": (max(rows, columns), min(rows, columns)),
        "dtype": factorization_dtype(dtype),
        "mesh": mesh,
    }

    @jax.custom_batching.sequential_vmap  # it calls LAPACK, as `draw_orthonormal` does
    def draw(key: Array) -> Array:
        return lax.platform_dependent(
            key,
            cpu=partial(_distributed_qr_frame, **options),
            default=partial(distributed_reflection_frame, **options),
        )

    return scale_frame(draw(key), scale, wide=rows < columns, dtype=dtype)


@dataclass(frozen=True)
class _ColumnBlocks:
    """The columns of a frame in equal blocks, one per device, each a whole number of panels."""

    axes: tuple[str, ...]
    """Names of the mesh axes over which the columns are split."""
    panel_width: int
    """Columns of a panel."""
    block_width: int
    """Columns of a device."""
    padded_columns: int
    """Columns of all devices, padding included."""

    @classmethod
    def split(cls, mesh: Mesh | AbstractMesh, columns: int) -> Self:
        """Return the narrowest equal blocks that hold all columns."""
        least = -(-columns // mesh.size)
        panel_width = min(PANEL_WIDTH, least)
        block_width = -(-least // panel_width) * panel_width
        return cls(
            axes=tuple(mesh.axis_names),
            panel_width=panel_width,
            block_width=block_width,
            padded_columns=block_width * mesh.size,
        )

    @property
    def spec(self) -> PartitionSpec:
        return PartitionSpec(None, self.axes)

    def local_indices(self) -> Array:
        """Return the global indices of the columns of this device."""
        return lax.axis_index(self.axes) * self.block_width + jnp.arange(self.block_width)

    def broadcast_panel(self, matrix: Array, first: Array) -> Array:
        """Broadcast the panel whose first column is `first` from its device to all devices."""
        panel = lax.dynamic_slice_in_dim(matrix, first % self.block_width, self.panel_width, axis=1)
        is_local = lax.axis_index(self.axes) == first // self.block_width
        return lax.psum(jnp.where(is_local, panel, 0), self.axes)

    def local_identity(self, rows: int, dtype: np.dtype) -> Array:
        """Return the columns of the identity matrix that this device holds."""
        return (jnp.arange(rows)[:, None] == self.local_indices()[None, :]).astype(dtype)


def _distributed_qr_frame(
    key: Array, shape: tuple[int, int], dtype: np.dtype, mesh: Mesh | AbstractMesh
) -> Array:
    """Return Q of one normal matrix whose rows (tall) or columns are split over the mesh."""
    rows, columns = shape
    matrix = draw_normal(key, shape, dtype)
    if rows >= 2 * columns:
        axes = tuple(mesh.axis_names)
        padded = _pad(matrix, -(-rows // mesh.size) * mesh.size, columns)
        spec, factorize = PartitionSpec(axes, None), partial(_local_cholesky_qr, axes=axes)
    else:
        blocks = _ColumnBlocks.split(mesh, columns)
        padded = _pad(matrix, max(rows, blocks.padded_columns), blocks.padded_columns)
        spec, factorize = blocks.spec, partial(_local_householder_qr, blocks=blocks)
    distributed = jax.shard_map(factorize, mesh=mesh, in_specs=spec, out_specs=spec)
    return distributed(padded)[:rows, :columns]


def _local_cholesky_qr(matrix: Array, axes: tuple[str, ...]) -> Array:
    """Return the rows of Q that this device holds."""
    gram = lax.psum(full_precision_product(matrix.conj().T, matrix), axes)
    return cholesky_qr(matrix, gram)


def _local_householder_qr(matrix: Array, blocks: _ColumnBlocks) -> Array:
    """Return the columns of Q that this device holds.

    Every device factorizes every panel and applies it to its own columns. The steps are
    loops, which are not unrolled, so that they share their buffers.
    """
    rows, panels = matrix.shape[0], blocks.padded_columns // blocks.panel_width
    triangles = jnp.zeros((panels, blocks.panel_width, blocks.panel_width), matrix.dtype)

    def decompose(number: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        matrix, triangles, signs = state
        first = number * blocks.panel_width
        packed, factors = _factor_lower_rows(blocks.broadcast_panel(matrix, first), first)
        panel = ReflectionPanel.from_vectors(
            jnp.roll(unit_lower_triangle(packed), first, axis=0), factors
        )
        column = blocks.local_indices()[None, :] - first
        later = jnp.where(column >= blocks.panel_width, panel.apply_inverse(matrix), matrix)
        # The columns of the panel keep its vectors, which `apply` broadcasts again.
        vectors = panel.vectors[:, jnp.clip(column[0], 0, blocks.panel_width - 1)]
        return (
            jnp.where((column >= 0) & (column < blocks.panel_width), vectors, later),
            triangles.at[number].set(panel.triangle),
            lax.dynamic_update_slice(signs, jnp.sign(jnp.diagonal(packed)), (first,)),
        )

    def apply(step: Array, frame: Array) -> Array:
        number = panels - 1 - step
        vectors = blocks.broadcast_panel(matrix, number * blocks.panel_width)
        return ReflectionPanel(vectors, triangles[number]) @ frame

    state = matrix, triangles, jnp.zeros(blocks.padded_columns, matrix.dtype)
    matrix, triangles, signs = lax.fori_loop(0, panels, decompose, state)
    frame = lax.fori_loop(0, panels, apply, blocks.local_identity(rows, matrix.dtype))
    return frame * signs[blocks.local_indices()][None, :]


def _factor_lower_rows(panel: Array, first: Array) -> tuple[Array, Array]:
    """Return LAPACK's packed QR of the rows from `first` on, followed by zeros, and its factors."""
    is_lower = jnp.arange(len(panel))[:, None] >= first
    lower_rows = jnp.roll(jnp.where(is_lower, panel, 0), -first, axis=0)
    packed, factors = jnp.linalg.qr(lower_rows, mode="raw")
    return packed.T, factors


def distributed_reflection_frame(
    key: Array, shape: tuple[int, int], dtype: np.dtype, mesh: Mesh | AbstractMesh
) -> Array:
    """Return the frame of drawn reflections: every device draws all, without communication."""
    rows, columns = shape
    blocks = _ColumnBlocks.split(mesh, columns)

    def local_frame(key: Array) -> Array:
        reflections = draw_reflections(key, shape, dtype)
        frame = blocks.local_identity(rows, dtype)
        for number, panel in reversed(list(enumerate(reflections.panels))):
            first = number * PANEL_WIDTH
            frame = frame.at[first:].set(panel @ frame[first:])
        padding = jnp.ones(blocks.padded_columns - columns, dtype)
        return frame * jnp.append(reflections.signs, padding)[blocks.local_indices()][None, :]

    distributed = jax.shard_map(
        local_frame, mesh=mesh, in_specs=PartitionSpec(), out_specs=blocks.spec
    )
    return distributed(key)[:, :columns]


def _pad(matrix: Array, rows: int, columns: int) -> Array:
    """Append rows and columns of zeros, which a decomposition leaves unchanged."""
    return jnp.pad(matrix, ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))
