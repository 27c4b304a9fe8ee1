"""Layers of the built-in networks, as pure functions of their parameters."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jinit.choice import check_choice
from jinit.initializers import from_spec
from jinit.theory import ACTIVATIONS

ActivationLike = str | Callable[[Array], Array]

InitLike = str | Callable[..., Array]

Layer = Mapping[str, Any]
"""Parameters of a layer by name."""

_GATED_UNITS = ("bilinear", "glu", "reglu", "geglu", "swiglu")
"""Activations of two arguments, which the layers here do not have."""


def activation_function(activation: ActivationLike) -> Callable[[Array], Array]:
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


def initializer_function(init: InitLike) -> Callable[..., Array]:
    """Return the initializer of that name or spec; a function is returned unchanged.

    Args:
      init: an initializer, or its name.

    Raises:
      ValueError: if the name is unknown.

    >>> initializer_function("zeros")
    zeros
    """
    return init if callable(init) else from_spec(init)


def draw_affine(init: Callable[..., Array], key: Array, shape: tuple[int, ...]) -> dict[str, Array]:
    """Draw a kernel whose last axis is that of the outputs, and a bias of zeros.

    Args:
      init: the initializer of the kernel.
      key: its key.
      shape: its shape.

    >>> draw_affine(from_spec("ones"), jax.random.key(0), (3, 2))["bias"].tolist()
    [0.0, 0.0]
    """
    return {"kernel": init(key, shape), "bias": jnp.zeros(shape[-1])}


def affine(layer: Layer, signal: Array) -> Array:
    """Return the product with the kernel, plus the bias.

    Args:
      layer: parameters `kernel`, `[features, units]`, and `bias`, `[units]`.
      signal: an array `[..., features]`.

    Returns:
      An array `[..., units]`.

    >>> float(affine({"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}, jnp.ones((1, 2)))[0, 0])
    3.0
    """
    return add_last(signal @ layer["kernel"], layer["bias"])


def add_last(signal: Array, vector: Array) -> Array:
    """Return the signal plus a vector along its last axis.

    Args:
      signal: an array `[..., units]`.
      vector: an array `[units]`.

    >>> add_last(jnp.zeros((2, 3)), jnp.ones(3)).shape
    (2, 3)
    """
    return signal + lax.expand_dims(vector, range(signal.ndim - 1))


def drop(signal: Array, rate: float, key: Array | None) -> Array:
    """Return the signal with entries set to 0 and the others divided by the rate that is kept.

    Args:
      signal: any array.
      rate: probability that an entry is set to 0.
      key: key of the choice; None in evaluation, for the unchanged signal.

    Reference: Srivastava et al., Dropout, 2014.

    >>> float(drop(jnp.ones(()), 0.5, None))
    1.0
    """
    if key is None or rate == 0:
        return signal
    kept = jax.random.bernoulli(key, 1 - rate, signal.shape)
    return jnp.where(kept, signal / (1 - rate), 0)


def check_rate(option: str, value: float) -> float:
    """Return a probability below 1.

    Args:
      option: name of the option, for the message.
      value: the value given.

    Raises:
      ValueError: if it is not a number from 0 to below 1.

    >>> check_rate("dropout", 0.1)
    0.1
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{option}: expected a number from 0 to below 1, got {value!r}")
    return value
