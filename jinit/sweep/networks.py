"""The network that `jinit sweep` trains when it is not given another."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jinit.initializers import from_spec

Phi = Callable[[jax.Array], jax.Array]
Pair = tuple[Callable[[jax.Array], Any], Callable[[Any, jax.Array], jax.Array]]


def mlp(
    features: int,
    outputs: int,
    *,
    depth: int = 8,
    width: int = 64,
    activation: str | Phi = "relu",
    init: Callable[..., jax.Array] | str = "he_normal",
) -> Pair:
    """A multilayer perceptron as a pair `(init, apply)`: `depth` hidden layers of `width` units.

    Kernels are drawn by `init`, biases start at zero; the last layer is linear.

    Args:
      features: size of a flattened example. outputs: number of outputs.
      depth: number of hidden layers. width: units in each.
      activation: a JAX function, or its name in jax.nn or jax.numpy.
      init: an initializer, or its name.

    Raises:
      ValueError: `depth` or `width` below 1, or an unknown activation.

    >>> import jax
    >>> init, apply = mlp(64, 10, depth=2, width=32)
    >>> apply(init(jax.random.key(0)), jax.numpy.ones((5, 64))).shape
    (5, 10)
    """
    for name, value in (("depth", depth), ("width", width)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"mlp: {name} must be an integer of at least 1, got {value!r}")
    phi, start = activation_function(activation), init if callable(init) else from_spec(init)
    sizes = [features, *[width] * depth, outputs]

    def draw(key: jax.Array) -> Any:
        keys = jax.random.split(key, len(sizes) - 1)
        return {
            f"layer_{layer:02d}": {
                "kernel": start(keys[layer], (sizes[layer], sizes[layer + 1])),
                "bias": jnp.zeros(sizes[layer + 1]),
            }
            for layer in range(len(sizes) - 1)
        }

    def apply(params: Mapping[str, Any], inputs: jax.Array) -> jax.Array:
        signal = jnp.reshape(inputs, (inputs.shape[0], -1))
        *hidden, last = (params[name] for name in sorted(params))
        for layer in hidden:
            signal = phi(_affine(layer, signal))
        return _affine(last, signal)

    return draw, apply


def _affine(layer: Mapping[str, jax.Array], signal: jax.Array) -> jax.Array:
    return signal @ layer["kernel"] + jnp.expand_dims(layer["bias"], 0)


def activation_function(activation: str | Phi) -> Phi:
    """The function of that name in jax.nn or jax.numpy; a function is returned as it is.

    >>> activation_function("tanh")(0.0).item()
    0.0
    """
    if callable(activation):
        return activation
    name = str(activation)
    found: Phi | None = getattr(jax.nn, name, None) or getattr(jnp, name, None)
    if callable(found):
        return found
    near = difflib.get_close_matches(str(activation), [*dir(jax.nn), "sin", "cos"], n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "such as 'relu' or 'tanh'"
    raise ValueError(
        f"unknown activation {activation!r}: expected the name of a function in jax.nn or "
        f"jax.numpy, {hint}"
    )
