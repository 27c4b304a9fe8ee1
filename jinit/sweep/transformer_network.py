"""A decoder-only transformer for sequences of tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.initializers import normal
from jinit.sweep.counts import check_count
from jinit.sweep.feed_forward import Functions
from jinit.sweep.layers import (
    ActivationLike,
    InitLike,
    activation_function,
    affine,
    check_rate,
    draw_affine,
    drop,
    initializer_function,
)
from jinit.sweep.normalization import Normalization, normalize_layer

_POSITION_STD = 0.02
"""Standard deviation of the table of positions in GPT-2 and in vision transformers."""

_EXPANSION = 4
"""Units of a block's hidden layer per unit of the residual stream."""

_Params = dict[str, Any]


def transformer(
    vocabulary: int,
    length: int,
    *,
    depth: int = 2,
    width: int = 64,
    heads: int = 4,
    activation: ActivationLike = "gelu",
    init: InitLike = "lecun_normal",
    dropout: float = 0.0,
) -> Functions:
    """Return a transformer that predicts the next token, as pure functions.

    Every block adds causal self-attention and then an MLP, with one hidden layer of four times the
    width, to the residual stream; a LayerNorm precedes each of them and the linear layer of logits.

    The initializer draws the kernels of query, key, value and output, `[width, width]`, those of
    the MLP and that of the logits. Embeddings are normal with variance 1 / width, as in Flax; the
    learned positions are normal with standard deviation 0.02, as in GPT-2; biases are zero.

    Args:
      vocabulary: number of tokens.
      length: longest sequence.
      depth: number of blocks.
      width: units of the residual stream.
      heads: heads of attention; they divide the width.
      activation: activation of the MLP: a function of an array, or its name.
      init: an initializer, or its name.
      dropout: probability that an entry of an embedding or of a branch is set to 0 in training.

    Returns:
      `(init, apply)`: `init(key)` returns parameters, and `apply(params, tokens)` maps integers
      `[batch, length]` to logits `[batch, length, vocabulary]`; with dropout it takes a `key` too.

    Raises:
      ValueError: if a size is below 1, heads do not divide the width, or a name is unknown.

    Reference: Radford et al., Language models are unsupervised multitask learners, 2019, 2.3.

    >>> import jax
    >>> init, apply = transformer(50, 16, depth=1, width=8, heads=2)
    >>> apply(init(jax.random.key(0)), jax.numpy.zeros((3, 16), int)).shape
    (3, 16, 50)
    """
    width, heads = check_count("width", width), check_count("heads", heads)
    if width % heads:
        raise ValueError(f"heads: expected a divisor of the width, {width}, got {heads}")
    network = _Transformer(
        (check_count("vocabulary", vocabulary), check_count("length", length)),
        check_count("depth", depth),
        width,
        heads,
        activation_function(activation),
        initializer_function(init),
        check_rate("dropout", dropout),
    )
    return network.draw, network.apply_with_key if dropout else network.apply


@dataclass(frozen=True)
class _Transformer:
    """The functions of a transformer."""

    sizes: tuple[int, int]
    depth: int
    width: int
    heads: int
    activation: Callable[[Array], Array]
    init: Callable[..., Array]
    dropout: float

    def draw(self, key: Array) -> _Params:
        keys = iter(jax.random.split(key, self.depth + 3))
        vocabulary, length = self.sizes
        embedding = normal(self.width**-0.5)(next(keys), (vocabulary, self.width))
        positions = normal(_POSITION_STD)(next(keys), (length, self.width))
        head = draw_affine(self.init, next(keys), (self.width, vocabulary))
        return {
            "embedding": embedding,
            "positions": positions,
            **{f"block_{block:02d}": self._draw_block(next(keys)) for block in range(self.depth)},
            "norm": _draw_norm(self.width),
            "head": head,
        }

    def _draw_block(self, key: Array) -> _Params:
        square, hidden = (self.width, self.width), _EXPANSION * self.width
        shapes = dict.fromkeys(("query", "key", "value", "out"), square)
        shapes |= {"up": (self.width, hidden), "down": (hidden, self.width)}
        keys = jax.random.split(key, len(shapes))
        layers = {
            name: draw_affine(self.init, each, shape)
            for each, (name, shape) in zip(keys, shapes.items(), strict=True)
        }
        norms = {name: _draw_norm(self.width) for name in ("attention_norm", "mlp_norm")}
        return layers | norms

    def apply(self, params: _Params, tokens: Array) -> Array:
        return self.apply_with_key(params, tokens, None)

    def apply_with_key(self, params: _Params, tokens: Array, key: Array | None) -> Array:
        length = tokens.shape[-1]
        signal = jnp.take(params["embedding"], tokens, axis=0)
        signal = signal + jnp.expand_dims(params["positions"][:length], 0)
        signal = self._drop(signal, key, 0)
        for block in range(self.depth):
            layers = params[f"block_{block:02d}"]
            branch = self._attend(layers, normalize_layer(layers["attention_norm"], signal))
            signal = signal + self._drop(branch, key, 2 * block + 1)
            hidden = affine(layers["up"], normalize_layer(layers["mlp_norm"], signal))
            branch = affine(layers["down"], self.activation(hidden))
            signal = signal + self._drop(branch, key, 2 * block + 2)
        return affine(params["head"], normalize_layer(params["norm"], signal))

    def _attend(self, layers: _Params, signal: Array) -> Array:
        """Return causal self-attention."""
        split = (*signal.shape[:-1], self.heads, self.width // self.heads)
        query, key, value = (
            jnp.reshape(affine(layers[name], signal), split) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", query / np.sqrt(split[-1]), key)
        is_past = jnp.tril(jnp.ones((1, 1, split[1], split[1]), bool))
        weights = jax.nn.softmax(jnp.where(is_past, scores, jnp.finfo(scores.dtype).min))
        attended = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        return affine(layers["out"], jnp.reshape(attended, signal.shape))

    def _drop(self, signal: Array, key: Array | None, place: int) -> Array:
        return drop(signal, self.dropout, None if key is None else jax.random.fold_in(key, place))


def _draw_norm(width: int) -> dict[str, Array]:
    return Normalization("layer").draw(width)
