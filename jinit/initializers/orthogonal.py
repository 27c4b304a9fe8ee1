"""Isometric starts: every direction of the signal keeps its length."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AbstractMesh, Mesh
from jax.typing import ArrayLike

from jinit.initializers.base import Initializer, dtype_name, finite, positive_integer
from jinit.initializers.parts import blockwise
from jinit.sampling import orthonormal, orthonormal_over
from jinit.theory import Marginal, frame_law


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """Haar-distributed orthonormal frame, flattened to one matrix around `column_axis`."""

    name = "orthogonal"
    spread = "scale² / max(rows, columns)"
    scale: float = 1.0
    column_axis: int = -1

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """A coordinate of a random direction in as many dimensions as the longer side has."""
        columns = shape[self._column(shape)]
        rows = math.prod(shape) // max(columns, 1)
        if max(rows, columns) < 2 or not self.scale:
            return None
        return frame_law(max(rows, columns), abs(self.scale))

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """`scale` times a Haar frame, in the layout of the kernel."""
        return _flattened(key, self.scale, shape, self._column(shape), dtype, None)

    def draw_over(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """The same frame, computed by all devices together where it is large."""
        return _flattened(key, self.scale, shape, self._column(shape), dtype, mesh)

    def _column(self, shape: tuple[int, ...]) -> int:
        if len(shape) < 2:
            raise ValueError(
                f"orthogonal: expected a shape of at least two axes, got {shape}: a single axis "
                "holds one vector, which has nothing to be orthogonal to"
            )
        if not -len(shape) <= self.column_axis < len(shape):
            raise ValueError(
                f"orthogonal: column_axis={self.column_axis} is not an axis of shape {shape}"
            )
        return self.column_axis % len(shape)


@dataclass(frozen=True, repr=False)
class DeltaOrthogonal(Initializer):
    """Orthogonal matrix on the centre tap of a convolution kernel, zero elsewhere."""

    name = "delta_orthogonal"
    scale: float = 1.0
    column_axis: int = -1
    groups: int = 1

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """An orthogonal matrix per group at the centre of the spatial axes."""
        _check_delta(shape, self.groups)
        matrix = Orthogonal(self.scale, self.column_axis)
        each = matrix if self.groups == 1 else blockwise(matrix, self.groups)
        return _on_centre_tap(each.draw(key, shape[-2:], dtype), shape)


@dataclass(frozen=True, repr=False)
class ScaledUniformOrthogonal(Initializer):
    """Haar frame that keeps the second moment of a signal also where a layer widens."""

    name = "scaled_uniform_orthogonal"
    spread = "scale² / in"
    scale: float = 1.0

    def law(self, shape: tuple[int, ...]) -> Marginal | None:
        """A coordinate of a random direction, for a dense kernel."""
        return self._frame(shape).law(shape) if len(shape) == 2 and 0 not in shape else None

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The frame, on the centre tap of a convolution."""
        matrix = self._frame(shape).draw(key, shape[-2:], dtype)
        return matrix if len(shape) == 2 else _on_centre_tap(matrix, shape)

    def draw_over(
        self, mesh: Mesh | AbstractMesh, key: Array, shape: tuple[int, ...], dtype: np.dtype
    ) -> Array:
        """The same, computed by all devices together where it is large."""
        matrix = self._frame(shape).draw_over(mesh, key, shape[-2:], dtype)
        return matrix if len(shape) == 2 else _on_centre_tap(matrix, shape)

    def _frame(self, shape: tuple[int, ...]) -> Orthogonal:
        if not 2 <= len(shape) <= 5:
            raise ValueError(
                "scaled_uniform_orthogonal: expected a kernel (in, out) or (*spatial, in, out) of "
                f"2 to 5 axes, got shape {shape}"
            )
        widening = shape[-1] / max(shape[-2], 1)
        return Orthogonal(self.scale * math.sqrt(max(widening, 1.0)))


def orthogonal(
    scale: float = 1.0, column_axis: int = -1, dtype: jax.typing.DTypeLike | None = None
) -> Orthogonal:
    """Uniformly (Haar) distributed orthonormal rows or columns, times `scale`.

    The kernel is flattened to a matrix whose columns run along `column_axis`; the shorter side is
    orthonormal. For blocks that are orthogonal each, such as the gates of a fused LSTM kernel or
    the heads of a projection, see `blockwise`.

    On CPU the frame is the QR decomposition of a normal matrix, and float32 values are JAX's: the
    same bits while the shorter side is below 256, within 1e-6 above. On GPU and TPU it is a
    product of drawn reflections, matrix products mostly: the same law, other values. Over a mesh
    (`out_sharding`) values stay what they are without one: the same bits for small kernels, within
    rounding where the shorter side has 256 or the kernel more than 2¹⁸ entries. Of the latter no
    device holds the whole, and all share the work. bfloat16 and float16 are the float32 values,
    rounded.

    Args:
      scale: factor on every entry, finite.
      column_axis: axis of the columns. dtype: default dtype of the result.

    Raises:
      ValueError: `scale` is not finite; when called, fewer than two axes.

    Reference: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks", 2013, section 3; Mezzadri, 2007.

    >>> import jax, jax.numpy as jnp
    >>> w = orthogonal()(jax.random.key(0), (6, 4))
    >>> bool(jnp.allclose(w.T @ w, jnp.eye(4), atol=1e-6))
    True
    """
    return Orthogonal(finite("scale", scale), _axis(column_axis), dtype=dtype_name(dtype))


