"""Language model of stacked LSTMs, each of which reads the outputs of the one below."""

from dataclasses import dataclass

from flax import linen as nn
from flax import nnx
from jax import Array


@dataclass(frozen=True)
class Config:
    """The sizes; the defaults are those of Zaremba et al.'s medium model, 19.8 million parameters.

    Reference: Zaremba et al., "Recurrent neural network regularization", 2014, section 4.1.
    """

    vocabulary: int = 10000
    width: int = 650
    layers: int = 2


class LinenLSTM(nn.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    config: Config = Config()

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        config = self.config
        x = nn.Embed(config.vocabulary, config.width, name="tokens")(tokens)
        for layer in range(config.layers):
            cell = nn.OptimizedLSTMCell(config.width, parent=None)
            x = nn.RNN(cell, name=f"layer_{layer}")(x)
        return nn.Dense(config.vocabulary, name="head")(x)


class NnxLSTM(nnx.Module):
    """Tokens `(batch, time)` to logits `(batch, time, vocabulary)`."""

    def __init__(self, config: Config, rngs: nnx.Rngs) -> None:
        width = config.width
        self.tokens = nnx.Embed(config.vocabulary, width, rngs=rngs)
        for layer in range(config.layers):
            cell = nnx.OptimizedLSTMCell(width, width, rngs=rngs)
            setattr(self, f"layer_{layer}", nnx.RNN(cell, rngs=rngs))
        self.head = nnx.Linear(width, config.vocabulary, rngs=rngs)
        self.config = config

    def __call__(self, tokens: Array) -> Array:
        x = self.tokens(tokens)
        for layer in range(self.config.layers):
            x = getattr(self, f"layer_{layer}")(x)
        return self.head(x)
