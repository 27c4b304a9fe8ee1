"""MLP-Mixer: layers over patches and layers over channels in turn, each on a normalized stream."""

from dataclasses import dataclass

from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are Mixer-B/16's, 59.9 million parameters."""

    classes: int = 1000
    channels: int = 3
    image: int = 224
    patch: int = 16
    width: int = 768
    layers: int = 12
    patches_hidden: int = 384
    channels_hidden: int = 3072

    @property
    def patches(self) -> int:
        """Number of patches in an image."""
        return (self.image // self.patch) ** 2


class LinenMLP(nn.Module):
    """A gelu layer over the last axis."""

    hidden: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.Dense(x.shape[-1], name="down")(nn.gelu(nn.Dense(self.hidden, name="up")(x)))


class LinenBlock(nn.Module):
    """Mixes patches, then channels."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        mix = LinenMLP(self.config.patches_hidden, name="mix_patches")
        x = x + mix(nn.LayerNorm(name="norm_1")(x).swapaxes(1, 2)).swapaxes(1, 2)
        mix = LinenMLP(self.config.channels_hidden, name="mix_channels")
        return x + mix(nn.LayerNorm(name="norm_2")(x))


class LinenMixer(nn.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        config = self.config
        size = (config.patch, config.patch)
        x = nn.Conv(config.width, size, strides=size, padding="VALID", name="patches")(x)
        x = x.reshape(x.shape[0], -1, config.width)
        for layer in range(config.layers):
            x = LinenBlock(config, name=f"block_{layer}")(x)
        return nn.Dense(config.classes, name="head")(nn.LayerNorm(name="norm")(x).mean(1))


class NnxMLP(nnx.Module):
    """A gelu layer over the last axis."""

    def __init__(self, width: int, hidden: int, rngs: nnx.Rngs) -> None:
        self.up = nnx.Linear(width, hidden, rngs=rngs)
        self.down = nnx.Linear(hidden, width, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return self.down(nnx.gelu(self.up(x)))


class NnxBlock(nnx.Module):
    """Mixes patches, then channels."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.norm_1 = nnx.LayerNorm(config.width, rngs=rngs)
        self.mix_patches = NnxMLP(config.patches, config.patches_hidden, rngs)
        self.norm_2 = nnx.LayerNorm(config.width, rngs=rngs)
        self.mix_channels = NnxMLP(config.width, config.channels_hidden, rngs)

    def __call__(self, x: Array) -> Array:
        x = x + self.mix_patches(self.norm_1(x).swapaxes(1, 2)).swapaxes(1, 2)
        return x + self.mix_channels(self.norm_2(x))


class NnxMixer(nnx.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        width, size = config.width, (config.patch, config.patch)
        self.patches = nnx.Conv(
            config.channels, width, size, strides=size, padding="VALID", rngs=rngs
        )
        for layer in range(config.layers):
            setattr(self, f"block_{layer}", NnxBlock(config, rngs))
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, config.classes, rngs=rngs)
        self.config = config

    def __call__(self, x: Array) -> Array:
        x = self.patches(x).reshape(x.shape[0], -1, self.config.width)
        for layer in range(self.config.layers):
            x = getattr(self, f"block_{layer}")(x)
        return self.head(self.norm(x).mean(1))
