"""Transformer whose layers are mixtures of experts: every token through the best few of them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are GPT-2 small's with eight experts in every layer, 559 million."""

    vocabulary: int = 50257
    positions: int = 1024
    width: int = 768
    heads: int = 12
    layers: int = 12
    experts: int = 8
    chosen: int = 2


def gates(logits: Array, chosen: int) -> Array:
    """The softmax over the `chosen` largest logits of every token, zero elsewhere."""
    values, places = jax.lax.top_k(logits, chosen)
    weights = nn.softmax(values)[..., None, :]
    return (jax.nn.one_hot(places, logits.shape[-1], axis=-2) * weights).sum(-1)


def mixture(x: Array, gates: Array, up: Array, down: Array) -> Array:
    """Weighted outputs of the experts for every token; kernels are `(expert, in, out)`."""
    hidden = nn.gelu(jnp.einsum("btd,edf->ebtf", x, up))
    return jnp.einsum("ebtf,bte->btf", jnp.einsum("ebtf,efd->ebtd", hidden, down), gates)


class LinenExperts(nn.Module):
    """A router, and gelu layers to choose from."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        experts, width = self.config.experts, self.config.width
        logits = nn.Dense(experts, use_bias=False, name="router")(x)
        start = nn.initializers.lecun_normal(batch_axis=0)
        up = self.param("up", start, (experts, width, 4 * width))
        down = self.param("down", start, (experts, 4 * width, width))
        return mixture(x, gates(logits, self.config.chosen), up, down)


class LinenBlock(nn.Module):
    """Attention and a mixture of experts, each on a normalized residual stream."""

    config: Config

    @nn.compact
    def __call__(self, x: Array) -> Array:
        mask = nn.make_causal_mask(jnp.ones(x.shape[:2]))
        attention = nn.MultiHeadDotProductAttention(self.config.heads, name="attention")
        x = x + attention(nn.LayerNorm(name="norm_1")(x), mask=mask)
        return x + LinenExperts(self.config, name="experts")(nn.LayerNorm(name="norm_2")(x))


class LinenMoE(nn.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        config = self.config
        x = nn.Embed(config.vocabulary, config.width, name="tokens")(tokens)
        places = jnp.arange(tokens.shape[1])[None]
        x = x + nn.Embed(config.positions, config.width, name="positions")(places)
        for layer in range(config.layers):
            x = LinenBlock(config, name=f"block_{layer}")(x)
        return nn.Dense(config.vocabulary, use_bias=False, name="head")(
            nn.LayerNorm(name="norm")(x)
        )


class NnxExperts(nnx.Module):
    """A router, and gelu layers to choose from."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        experts, width = config.experts, config.width
        self.router = nnx.Linear(width, experts, use_bias=False, rngs=rngs)
        start = nnx.initializers.lecun_normal(batch_axis=0)
        self.up = nnx.Param(start(rngs.params(), (experts, width, 4 * width)))
        self.down = nnx.Param(start(rngs.params(), (experts, 4 * width, width)))
        self.chosen = config.chosen

    def __call__(self, x: Array) -> Array:
        return mixture(x, gates(self.router(x), self.chosen), self.up[...], self.down[...])


class NnxBlock(nnx.Module):
    """Attention and a mixture of experts, each on a normalized residual stream."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.norm_1 = nnx.LayerNorm(config.width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(config.heads, config.width, decode=False, rngs=rngs)
        self.norm_2 = nnx.LayerNorm(config.width, rngs=rngs)
        self.experts = NnxExperts(config, rngs)

    def __call__(self, x: Array) -> Array:
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norm_1(x), mask=mask)
        return x + self.experts(self.norm_2(x))


class NnxMoE(nnx.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(config.vocabulary, config.width, rngs=rngs)
        self.positions = nnx.Embed(config.positions, config.width, rngs=rngs)
        for layer in range(config.layers):
            setattr(self, f"block_{layer}", NnxBlock(config, rngs))
        self.norm = nnx.LayerNorm(config.width, rngs=rngs)
        self.head = nnx.Linear(config.width, config.vocabulary, use_bias=False, rngs=rngs)
        self.config = config

    def __call__(self, tokens: Array) -> Array:
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])[None])
        for layer in range(self.config.layers):
            x = getattr(self, f"block_{layer}")(x)
        return self.head(self.norm(x))
