"""Initializers that draw a kernel part by part: fused gates, stacked layers, sub-pixels."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from jinit.initializers.base import Initializer, dtype_name, positive_integer
from jinit.initializers.choice import one_of
from jinit.initializers.wrapped import Base, callable_base, on_value
from jinit.sampling import is_fused


@dataclass(frozen=True, repr=False)
class Blockwise(Initializer):
    """Independent draws side by side along one axis."""

    name = "blockwise"
    leading = ("initializer", "blocks")
    initializer: Base
    blocks: int
    axis: int = -1

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """One draw per block, each of the block's shape, joined along the axis."""
        axis = _axis(self, shape)
        if shape[axis] % self.blocks:
            raise ValueError(
                f"blockwise: axis {self.axis} of shape {shape} does not divide into "
                f"{self.blocks} blocks"
            )
        part = (*shape[:axis], shape[axis] // self.blocks, *shape[axis + 1 :])
        drawn = _drawn_for_each(shape, self.initializer, key, self.blocks, part, dtype)
        return on_value(lambda value: jnp.moveaxis(value, 0, axis).reshape(shape), drawn)


@dataclass(frozen=True, repr=False)
class Stacked(Initializer):
    """Independent draws along an axis that the initializer itself never sees."""

    name = "stacked"
    leading = ("initializer",)
    initializer: Base
    axis: int = 0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """One draw of the remaining shape for every index of the axis."""
        axis = _axis(self, shape)
        layer = shape[:axis] + shape[axis + 1 :]
        drawn = _drawn_for_each(shape, self.initializer, key, shape[axis], layer, dtype)
        return on_value(lambda value: jnp.moveaxis(value, 0, axis), drawn)


@dataclass(frozen=True, repr=False)
class SubPixel(Initializer):
    """Another initializer's draw for the small image, repeated for every sub-pixel."""

    name = "icnr"
    leading = ("initializer", "factor")
    initializer: Base
    factor: int
    order: str = "channel_major"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """A draw of `out / factor²` channels, each repeated `factor²` times."""
        copies = self.factor**2
        if not shape or shape[-1] % copies:
            raise ValueError(
                f"icnr: the last axis of shape {shape} does not divide into {copies} sub-pixels "
                f"of a {self.factor}-fold upscaling"
            )
        drawn = self.initializer(key, (*shape[:-1], shape[-1] // copies), dtype)
        if self.order == "channel_major":
            return on_value(lambda value: jnp.repeat(value, copies, axis=-1), drawn)
        return on_value(lambda value: jnp.concatenate([value] * copies, axis=-1), drawn)


def blockwise(
    initializer: Base, blocks: int, axis: int = -1, dtype: DTypeLike | None = None
) -> Blockwise:
    """Independent draws for `blocks` equal parts of an axis, each with the fans of its own part.

    Fused kernels hold several layers side by side: `blockwise(orthogonal(), 4)` makes each gate of
    a fused LSTM kernel orthogonal, `blockwise(orthogonal(), heads)` each head of a projection.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      blocks: how many parts, at least 1. axis: the axis they share. dtype: default dtype.

    Raises:
      TypeError: `initializer` cannot be called. ValueError: `blocks` below 1; when called, an axis
        that is missing or does not divide.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = blockwise(jinit.orthogonal(), 3)(jax.random.key(0), (4, 12))
    >>> bool(jnp.allclose(w[:, 4:8].T @ w[:, 4:8], jnp.eye(4), atol=1e-5))
    True
    """
    count = positive_integer("blocks", blocks)
    return Blockwise(callable_base(initializer), count, _index(axis), dtype=dtype_name(dtype))


def stacked(initializer: Base, axis: int = 0, dtype: DTypeLike | None = None) -> Stacked:
    """Independent draws along `axis`, which the initializer never sees.

    Layers stacked for `nn.scan`, or the experts of a mixture, are copies of one layer: the axis
    must not count as receptive field, nor one orthogonal frame be spread over all of them.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      axis: the axis that enumerates the copies. dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called. ValueError: when called, a missing axis.

    >>> import jax, jinit
    >>> w = stacked(jinit.he_normal())(jax.random.key(0), (12, 64, 64))
    >>> bool(abs(w.var() * 64 - 2) < 0.1)
    True
    """
    return Stacked(callable_base(initializer), _index(axis), dtype=dtype_name(dtype))


def icnr(
    initializer: Base, factor: int, order: str = "channel_major", dtype: DTypeLike | None = None
) -> SubPixel:
    """Convolution kernel before a sub-pixel shuffle, without checkerboard artefacts at the start.

    All `factor²` kernels that write one upscaled channel are equal, so the layer starts as
    nearest-neighbour upscaling of one convolution.

    Args:
      initializer: draws the kernel `(..., out / factor²)` of the small image.
      factor: upscaling, at least 1.
      order: "channel_major" where output c·factor² + s is sub-pixel s of channel c (PyTorch's
        PixelShuffle), "pixel_major" where it is s·channels + c (TensorFlow's depth_to_space).
      dtype: default dtype of the result.

    Raises:
      TypeError: `initializer` cannot be called. ValueError: `factor` below 1, an unknown order;
        when called, a last axis that does not divide.

    Reference: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, section 2.

    >>> import jax, jinit
    >>> w = icnr(jinit.he_normal(), 2)(jax.random.key(0), (3, 3, 8, 16))
    >>> bool((w[..., 0] == w[..., 3]).all())
    True
    """
    return SubPixel(
        callable_base(initializer),
        positive_integer("factor", factor),
        one_of("order", order, ("channel_major", "pixel_major")),
        dtype=dtype_name(dtype),
    )


def _drawn_for_each(
    whole: tuple[int, ...],
    initializer: Base,
    key: Array,
    number: int,
    part: tuple[int, ...],
    dtype: np.dtype,
) -> Any:
    keys = jax.random.split(key, number)

    def draw(key: Array) -> Any:
        return initializer(key, part, dtype)

    try:
        # Keys of XLA's own generator draw the same numbers for all of vmap's lanes.
        return jax.vmap(draw)(keys) if is_fused(key) else lax.map(draw, keys)
    except (TypeError, ValueError) as error:
        raise type(error)(f"shape {whole}, drawn in {number} parts of {part}: {error}") from error


def _index(axis: object) -> int:
    if isinstance(axis, int | np.integer) and not isinstance(axis, bool):
        return int(axis)
    raise TypeError(f"axis: expected an integer, got {axis!r}")


def _axis(combinator: Blockwise | Stacked, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= combinator.axis < len(shape):
        raise ValueError(
            f"{combinator.name}: axis={combinator.axis} is not among the axes of shape {shape}"
        )
    return combinator.axis % len(shape)
