"""Isometric starts: every direction of the signal keeps its length."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jinit.initializers.base import Initializer, dtype_name, finite
from jinit.sampling import orthonormal
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
        axis = self._column(shape)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return _flattened(key, self.scale, shape, axis, dtype)

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

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """An orthogonal matrix at the centre of the spatial axes."""
        _check_delta(shape)
        matrix = Orthogonal(self.scale, self.column_axis).draw(key, shape[-2:], dtype)
        return _on_centre_tap(matrix, shape)


def orthogonal(
    scale: float = 1.0, column_axis: int = -1, dtype: jax.typing.DTypeLike | None = None
) -> Orthogonal:
    """Uniformly (Haar) distributed orthonormal rows or columns, times `scale`.

    The kernel is flattened to a matrix whose columns run along `column_axis`; the shorter side is
    orthonormal. Float32 values are JAX's; bfloat16 and float16 are the float32 ones, rounded.

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
    scale: float = 1.0, column_axis: int = -1, dtype: jax.typing.DTypeLike | None = None
) -> DeltaOrthogonal:
    """Convolution kernel whose centre tap is orthogonal and whose other taps are zero.

    Preserves the norm of every input exactly (circular padding), for 1-, 2- and 3-D kernels of
    shape `(*spatial, in, out)` with `in <= out`.

    Args:
      scale: factor on every entry, finite.
      column_axis: column axis of the matrix. dtype: default dtype of the result.

    Raises:
      ValueError: `scale` is not finite; when called, a shape that is not 3- to 5-D, or in > out.

    Reference: Xiao et al., "Dynamical isometry and a mean field theory of CNNs", 2018, section 3.

    >>> import jax
    >>> w = delta_orthogonal()(jax.random.key(0), (3, 3, 4, 8))
    >>> bool(abs((w**2).sum() - 4) < 1e-5)
    True
    """
    return DeltaOrthogonal(finite("scale", scale), _axis(column_axis), dtype=dtype_name(dtype))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _flattened(
    key: Array, scale: ArrayLike, shape: tuple[int, ...], axis: int, dtype: np.dtype
) -> Array:
    columns, rest = shape[axis], shape[:axis] + shape[axis + 1 :]
    frame = orthonormal(key, math.prod(rest), columns, dtype, scale=scale)
    return jnp.moveaxis(frame.reshape(*rest, columns), -1, axis)


@partial(jax.jit, static_argnums=1)
def _on_centre_tap(matrix: Array, shape: tuple[int, ...]) -> Array:
    centre = tuple((size - 1) // 2 for size in shape[:-2])
    kernel = jnp.zeros(shape, matrix.dtype)
    return kernel if 0 in shape else kernel.at[centre].set(matrix)


def _axis(column_axis: object) -> int:
    if isinstance(column_axis, int | np.integer) and not isinstance(column_axis, bool):
        return int(column_axis)
    raise TypeError(f"column_axis: expected an integer, got {column_axis!r}")


def _check_delta(shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4, 5):
        raise ValueError(
            f"delta_orthogonal: expected a convolution kernel (*spatial, in, out) of 3 to 5 axes, "
            f"got shape {shape}; for a dense kernel use orthogonal()"
        )
    if shape[-1] < shape[-2]:
        raise ValueError(
            f"delta_orthogonal: {shape[-2]} inputs cannot map isometrically into {shape[-1]} "
            f"outputs (shape {shape}): it needs in <= out; use orthogonal() here"
        )
