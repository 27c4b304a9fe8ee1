"""Small networks that tests of several rooms share."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Images(nn.Module):
    """Patches, a class token, positions, one residual branch and a head."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(16, (4, 4), strides=(4, 4), name="patches")(x).reshape(x.shape[0], -1, 16)
        token = self.param("token", nn.initializers.zeros, (1, 1, 16))
        x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], 1)
        x = x + self.param("positions", nn.initializers.normal(), (1, 5, 16))
        x = x + nn.Dense(16, name="down")(nn.gelu(nn.Dense(64, name="up")(nn.LayerNorm()(x))))
        return nn.Dense(10, name="head")(x[:, 0])


class Bottleneck(nn.Module):
    """Three or two convolutions beside the stream, which is projected where it changes size."""

    features: int
    stride: int = 1
    kernels: int = 2

    @nn.compact
    def __call__(self, x):
        y, strides = x, (self.stride, self.stride)
        for number in range(self.kernels):
            y = nn.Conv(self.features, (3, 3), strides, use_bias=False, name=f"conv_{number}")(y)
            y = nn.BatchNorm(use_running_average=False, name=f"norm_{number}")(y)
            y, strides = (nn.relu(y) if number < self.kernels - 1 else y), (1, 1)
        if self.stride > 1:
            x = nn.Conv(self.features, (1, 1), (2, 2), use_bias=False, name="projection")(x)
            x = nn.BatchNorm(use_running_average=False, name="projected")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A stem, two stages, and a head on the mean over positions."""

    kernels: int = 2

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="stem")(x))
        x = Bottleneck(8, 1, self.kernels, name="stage_0")(x)
        x = Bottleneck(16, 2, self.kernels, name="stage_1")(x)
        return nn.Dense(10, name="head")(x.mean((1, 2)))


class Mixture(nn.Module):
    """Four experts, weighed by a softmax, in a residual branch behind a gate."""

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.lecun_normal()
        h = nn.LayerNorm()(x)
        weights = nn.softmax(nn.Dense(4, use_bias=False, name="router")(h))
        up = self.param("up", init, (4, 16, 32))
        down = self.param("down", init, (4, 32, 16))
        y = nn.relu(jnp.einsum("btd,edf->ebtf", h, up))
        y = jnp.einsum("ebtf,efd->ebtd", y, down)
        gate = self.param("gate", nn.initializers.zeros, ())
        return x + gate * jnp.einsum("ebtd,bte->btd", y, weights)


class Block(nn.Module):
    """A transformer block, as a step of `nn.scan`."""

    @nn.compact
    def __call__(self, x, _=None):
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(nn.LayerNorm()(x))
        y = nn.gelu(nn.Dense(32, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(16, name="down")(y), None


class Stack(nn.Module):
    """Three transformer blocks in a loop, then one by itself."""

    @nn.compact
    def __call__(self, x):
        loop = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = loop(name="loop")(x, None)
        return Block(name="last")(x)[0]


def image(size=8):
    return jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)


def sequence(width=16):
    return jax.ShapeDtypeStruct((2, 5, width), jnp.float32)
