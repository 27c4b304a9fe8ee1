"""Networks of layers in a chain: a product with a kernel, a normalization, an activation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax import Array

from jinit.sweep.layers import add_last, draw_affine, drop
from jinit.sweep.normalization import Normalization

Functions = tuple[Callable[..., Any], ...]
"""A pair `(init, apply)`, or a triple `(init, train, evaluate)` for a network with state."""

_Variables = dict[str, Any]


class Product(NamedTuple):
    """The product of a signal with the kernel of a layer."""

    shape: tuple[int, ...]
    """Shape of the kernel; the last axis is that of the outputs."""
    multiply: Callable[[Array, Array], Array]
    """Function of the signal and the kernel."""


@dataclass(frozen=True)
class FeedForward:
    """A chain of hidden layers and a linear layer of outputs.

    Args:
      products: one per layer.
      init: initializer of the kernels.
      activation: activation of the hidden layers.
      normalization: normalization before the activation.
      dropout: rate of dropout after the activation.

    >>> import jinit, jax.numpy as jnp
    >>> products = (Product((3, 4), jnp.matmul), Product((4, 2), jnp.matmul))
    >>> chain = FeedForward(products, jinit.ones, jnp.tanh, Normalization("none"), 0.0)
    >>> init, apply = chain.functions()
    >>> apply(init(jax.random.key(0)), jnp.ones((5, 3))).shape
    (5, 2)
    """

    products: Sequence[Product]
    init: Callable[..., Array]
    activation: Callable[[Array], Array]
    normalization: Normalization
    dropout: float

    def functions(self) -> Functions:
        """Return the network: a triple if it has state, a pair otherwise."""
        if self.normalization.kind == "batch":
            return self._draw_with_state, self._train, self._evaluate
        if self.dropout:
            return self._draw, self._apply_with_key
        return self._draw, self._apply

    def _draw(self, key: Array) -> _Variables:
        keys = jax.random.split(key, len(self.products))
        params: _Variables = {}
        for place, product in enumerate(self.products):
            layer: dict[str, Any] = {**draw_affine(self.init, keys[place], product.shape)}
            if place < self._hidden and (drawn := self.normalization.draw(product.shape[-1])):
                layer["normalization"] = drawn
            params[_name(place)] = layer
        return params

    def _draw_with_state(self, key: Array) -> dict[str, _Variables]:
        units = [product.shape[-1] for product in self.products[: self._hidden]]
        statistics = map(self.normalization.draw_statistics, units)
        return {
            "params": self._draw(key),
            "batch_stats": {_name(place): each for place, each in enumerate(statistics)},
        }

    def _apply(self, params: _Variables, inputs: Array) -> Array:
        return self._run(params, {}, inputs, None, train=False)[0]

    def _apply_with_key(self, params: _Variables, inputs: Array, key: Array | None) -> Array:
        return self._run(params, {}, inputs, key, train=False)[0]

    def _train(
        self, variables: dict[str, _Variables], key: Array, inputs: Array
    ) -> tuple[Array, dict[str, _Variables]]:
        outputs, statistics = self._run(*_split(variables), inputs, key, train=True)
        return outputs, {**variables, "batch_stats": statistics}

    def _evaluate(self, variables: dict[str, _Variables], inputs: Array) -> Array:
        return self._run(*_split(variables), inputs, None, train=False)[0]

    def _run(
        self,
        params: _Variables,
        statistics: _Variables,
        signal: Array,
        key: Array | None,
        *,
        train: bool,
    ) -> tuple[Array, _Variables]:
        """Return the outputs and the updated statistics."""
        updated: _Variables = {}
        for place, product in enumerate(self.products):
            layer, old = params[_name(place)], statistics.get(_name(place), {})
            signal = add_last(product.multiply(signal, layer["kernel"]), layer["bias"])
            if place == self._hidden:
                break
            scales = layer.get("normalization", {})
            if train:
                signal, updated[_name(place)] = self.normalization.train(scales, old, signal)
            else:
                signal = self.normalization.evaluate(scales, old, signal)
            layer_key = None if key is None else jax.random.fold_in(key, place)
            signal = drop(self.activation(signal), self.dropout, layer_key)
        return signal, updated

    @property
    def _hidden(self) -> int:
        return len(self.products) - 1


def _name(place: int) -> str:
    return f"layer_{place:02d}"


def _split(variables: dict[str, _Variables]) -> tuple[_Variables, _Variables]:
    return variables["params"], variables["batch_stats"]
