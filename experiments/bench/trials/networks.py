"""The networks in Flax, for jinit and for the rivals in JAX."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from trials import BLOCKS, DIMENSION, HEADS, KERNELS, TOKENS, WIDTHS

Initializer = nn.initializers.Initializer


class MLP(nn.Module):
    """Dense layers with relu between them."""

    kernel_init: Initializer

    @nn.compact
    def __call__(self, x):
        """Logits of a batch."""
        for width in WIDTHS[1:-1]:
            x = nn.relu(nn.Dense(width, kernel_init=self.kernel_init)(x))
        return nn.Dense(WIDTHS[-1], kernel_init=self.kernel_init)(x)


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one kernel."""

    kernel_init: Initializer

    @nn.compact
    def __call__(self, x):
        """Values mixed over the tokens."""
        projected = nn.Dense(3 * DIMENSION, kernel_init=self.kernel_init)(x)
        heads = projected.reshape(*x.shape[:2], 3, HEADS, DIMENSION // HEADS)
        query, key, value = jnp.moveaxis(heads, 2, 0)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / (DIMENSION // HEADS) ** 0.5
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value)
        return nn.Dense(DIMENSION, kernel_init=self.kernel_init)(mixed.reshape(x.shape))


class Block(nn.Module):
    """Attention and a two-layer MLP, each after a layer norm and added to the residual stream."""

    kernel_init: Initializer

    @nn.compact
    def __call__(self, x):
        """The residual stream after the block."""
        x = x + Attention(self.kernel_init)(nn.LayerNorm()(x))
        hidden = nn.Dense(4 * DIMENSION, kernel_init=self.kernel_init)(nn.LayerNorm()(x))
        return x + nn.Dense(DIMENSION, kernel_init=self.kernel_init)(nn.gelu(hidden))


class Transformer(nn.Module):
    """Pre-norm transformer whose tokens are the rows of an image; the mean token is classified."""

    kernel_init: Initializer

    @nn.compact
    def __call__(self, x):
        """Logits of a batch."""
        shape = (TOKENS, DIMENSION)
        x = nn.Dense(DIMENSION, kernel_init=self.kernel_init)(x)
        x = x + self.param("position", nn.initializers.normal(0.02), shape)
        for _ in range(BLOCKS):
            x = Block(self.kernel_init)(x)
        return nn.Dense(WIDTHS[-1], kernel_init=self.kernel_init)(nn.LayerNorm()(x).mean(1))


class CNN(nn.Module):
    """Two convolutions with relu; the mean over places is classified."""

    kernel_init: Initializer

    @nn.compact
    def __call__(self, x):
        """Logits of a batch."""
        for stride, kernels in enumerate(KERNELS, start=1):
            convolution = nn.Conv(kernels, (3, 3), stride, padding=1, kernel_init=self.kernel_init)
            x = nn.relu(convolution(x))
        return nn.Dense(WIDTHS[-1], kernel_init=self.kernel_init)(x.mean((1, 2)))


NETWORKS = {"mlp": MLP, "transformer": Transformer, "cnn": CNN}
