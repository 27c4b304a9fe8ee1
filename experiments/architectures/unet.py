"""U-Net: every up-convolution is joined with features of the same resolution."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are the original's, 31.0 million parameters.

    Convolutions keep their images' sizes, where the original's cut two pixels off.

    Reference: Ronneberger et al., "U-Net: convolutional networks for biomedical image
    segmentation", 2015, figure 1.
    """

    classes: int = 2
    channels: int = 1
    width: int = 64
    depth: int = 4


class LinenPair(nn.Module):
    """Two convolutions of three by three."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.relu(nn.Conv(self.width, (3, 3), name="conv_1")(x))
        return nn.relu(nn.Conv(self.width, (3, 3), name="conv_2")(x))


class LinenUNet(nn.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, height, width, classes)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        config, seen = self.config, []
        for level in range(config.depth):
            seen.append(LinenPair(config.width * 2**level, name=f"down_{level}")(x))
            x = nn.max_pool(seen[-1], (2, 2), strides=(2, 2))
        x = LinenPair(config.width * 2**config.depth, name="bottom")(x)
        for level in reversed(range(config.depth)):
            width = config.width * 2**level
            x = nn.ConvTranspose(width, (2, 2), strides=(2, 2), name=f"rise_{level}")(x)
            x = LinenPair(width, name=f"up_{level}")(jnp.concatenate([seen[level], x], -1))
        return nn.Conv(config.classes, (1, 1), name="head")(x)


class NnxPair(nnx.Module):
    """Two convolutions of three by three."""

    def __init__(self, before: int, width: int, rngs: nnx.Rngs) -> None:
        self.conv_1 = nnx.Conv(before, width, (3, 3), rngs=rngs)
        self.conv_2 = nnx.Conv(width, width, (3, 3), rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return nnx.relu(self.conv_2(nnx.relu(self.conv_1(x))))


class NnxUNet(nnx.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, height, width, classes)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        before = config.channels
        for level in range(config.depth):
            width = config.width * 2**level
            setattr(self, f"down_{level}", NnxPair(before, width, rngs))
            rise = nnx.ConvTranspose(2 * width, width, (2, 2), strides=(2, 2), rngs=rngs)
            setattr(self, f"rise_{level}", rise)
            setattr(self, f"up_{level}", NnxPair(2 * width, width, rngs))
            before = width
        self.bottom = NnxPair(before, 2 * before, rngs)
        self.head = nnx.Conv(config.width, config.classes, (1, 1), rngs=rngs)
        self.config = config

    def __call__(self, x: Array) -> Array:
        seen = []
        for level in range(self.config.depth):
            seen.append(getattr(self, f"down_{level}")(x))
            x = nnx.max_pool(seen[-1], (2, 2), strides=(2, 2))
        x = self.bottom(x)
        for level in reversed(range(self.config.depth)):
            x = getattr(self, f"rise_{level}")(x)
            x = getattr(self, f"up_{level}")(jnp.concatenate([seen[level], x], -1))
        return self.head(x)
