"""GPT-2: pre-norm transformer, learned positions, output layer tied to the embedding."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are GPT-2 small's, 124 million parameters (163 untied)."""

    vocabulary: int = 50257
    positions: int = 1024
    width: int = 768
    heads: int = 12
    layers: int = 12
    tied: bool = True


class LinenBlock(nn.Module):
    """Attention and a gelu layer, each on a normalized residual stream."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = self.config.width
        mask = nn.make_causal_mask(jnp.ones(x.shape[:2]))
        attention = nn.MultiHeadDotProductAttention(self.config.heads, name="attention")
        x = x + attention(nn.LayerNorm(name="norm_1")(x), mask=mask)
        hidden = nn.gelu(nn.Dense(4 * width, name="up")(nn.LayerNorm(name="norm_2")(x)))
        return x + nn.Dense(width, name="down")(hidden)


class LinenGPT2(nn.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        config = self.config
        embedding = nn.Embed(config.vocabulary, config.width, name="tokens")
        positions = nn.Embed(config.positions, config.width, name="positions")
        x = embedding(tokens) + positions(jnp.arange(tokens.shape[1])[None])
        for layer in range(config.layers):
            x = LinenBlock(config, name=f"block_{layer}")(x)
        x = nn.LayerNorm(name="norm")(x)
        if config.tied:
            return embedding.attend(x)
        return nn.Dense(config.vocabulary, use_bias=False, name="head")(x)


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
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norm_1(x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.norm_2(x))))


class NnxGPT2(nnx.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(config.vocabulary, config.width, rngs=rngs)
        self.positions = nnx.Embed(config.positions, config.width, rngs=rngs)
        for layer in range(config.layers):
            setattr(self, f"block_{layer}", NnxBlock(config, rngs))
        self.norm = nnx.LayerNorm(config.width, rngs=rngs)
        if not config.tied:
            self.head = nnx.Linear(config.width, config.vocabulary, use_bias=False, rngs=rngs)
        self.config = config

    def __call__(self, tokens: Array) -> Array:
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])[None])
        for layer in range(self.config.layers):
            x = getattr(self, f"block_{layer}")(x)
        x = self.norm(x)
        return self.tokens.attend(x) if self.config.tied else self.head(x)
