"""Initializers that draw a kernel block by block: fused gates, stacked layers, sub-pixels."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jinit.choice import check_choice
from jinit.initializers.base import (
    DTypeOption,
    Initializer,
    check_integer,
    check_positive_integer,
    dtype_name,
)
from jinit.initializers.boxes import InitFunction, check_callable, map_boxed
from jinit.initializers.fans import axis_index
from jinit.sampling import has_fused_bits


@dataclass(frozen=True, repr=False)
class Blockwise(Initializer):
    """Independent draws, joined along one axis."""

    name = "blockwise"
    positional = ("initializer", "blocks")
    initializer: InitFunction
    blocks: int
    axis: int = -1

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw each block in its own shape, and join the blocks along the axis."""
        axis = axis_index(self.name, "axis", self.axis, shape)
        if shape[axis] % self.blocks:
            raise ValueError(
                f"blockwise: axis {self.axis} of shape {shape} does not divide into "
                f"{self.blocks} blocks"
            )
        block_shape = (*shape[:axis], shape[axis] // self.blocks, *shape[axis + 1 :])
        blocks = _draw_blocks(self.initializer, key, self.blocks, block_shape, shape, dtype)
        return map_boxed(lambda value: jnp.moveaxis(value, 0, axis).reshape(shape), blocks)


@dataclass(frozen=True, repr=False)
class Stacked(Initializer):
    """Independent draws, stacked along an axis that the wrapped initializer does not see."""

    name = "stacked"
    positional = ("initializer",)
    initializer: InitFunction
    axis: int = 0

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw the remaining shape once for each index of the axis."""
        axis = axis_index(self.name, "axis", self.axis, shape)
        layer_shape = shape[:axis] + shape[axis + 1 :]
        layers = _draw_blocks(self.initializer, key, shape[axis], layer_shape, shape, dtype)
        return map_boxed(lambda value: jnp.moveaxis(value, 0, axis), layers)


@dataclass(frozen=True, repr=False)
class SubPixel(Initializer):
    """A draw for the image before upscaling, repeated for every sub-pixel."""

    name = "icnr"
    positional = ("initializer", "factor")
    initializer: InitFunction
    factor: int
    order: str = "channel_major"

    def draw(self, key: Array, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Draw `out / factor²` channels, and repeat each of them `factor²` times."""
        copies = self.factor**2
        if not shape or shape[-1] % copies:
            raise ValueError(
                f"icnr: the last axis of shape {shape} does not divide into {copies} sub-pixels "
                f"of a {self.factor}-fold upscaling"
            )
        kernel = self.initializer(key, (*shape[:-1], shape[-1] // copies), dtype)
        if self.order == "channel_major":
            return map_boxed(lambda value: jnp.repeat(value, copies, axis=-1), kernel)
        return map_boxed(lambda value: jnp.concatenate([value] * copies, axis=-1), kernel)


def blockwise(
    initializer: InitFunction, blocks: int, axis: int = -1, dtype: DTypeOption = None
) -> Blockwise:
    """Return an initializer that draws equal blocks of an axis independently.

    Each block has the fans of its own shape. Fused kernels consist of several layers:
    `blockwise(orthogonal(), 4)` makes each gate of a fused LSTM kernel orthogonal, and
    `blockwise(orthogonal(), heads)` each head of a projection.

    Args:
      initializer: any `(key, shape, dtype) -> Array`.
      blocks: number of blocks, at least 1.
      axis: the axis that consists of the blocks.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `blocks` or `axis` is not an integer.
      ValueError: if `blocks` is less than 1; when called, if the shape does not have that axis or
        its size does not divide into the blocks.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = blockwise(jinit.orthogonal(), 3)(jax.random.key(0), (4, 12))
    >>> bool(jnp.allclose(w[:, 4:8].T @ w[:, 4:8], jnp.eye(4), atol=1e-5))
    True
    """
    return Blockwise(
        initializer=check_callable(initializer),
        blocks=check_positive_integer("blocks", blocks),
        axis=check_integer("axis", axis),
        dtype=dtype_name(dtype),
    )


def stacked(initializer: InitFunction, axis: int = 0, dtype: DTypeOption = None) -> Stacked:
    """Return an initializer that draws each index of `axis` independently.

    Layers stacked for `nn.scan`, or the experts of a mixture, are copies of one layer. Their axis
    must not count as receptive field, and `orthogonal` must draw one matrix per copy.

    Args:
      initializer: any `(key, shape, dtype) -> Array`; it gets the shape without the axis.
      axis: the axis that enumerates the copies.
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `axis` is not an integer.
      ValueError: when called, if the shape does not have that axis.

    >>> import jax, jinit
    >>> w = stacked(jinit.he_normal())(jax.random.key(0), (12, 64, 64))
    >>> bool(abs(w.var() * 64 - 2) < 0.1)
    True
    """
    return Stacked(
        initializer=check_callable(initializer),
        axis=check_integer("axis", axis),
        dtype=dtype_name(dtype),
    )


def icnr(
    initializer: InitFunction,
    factor: int,
    order: str = "channel_major",
    dtype: DTypeOption = None,
) -> SubPixel:
    """Return an initializer for the convolution before a sub-pixel shuffle (ICNR).

    All `factor²` kernels that write one upscaled channel are equal. The layer initially equals a
    convolution followed by nearest-neighbor upscaling, which has no checkerboard artifacts.

    Args:
      initializer: draws the kernel `(..., out / factor²)` of the image before upscaling.
      factor: upscaling factor, at least 1.
      order: "channel_major" where output c·factor² + s is sub-pixel s of channel c (PyTorch's
        PixelShuffle), "pixel_major" where it is s·channels + c (TensorFlow's depth_to_space).
      dtype: default dtype of the result.

    Raises:
      TypeError: if `initializer` cannot be called, or `factor` is not an integer.
      ValueError: if `factor` is less than 1 or `order` is unknown; when called, if the last axis
        does not divide into the sub-pixels.

    Reference: Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, section 2.

    >>> import jax, jinit
    >>> w = icnr(jinit.he_normal(), 2)(jax.random.key(0), (3, 3, 8, 16))
    >>> bool((w[..., 0] == w[..., 3]).all())
    True
    """
    return SubPixel(
        initializer=check_callable(initializer),
        factor=check_positive_integer("factor", factor),
        order=check_choice("order", order, ("channel_major", "pixel_major")),
        dtype=dtype_name(dtype),
    )


def _draw_blocks(
    initializer: InitFunction,
    key: Array,
    count: int,
    block_shape: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Any:
    """Draw blocks along a new leading axis; `shape` is that of all blocks, for error messages."""
    keys = jax.random.split(key, count)

    def draw(key: Array) -> Any:
        return initializer(key, block_shape, dtype)

    try:
        # Under vmap, keys of XLA's own generator would draw the same numbers for all blocks.
        return jax.vmap(draw)(keys) if has_fused_bits(key) else lax.map(draw, keys)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"shape {shape}, drawn in {count} blocks of shape {block_shape}: {error}"
        ) from error
