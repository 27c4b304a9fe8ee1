"""ViT: patches, a class token and learned positions in a pre-norm transformer."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are ViT-B/16's, 86.6 million parameters."""

    classes: int = 1000
    channels: int = 3
    image: int = 224
    patch: int = 16
    width: int = 768
    heads: int = 12
    layers: int = 12

    @property
    def positions(self) -> int:
        """Number of positions: one per patch, and one for the class token."""
        return (self.image // self.patch) ** 2 + 1


class LinenBlock(nn.Module):
    """Attention and a gelu layer, each on a normalized residual stream."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = self.config.width
        attention = nn.MultiHeadDotProductAttention(self.config.heads, name="attention")
        x = x + attention(nn.LayerNorm(name="norm_1")(x))
        hidden = nn.gelu(nn.Dense(4 * width, name="up")(nn.LayerNorm(name="norm_2")(x)))
        return x + nn.Dense(width, name="down")(hidden)


class LinenViT(nn.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        config, width = self.config, self.config.width
        size = (config.patch, config.patch)
        x = nn.Conv(width, size, strides=size, padding="VALID", name="patches")(x)
        x = x.reshape(x.shape[0], -1, width)
        token = self.param("token", nn.initializers.zeros, (1, 1, width))
        x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, width)), x], 1)
        near = nn.initializers.normal(0.02)
        x = x + self.param("positions", near, (1, config.positions, width))
        for layer in range(config.layers):
            x = LinenBlock(config, name=f"block_{layer}")(x)
        return nn.Dense(config.classes, name="head")(nn.LayerNorm(name="norm")(x)[:, 0])


class NnxBlock(nnx.Module):
    """Attention and a gelu layer, each on a normalized residual stream."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        width = config.width
        self.norm_1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(config.heads, width, decode=False, rngs=rngs)
        self.norm_2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(nnx.gelu(self.up(self.norm_2(x))))


class NnxViT(nnx.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        width, size = config.width, (config.patch, config.patch)
        self.patches = nnx.Conv(
            config.channels, width, size, strides=size, padding="VALID", rngs=rngs
        )
        self.token = nnx.Param(jnp.zeros((1, 1, width)))
        near = nnx.initializers.normal(0.02)
        self.positions = nnx.Param(near(rngs.params(), (1, config.positions, width)))
        for layer in range(config.layers):
            setattr(self, f"block_{layer}", NnxBlock(config, rngs))
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, config.classes, rngs=rngs)
        self.config = config

    def __call__(self, x: Array) -> Array:
        x = self.patches(x).reshape(x.shape[0], -1, self.config.width)
        token = jnp.broadcast_to(self.token[...], (x.shape[0], 1, self.config.width))
        x = jnp.concatenate([token, x], 1) + self.positions[...]
        for layer in range(self.config.layers):
            x = getattr(self, f"block_{layer}")(x)
        return self.head(self.norm(x)[:, 0])