def delta_orthogonal(
    scale: float = 1.0,
    column_axis: int = -1,
    dtype: jax.typing.DTypeLike | None = None,
    *,
    groups: int = 1,
) -> DeltaOrthogonal:
    """Convolution kernel whose centre tap is orthogonal and whose other taps are zero.

    Preserves the norm of every input exactly (circular padding), for 1-, 2- and 3-D kernels of
    shape `(*spatial, in / groups, out)` with `in <= out`. The centre tap is `(size - 1) // 2`: for
    an even size the left one of the two in the middle, as in JAX.

    Args:
      scale: factor on every entry, finite.
      column_axis: column axis of the matrix. dtype: default dtype of the result.
      groups: the convolution's `feature_group_count`; every group has a matrix of its own.

    Raises:
      ValueError: `scale` is not finite; when called, a shape that is not 3- to 5-D, in > out, or
        outputs that do not divide into the groups.

    Reference: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018, section 3.

    >>> import jax
    >>> w = delta_orthogonal()(jax.random.key(0), (3, 3, 4, 8))
    >>> bool(abs((w**2).sum() - 4) < 1e-5)
    True
    """
    return DeltaOrthogonal(
        finite("scale", scale),
        _axis(column_axis),
        positive_integer("groups", groups),
        dtype=dtype_name(dtype),
    )


def scaled_uniform_orthogonal(
    scale: float = 1.0, dtype: jax.typing.DTypeLike | None = None
) -> ScaledUniformOrthogonal:
    """Haar-distributed frame times `max(√(out / in), 1)`, on the centre tap of a convolution.

    An orthonormal frame that widens a layer spreads the same energy over more units; the factor
    keeps the second moment per unit instead, which is what deep kernel shaping asks for. A layer
    that narrows projects, and keeps the second moment as well.

    Args:
      scale: further factor on every entry, finite. dtype: default dtype of the result.

    Raises:
      ValueError: `scale` is not finite; when called, a shape that has not 2 to 5 axes.

    Reference: Martens et al., "Rapid training of deep neural networks without skip connections or
    normalization layers using deep kernel shaping", 2021, section 8.1.

    >>> import jax
    >>> w = scaled_uniform_orthogonal()(jax.random.key(0), (4, 16))
    >>> bool(abs((w**2).sum(0).mean() - 1) < 1e-5)
    True
    """
    return ScaledUniformOrthogonal(finite("scale", scale), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _flattened(
    key: Array,
    scale: ArrayLike,
    shape: tuple[int, ...],
    axis: int,
    dtype: np.dtype,
    mesh: Mesh | AbstractMesh | None,
) -> Array:
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    columns, rest = shape[axis], shape[:axis] + shape[axis + 1 :]
    frame = orthonormal if mesh is None else partial(orthonormal_over, mesh)
    flat = frame(key, math.prod(rest), columns, dtype, scale=scale)
    return jnp.moveaxis(flat.reshape(*rest, columns), -1, axis)


@partial(jax.jit, static_argnums=1)
def _on_centre_tap(matrix: Array, shape: tuple[int, ...]) -> Array:
    centre = tuple((size - 1) // 2 for size in shape[:-2])
    kernel = jnp.zeros(shape, matrix.dtype)
    return kernel if 0 in shape else kernel.at[centre].set(matrix)


def _axis(column_axis: object) -> int:
    if isinstance(column_axis, int | np.integer) and not isinstance(column_axis, bool):
        return int(column_axis)
    raise TypeError(f"column_axis: expected an integer, got {column_axis!r}")


def _check_delta(shape: tuple[int, ...], groups: int) -> None:
    if len(shape) not in (3, 4, 5):
        raise ValueError(
            f"delta_orthogonal: expected a convolution kernel (*spatial, in, out) of 3 to 5 axes, "
            f"got shape {shape}; for a dense kernel use orthogonal()"
        )
    if shape[-1] % groups:
        raise ValueError(
            f"delta_orthogonal: {shape[-1]} outputs (shape {shape}) do not divide into {groups} "
            "groups: groups must be the convolution's feature_group_count"
        )
    inputs, outputs = shape[-2], shape[-1] // groups
    if outputs < inputs:
        raise ValueError(
            f"delta_orthogonal: {inputs} inputs cannot map isometrically into {outputs} "
            f"outputs (shape {shape}{f' in {groups} groups' if groups > 1 else ''}): it needs "
            "in <= out; use orthogonal() or scaled_uniform_orthogonal() here"
        )
