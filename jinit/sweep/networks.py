"""The network that `jinit sweep` trains by default."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jinit.choice import check_choice
from jinit.initializers import from_spec
from jinit.sweep.counts import check_count
from jinit.theory import ACTIVATIONS

_Activation = Callable[[jax.Array], jax.Array]
_Params = Mapping[str, Mapping[str, jax.Array]]
_InitApply = tuple[
    Callable[[jax.Array], dict[str, dict[str, jax.Array]]],
    Callable[[_Params, jax.Array], jax.Array],
]
_GATED_UNITS = ("bilinear", "glu", "reglu", "geglu", "swiglu")
"""Activations of two arguments, which a layer of an MLP does not have."""


def mlp(
    features: int,
    outputs: int,
    *,
    depth: int = 8,
    width: int = 64,
    activation: str | _Activation = "relu",
    init: Callable[..., jax.Array] | str = "he_normal",
) -> _InitApply:
    """Return a multilayer perceptron as a pair of functions `(init, apply)`.

    It has `depth` hidden layers of `width` units and a linear output layer. Kernels are drawn by
    the initializer, biases are zero.

    Args:
      features: size of a flattened example.
      outputs: number of outputs.
      depth: number of hidden layers.
      width: units of each hidden layer.
      activation: a function of an array, or its name, such as `relu`.
      init: an initializer, or its name.

    Returns:
      `init(key)`, which returns parameters, and `apply(params, inputs)`, which maps inputs
      `[batch, ...]` to outputs `[batch, outputs]`.

    Raises:
      ValueError: if `depth` or `width` is below 1, or a name is unknown.

    >>> import jax
    >>> init, apply = mlp(64, 10, depth=2, width=32)
    >>> apply(init(jax.random.key(0)), jax.numpy.ones((5, 64))).shape
    (5, 10)
    """
    depth, width = check_count("depth", depth), check_count("width", width)
    phi = activation_function(activation)
    initializer = init if callable(init) else from_spec(init)
    sizes = [features, *[width] * depth, outputs]

    def draw(key: jax.Array) -> dict[str, dict[str, jax.Array]]:
        keys = jax.random.split(key, len(sizes) - 1)
        return {
            f"layer_{layer:02d}": {
                "kernel": initializer(keys[layer], (sizes[layer], sizes[layer + 1])),
                "bias": jnp.zeros(sizes[layer + 1]),
            }
            for layer in range(len(sizes) - 1)
        }

    def apply(params: _Params, inputs: jax.Array) -> jax.Array:
        signal = jnp.reshape(inputs, (inputs.shape[0], -1))
        *hidden, last = (params[name] for name in sorted(params))
        for layer in hidden:
            signal = phi(_affine(layer, signal))
        return _affine(last, signal)

    return draw, apply


def _affine(layer: Mapping[str, jax.Array], signal: jax.Array) -> jax.Array:
    return signal @ layer["kernel"] + jnp.expand_dims(layer["bias"], 0)


def activation_function(activation: str | _Activation) -> _Activation:
    """Return the activation of that name; a function is returned unchanged.

    Args:
      activation: a name, such as `relu`, or a function.

    Returns:
      The function.

    Raises:
      ValueError: if the name is unknown.

    >>> activation_function("tanh")(0.0).item()
    0.0
    """
    if callable(activation):
        return activation
    names = [name for name in ACTIVATIONS if name not in _GATED_UNITS]
    return ACTIVATIONS[check_choice("activation", activation, names)]
