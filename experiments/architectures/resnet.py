"""ResNet with bottlenecks, batch-normalized; the stride is in the 3x3 convolution (version 1.5)."""

from dataclasses import dataclass
from functools import partial

from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are ResNet-50's, 25.6 million parameters."""

    classes: int = 1000
    channels: int = 3
    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    last_scale: float = 1.0
    """Initial scale of the last normalization of every branch; 0 leaves only the shortcuts."""

    def plan(self) -> list[tuple[str, int, int, int]]:
        """Name, input channels, inner width and stride of every block."""
        found, before = [], self.width
        for stage, blocks in enumerate(self.blocks):
            inner = self.width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                found.append((f"block_{stage}_{block}", before, inner, stride))
                before = 4 * inner
        return found


class LinenBlock(nn.Module):
    """Convolutions 1x1, 3x3, 1x1, and a shortcut that is projected where the shape changes."""

    inner: int
    stride: int
    last_scale: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        conv = partial(nn.Conv, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=not train, epsilon=1e-5)
        last = nn.initializers.constant(self.last_scale)
        stride = (self.stride, self.stride)
        y = nn.relu(norm(name="norm_1")(conv(self.inner, (1, 1), name="conv_1")(x)))
        y = conv(self.inner, (3, 3), strides=stride, name="conv_2")(y)
        y = conv(4 * self.inner, (1, 1), name="conv_3")(nn.relu(norm(name="norm_2")(y)))
        y = norm(name="norm_3", scale_init=last)(y)
        if x.shape != y.shape:
            x = conv(4 * self.inner, (1, 1), strides=stride, name="shortcut")(x)
            x = norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class LinenResNet(nn.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        config = self.config
        x = nn.Conv(config.width, (7, 7), strides=(2, 2), use_bias=False, name="stem")(x)
        x = nn.BatchNorm(use_running_average=not train, epsilon=1e-5, name="norm")(x)
        x = nn.max_pool(nn.relu(x), (3, 3), strides=(2, 2), padding="SAME")
        for name, _, inner, stride in config.plan():
            x = LinenBlock(inner, stride, config.last_scale, name=name)(x, train)
        return nn.Dense(config.classes, name="head")(x.mean((1, 2)))


class NnxBlock(nnx.Module):
    """Convolutions 1x1, 3x3, 1x1, and a shortcut that is projected where the shape changes."""

    def __init__(
        self, before: int, inner: int, stride: int, last_scale: float, rngs: nnx.Rngs
    ) -> None:
        conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
        last = nnx.initializers.constant(last_scale)
        self.conv_1 = conv(before, inner, (1, 1))
        self.norm_1 = nnx.BatchNorm(inner, rngs=rngs)
        self.conv_2 = conv(inner, inner, (3, 3), strides=stride)
        self.norm_2 = nnx.BatchNorm(inner, rngs=rngs)
        self.conv_3 = conv(inner, 4 * inner, (1, 1))
        self.norm_3 = nnx.BatchNorm(4 * inner, scale_init=last, rngs=rngs)
        self.projects = stride > 1 or before != 4 * inner
        if self.projects:
            self.shortcut = conv(before, 4 * inner, (1, 1), strides=stride)
            self.shortcut_norm = nnx.BatchNorm(4 * inner, rngs=rngs)

    def __call__(self, x: Array, train: bool) -> Array:
        running = not train
        y = nnx.relu(self.norm_1(self.conv_1(x), use_running_average=running))
        y = nnx.relu(self.norm_2(self.conv_2(y), use_running_average=running))
        y = self.norm_3(self.conv_3(y), use_running_average=running)
        if self.projects:
            x = self.shortcut_norm(self.shortcut(x), use_running_average=running)
        return nnx.relu(x + y)


class NnxResNet(nnx.Module):
    """Images `(batch, height, width, channels)` to logits `(batch, classes)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        width, last = config.width, config.last_scale
        self.stem = nnx.Conv(config.channels, width, (7, 7), strides=2, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        for name, before, inner, stride in config.plan():
            setattr(self, name, NnxBlock(before, inner, stride, last, rngs))
        self.head = nnx.Linear(4 * width * 2 ** (len(config.blocks) - 1), config.classes, rngs=rngs)
        self.config = config

    def __call__(self, x: Array, train: bool = True) -> Array:
        x = nnx.relu(self.norm(self.stem(x), use_running_average=not train))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for name, *_ in self.config.plan():
            x = getattr(self, name)(x, train)
        return self.head(x.mean((1, 2)))
