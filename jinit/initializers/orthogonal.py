"""Orthogonal initializers, which preserve the norm of the signal."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AbstractMesh, Mesh
from jax.typing import ArrayLike, DTypeLike

from jinit.initializers.base import (
    Initializer,
    check_finite,
    check_integer,
    check_positive_integer,
    check_rank,
    dtype_name,
)
from jinit.initializers.blocks import blockwise
from jinit.initializers.fans import check_groups
from jinit.initializers.marginals import Marginal, sphere_marginal
from jinit.initializers.taps import center_tap, place_tap
from jinit.sampling import draw_orthonormal, draw_orthonormal_over_mesh


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """Haar-distributed orthonormal frame, flattened to one matrix around `column_axis`."""

    name = "orthogonal"
    variance_formula = "scale² / max(rows, columns)"
    scale: float = 1.0
    column_axis: int = -1

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the distribution of one coordinate of a random unit vector, times `scale`."""
        columns = shape[self._column_index(shape)]
        rows = math.prod(shape) // max(columns, 1)
        if max(rows, columns) < 2 or not self.scale:
            return None
        return sphere_marginal(max(rows, columns), abs(self.scale))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw `scale` times a Haar frame, in the layout of the kernel."""
        return _draw_frame(key, self.scale, shape, self._column_index(shape), dtype, None)

    def draw_over_mesh(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """Draw the same frame; all devices share the computation of a large one."""
        return _draw_frame(key, self.scale, shape, self._column_index(shape), dtype, mesh)

    def _column_index(self, shape: tuple[int, ...]) -> int:
        if len(shape) < 2:
            raise ValueError(
                f"orthogonal: expected at least two axes, got {shape}: a vector has no rows and "
                "columns; for a bias use zeros or normal(std)"
            )
        if not -len(shape) <= self.column_axis < len(shape):
            raise ValueError(
                f"orthogonal: column_axis={self.column_axis} is not an axis of shape {shape}; "
                f"expected a number from {-len(shape)} to {len(shape) - 1}"
            )
        return self.column_axis % len(shape)


@dataclass(frozen=True, repr=False)
class DeltaOrthogonal(Initializer):
    """Orthogonal matrix on the center tap of a convolution kernel, zero elsewhere."""

    name = "delta_orthogonal"
    scale: float = 1.0
    column_axis: int = -1
    groups: int = 1

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the bound of the matrix on the center tap."""
        matrix = *shape[-2:-1], shape[-1] // self.groups
        return Orthogonal(self.scale, self.column_axis).largest_entry(matrix)

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw an orthogonal matrix per group on the center tap of the spatial axes."""
        _check_delta_shape(shape, self.groups)
        matrix = Orthogonal(self.scale, self.column_axis)
        matrices = matrix if self.groups == 1 else blockwise(matrix, self.groups)
        return place_tap(matrices.draw(key, shape[-2:], dtype), shape, center_tap(shape))


@dataclass(frozen=True, repr=False)
class ScaledUniformOrthogonal(Initializer):
    """Haar frame that preserves the second moment of the signal also if the layer widens."""

    name = "scaled_uniform_orthogonal"
    variance_formula = "scale² / in"
    scale: float = 1.0

    def entry_distribution(self, shape: tuple[int, ...]) -> Marginal | None:
        """Return the distribution of one coordinate of a random vector, for a dense kernel."""
        if len(shape) != 2 or 0 in shape:
            return None
        return self._orthogonal(shape).marginal(shape)

    def largest_entry(self, shape: tuple[int, ...]) -> float:
        """Return the bound of the matrix on the center tap."""
        return self._orthogonal(shape).largest_entry(shape[-2:])

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """Draw the frame, on the center tap of a convolution."""
        matrix = self._orthogonal(shape).draw(key, shape[-2:], dtype)
        return matrix if len(shape) == 2 else place_tap(matrix, shape, center_tap(shape))

    def draw_over_mesh(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """Draw the same values; all devices share the computation of a large frame."""
        matrix = self._orthogonal(shape).draw_over_mesh(mesh, key, shape[-2:], dtype)
        return matrix if len(shape) == 2 else place_tap(matrix, shape, center_tap(shape))

    def _orthogonal(self, shape: tuple[int, ...]) -> Orthogonal:
        check_rank(self.name, shape, (2, 5), "a kernel (in, out) or (*spatial, in, out)")
        widening = shape[-1] / max(shape[-2], 1)
        return Orthogonal(self.scale * math.sqrt(max(widening, 1.0)))


def orthogonal(
    scale: float = 1.0, column_axis: int = -1, dtype: DTypeLike | None = None
) -> Orthogonal:
    """Uniformly (Haar) distributed orthonormal rows or columns, times `scale`.

    The kernel is flattened to a matrix with one column per index of `column_axis`. Its rows or its
    columns, whichever are fewer, are orthonormal. For several orthogonal blocks in one kernel, such
    as the gates of a fused LSTM kernel or the heads of a projection, see `blockwise`.

    On CPU the frame is the QR decomposition of a normal matrix, and float32 values equal JAX's: bit
    for bit if the shorter side is below 256, within 1e-6 above. On GPU and TPU it is a product of
    random reflections, computed mostly by matrix products: the same distribution, but other values.
    Over a mesh (`out_sharding`) a small kernel has the same bits as without a mesh. If the shorter
    side has 256 or the kernel more than 2¹⁸ entries, the values agree up to rounding, all devices
    share the computation, and none holds the whole kernel. bfloat16 and float16 values are the
    rounded float32 values.

    Args:
      scale: factor on every entry, finite.
      column_axis: axis of the columns.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number, or `column_axis` not an integer.
      ValueError: if `scale` is not finite; when called, if the shape has fewer than two axes, or
        not this `column_axis`.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013, section 3; Mezzadri, "How to generate random matrices
    from the classical compact groups", 2007.

    >>> import jax, jax.numpy as jnp
    >>> w = orthogonal()(jax.random.key(0), (6, 4))
    >>> bool(jnp.allclose(w.T @ w, jnp.eye(4), atol=1e-6))
    True
    """
    return Orthogonal(
        check_finite("scale", scale),
        check_integer("column_axis", column_axis),
        dtype=dtype_name(dtype),
    )


def delta_orthogonal(
    scale: float = 1.0,
    column_axis: int = -1,
    dtype: DTypeLike | None = None,
    *,
    groups: int = 1,
) -> DeltaOrthogonal:
    """Convolution kernel whose center tap is orthogonal and whose other taps are zero.

    The convolution preserves the norm of every input exactly (with circular padding). Kernels are
    1-, 2- or 3-D, of shape `(*spatial, in / groups, out)` with `in <= out`. The center tap is
    `(size - 1) // 2`: for an even size the left one of the two middle taps, as in JAX.

    Args:
      scale: factor on every entry, finite.
      column_axis: column axis of the matrix.
      dtype: default dtype of the result.
      groups: `feature_group_count` of the convolution; every group has an independent matrix.

    Raises:
      TypeError: if `scale` is not a number, or `column_axis` or `groups` not an integer.
      ValueError: if `scale` is not finite, or `groups` is below 1; when called, if the shape does
        not have 3 to 5 axes, if in > out, or if the outputs do not divide into the groups.

    Reference: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018, section 3.

    >>> import jax
    >>> w = delta_orthogonal()(jax.random.key(0), (3, 3, 4, 8))
    >>> bool(abs((w**2).sum() - 4) < 1e-5)
    True
    """
    return DeltaOrthogonal(
        check_finite("scale", scale),
        check_integer("column_axis", column_axis),
        check_positive_integer("groups", groups),
        dtype=dtype_name(dtype),
    )


def scaled_uniform_orthogonal(
    scale: float = 1.0, dtype: DTypeLike | None = None
) -> ScaledUniformOrthogonal:
    """Haar-distributed frame times `max(√(out / in), 1)`, on the center tap of a convolution.

    In a layer that widens, an orthonormal frame spreads the norm of its input over more units. The
    factor preserves the second moment per unit instead, which deep kernel shaping requires. A layer
    that narrows is a random projection, which preserves the second moment on average.

    Args:
      scale: additional factor on every entry, finite.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `scale` is not a number.
      ValueError: if `scale` is not finite; when called, if the shape does not have 2 to 5 axes.

    Reference: Martens et al., "Rapid training of deep neural networks without skip connections or
    normalization layers using deep kernel shaping", 2021, section 8.1.

    >>> import jax
    >>> w = scaled_uniform_orthogonal()(jax.random.key(0), (4, 16))
    >>> bool(abs((w**2).sum(0).mean() - 1) < 1e-5)
    True
    """
    return ScaledUniformOrthogonal(check_finite("scale", scale), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _draw_frame(
    key: Array,
    scale: ArrayLike,
    shape: tuple[int, ...],
    axis: int,
    dtype: np.dtype,
    mesh: Mesh | AbstractMesh | None,
) -> Array:
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    columns, other_axes = shape[axis], shape[:axis] + shape[axis + 1 :]
    draw = draw_orthonormal if mesh is None else partial(draw_orthonormal_over_mesh, mesh)
    matrix = draw(key, math.prod(other_axes), columns, dtype, scale=scale)
    return jnp.moveaxis(matrix.reshape(*other_axes, columns), -1, axis)


def _check_delta_shape(shape: tuple[int, ...], groups: int) -> None:
    kernel, remedy = (
        "a convolution kernel (*spatial, in, out)",
        "for a dense kernel use orthogonal()",
    )
    check_rank("delta_orthogonal", shape, (3, 5), kernel, remedy)
    check_groups("delta_orthogonal", shape, groups)
    inputs, outputs = shape[-2], shape[-1] // groups
    if outputs < inputs:
        raise ValueError(
            f"delta_orthogonal: {inputs} inputs cannot be mapped isometrically to {outputs} "
            f"outputs (shape {shape}{f' in {groups} groups' if groups > 1 else ''}): expected "
            "in <= out; use orthogonal() or scaled_uniform_orthogonal() here"
        )
