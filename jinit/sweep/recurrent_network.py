"""A recurrent network for sequences of tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.initializers import forget_gate_bias, normal
from jinit.sweep.counts import check_count
from jinit.sweep.feed_forward import Functions
from jinit.sweep.layers import InitLike, add_last, affine, draw_affine, initializer_function

_GATES = 4
"""Gates of a cell, in this order: input, forget, candidate, output."""

_Params = dict[str, Any]


def lstm(
    vocabulary: int,
    *,
    width: int = 128,
    depth: int = 1,
    init: InitLike = "lecun_normal",
    recurrent_init: InitLike = "orthogonal",
    forget_bias: float = 1.0,
) -> Functions:
    """Return a network of long short-term memory that predicts the next token.

    A layer of cells maps inputs x and its own last outputs h to gates
    `i, f, g, o = W x + U h + b`, to the memory `c = σ(f) c + σ(i) tanh(g)` and to its outputs
    `h = σ(o) tanh(c)`; memory and outputs are 0 before the first token.

    The initializer draws W, `[width, 4 · width]`, with a block and fans of its own for every gate,
    and the kernel of the logits. `recurrent_init` draws U gate by gate. Embeddings are normal with
    variance 1 / width, as in Flax; biases are zero, but for that of the forget gates.

    Args:
      vocabulary: number of tokens.
      width: cells of a layer, and size of an embedding.
      depth: number of layers.
      init: an initializer, or its name.
      recurrent_init: an initializer, or its name.
      forget_bias: bias of the forget gates.

    Returns:
      `(init, apply)`: `init(key)` returns parameters, and `apply(params, tokens)` maps integers
      `[batch, length]` to logits `[batch, length, vocabulary]`.

    Raises:
      ValueError: if a size is below 1, or a name is unknown.

    Reference: Hochreiter and Schmidhuber, Long short-term memory, 1997; Jozefowicz et al., An
    empirical exploration of recurrent network architectures, 2015 (the forget bias).

    >>> import jax
    >>> init, apply = lstm(50, width=8)
    >>> apply(init(jax.random.key(0)), jax.numpy.zeros((3, 16), int)).shape
    (3, 16, 50)
    """
    network = _Lstm(
        check_count("vocabulary", vocabulary),
        check_count("width", width),
        check_count("depth", depth),
        initializer_function(init),
        initializer_function(recurrent_init),
        forget_gate_bias(forget_bias, gates="ifgo"),
    )
    return network.draw, network.apply


@dataclass(frozen=True)
class _Lstm:
    """The functions of the network."""

    vocabulary: int
    width: int
    depth: int
    init: Callable[..., Array]
    recurrent_init: Callable[..., Array]
    bias_init: Callable[..., Array]

    def draw(self, key: Array) -> _Params:
        keys = iter(jax.random.split(key, self.depth + 2))
        embedding = normal(self.width**-0.5)(next(keys), (self.vocabulary, self.width))
        head = draw_affine(self.init, next(keys), (self.width, self.vocabulary))
        layers = {f"layer_{layer:02d}": self._draw_layer(next(keys)) for layer in range(self.depth)}
        return {"embedding": embedding, **layers, "head": head}

    def _draw_layer(self, key: Array) -> _Params:
        input_key, recurrent_key = jax.random.split(key)
        return {
            "input": self._draw_gates(self.init, input_key),
            "recurrent": self._draw_gates(self.recurrent_init, recurrent_key),
            "bias": self.bias_init(key, (_GATES * self.width,)),
        }

    def _draw_gates(self, init: Callable[..., Array], key: Array) -> Array:
        keys = jax.random.split(key, _GATES)
        return jnp.concatenate([init(each, (self.width, self.width)) for each in keys], axis=1)

    def apply(self, params: _Params, tokens: Array) -> Array:
        signal = jnp.take(params["embedding"], tokens, axis=0)
        for layer in range(self.depth):
            signal = _run_layer(params[f"layer_{layer:02d}"], signal)
        return affine(params["head"], signal)


def _run_layer(layer: _Params, signal: Array) -> Array:
    """Return the outputs of a layer of cells, `[batch, length, width]`."""
    driven = add_last(signal @ layer["input"], layer["bias"])

    def step(state: tuple[Array, Array], driven: Array) -> tuple[tuple[Array, Array], Array]:
        memory, outputs = state
        gates = jnp.split(driven + outputs @ layer["recurrent"], _GATES, axis=-1)
        write, keep, candidate, read = gates
        memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(write) * jnp.tanh(candidate)
        outputs = jax.nn.sigmoid(read) * jnp.tanh(memory)
        return (memory, outputs), outputs

    zero = jnp.zeros((signal.shape[0], layer["recurrent"].shape[0]), signal.dtype)
    _, outputs = lax.scan(step, (zero, zero), jnp.moveaxis(driven, 1, 0))
    return jnp.moveaxis(outputs, 0, 1)
