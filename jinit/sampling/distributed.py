"""Orthonormal frames over a mesh: no device holds a whole one, and values do not depend on it."""

from dataclasses import dataclass
from functools import partial
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import AbstractMesh, Mesh, PartitionSpec
from jax.typing import ArrayLike

from jinit.sampling.distributions import normal, rounded
from jinit.sampling.orthonormal import drawn_reflections, orthonormal
from jinit.sampling.reflectors import WIDTH, Panel, product, unit_lower

# Up to this many entries (1 MB) every device computes the whole: cheaper than to communicate.
_FEW = 1 << 18


def orthonormal_over(
    mesh: Mesh | AbstractMesh,
    key: Array,
    rows: int,
    columns: int,
    dtype: np.dtype,
    *,
    scale: ArrayLike = 1.0,
) -> Array:
    """`orthonormal`, by all devices of the mesh together.

    A device holds its part of the frame and of the normal matrix behind it, and one panel of
    reflections. Values are those of `orthonormal`: the same bits for a frame of up to 2¹⁸
    entries, which every device draws whole, and the same within rounding for a larger one.

    Args:
      mesh: all its devices take part; its axes are automatic ones, as opposed to explicit.
      key, rows, columns, dtype, scale: see `orthonormal`.

    Reference: Blackford et al., "ScaLAPACK users' guide", 1997, section 3.3 (QR over a grid).

    >>> import jax, numpy as np
    >>> mesh = jax.sharding.Mesh(jax.devices(), "d")
    >>> frame = orthonormal_over(mesh, jax.random.key(0), 600, 500, np.dtype("float32"))
    >>> bool(abs(frame - orthonormal(jax.random.key(0), 600, 500)).max() < 1e-5)
    True
    """
    if rows * columns <= _FEW or mesh.size == 1:
        return orthonormal(key, rows, columns, dtype, scale=scale)
    exact = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
    tall = max(rows, columns), min(rows, columns)

    @jax.custom_batching.sequential_vmap  # LAPACK inside, as in `orthonormal`
    def draw(key: Array) -> Array:
        return lax.platform_dependent(
            key,
            cpu=partial(_factored, shape=tall, dtype=exact, mesh=mesh),
            default=partial(_reflected, shape=tall, dtype=exact, mesh=mesh),
        )

    frame = draw(key)
    return rounded(jnp.asarray(scale, exact) * (frame.T if rows < columns else frame), dtype)


@dataclass(frozen=True)
class _Columns:
    """The columns of a frame in equal runs, one per device, each a whole number of panels."""

    axes: tuple[str, ...]
    width: int
    """Columns of a panel."""
    local: int
    """Columns of a device."""
    total: int

    @classmethod
    def over(cls, mesh: Mesh | AbstractMesh, columns: int) -> Self:
        """The narrowest equal runs that hold so many columns."""
        least = -(-columns // mesh.size)
        width = min(WIDTH, least)
        local = -(-least // width) * width
        return cls(tuple(mesh.axis_names), width, local, local * mesh.size)

    @property
    def spec(self) -> PartitionSpec:
        return PartitionSpec(None, self.axes)

    def indices(self) -> Array:
        """Of this device's columns, within the whole frame."""
        return lax.axis_index(self.axes) * self.local + jnp.arange(self.local)

    def shared(self, matrix: Array, start: Array) -> Array:
        """The panel that begins in this column, from the device that has it to all."""
        panel = lax.dynamic_slice_in_dim(matrix, start % self.local, self.width, axis=1)
        mine = lax.axis_index(self.axes) == start // self.local
        return lax.psum(jnp.where(mine, panel, 0), self.axes)

    def identity(self, rows: int, dtype: np.dtype) -> Array:
        """This device's unit vectors."""
        return (jnp.arange(rows)[:, None] == self.indices()[None, :]).astype(dtype)


def _factored(
    key: Array, shape: tuple[int, int], dtype: np.dtype, mesh: Mesh | AbstractMesh
) -> Array:
    """The decomposition of one normal matrix, spread out along its longer side."""
    rows, columns = shape
    matrix = normal(key, shape, dtype)
    if rows >= 2 * columns:
        axes = tuple(mesh.axis_names)
        whole = _padded(matrix, -(-rows // mesh.size) * mesh.size, columns)
        spec, run = PartitionSpec(axes, None), partial(_by_cholesky, axes=axes)
    else:
        runs = _Columns.over(mesh, columns)
        whole = _padded(matrix, max(rows, runs.total), runs.total)
        spec, run = runs.spec, partial(_by_reflections, runs=runs)
    spread = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec)
    return spread(whole)[:rows, :columns]


def _by_cholesky(matrix: Array, axes: tuple[str, ...]) -> Array:
    """This device's rows of Q; see the undivided form in `orthonormal`."""
    gram = lax.psum(product(matrix.conj().T, matrix), axes)
    return lax.linalg.triangular_solve(
        lax.linalg.cholesky(gram), matrix, lower=True, transpose_a=True, conjugate_a=True
    )


def _by_reflections(matrix: Array, runs: _Columns) -> Array:
    """This device's columns of Q: panel after panel is decomposed by all and applied to its own.

    Loops, and not one step per panel written out, so that the steps share their memory.
    """
    rows, panels = matrix.shape[0], runs.total // runs.width
    triangles = jnp.zeros((panels, runs.width, runs.width), matrix.dtype)

    def decompose(number: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        matrix, triangles, signs = state
        start = number * runs.width
        packed, factors = _below(runs.shared(matrix, start), start)
        panel = Panel.of(jnp.roll(unit_lower(packed), start, axis=0), factors)
        column = runs.indices()[None, :] - start
        later = jnp.where(column >= runs.width, panel.undo(matrix), matrix)
        # The panel's own columns keep its vectors, from which they are shared again below.
        vectors = panel.vectors[:, jnp.clip(column[0], 0, runs.width - 1)]
        return (
            jnp.where((column >= 0) & (column < runs.width), vectors, later),
            triangles.at[number].set(panel.triangle),
            lax.dynamic_update_slice(signs, jnp.sign(jnp.diagonal(packed)), (start,)),
        )

    def apply(step: Array, frame: Array) -> Array:
        number = panels - 1 - step
        return Panel(runs.shared(matrix, number * runs.width), triangles[number]) @ frame

    state = matrix, triangles, jnp.zeros(runs.total, matrix.dtype)
    matrix, triangles, signs = lax.fori_loop(0, panels, decompose, state)
    frame = lax.fori_loop(0, panels, apply, runs.identity(rows, matrix.dtype))
    return frame * signs[runs.indices()][None, :]


def _below(panel: Array, start: Array) -> tuple[Array, Array]:
    """The decomposition of the rows from `start` on, as LAPACK packs it; zeros follow them."""
    below = jnp.arange(len(panel))[:, None] >= start
    packed, factors = jnp.linalg.qr(
        jnp.roll(jnp.where(below, panel, 0), -start, axis=0), mode="raw"
    )
    return packed.T, factors


def _reflected(
    key: Array, shape: tuple[int, int], dtype: np.dtype, mesh: Mesh | AbstractMesh
) -> Array:
    """Drawn reflections, by every device for itself: nothing has to be communicated."""
    rows, columns = shape
    runs = _Columns.over(mesh, columns)

    def local(key: Array) -> Array:
        panels, signs = drawn_reflections(key, shape, dtype)
        frame = runs.identity(rows, dtype)
        for start, panel in reversed(list(zip(range(0, columns, WIDTH), panels, strict=True))):
            frame = frame.at[start:].set(panel @ frame[start:])
        beyond = jnp.ones(runs.total - columns, dtype)
        return frame * jnp.append(signs, beyond)[runs.indices()][None, :]

    spread = jax.shard_map(local, mesh=mesh, in_specs=PartitionSpec(), out_specs=runs.spec)
    return spread(key)[:, :columns]


def _padded(matrix: Array, rows: int, columns: int) -> Array:
    """Zeros below and to the right, which a decomposition leaves alone."""
    return jnp.pad(matrix, ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))
