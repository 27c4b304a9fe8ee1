"""Activations by the names that papers and libraries use."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jinit.theory.normal_means import ActivationFunction


def _gated_unit(gate: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda value, control: value * gate(control)


ACTIVATIONS: dict[str, ActivationFunction] = {
    "celu": jax.nn.celu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "hard_tanh": jax.nn.hard_tanh,
    "identity": jax.nn.identity,
    "leaky_relu": jax.nn.leaky_relu,
    "log_sigmoid": jax.nn.log_sigmoid,
    "mish": jax.nn.mish,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "soft_sign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
    "squareplus": jax.nn.squareplus,
    "tanh": jnp.tanh,
    "bilinear": _gated_unit(jax.nn.identity),
    "glu": _gated_unit(jax.nn.sigmoid),
    "reglu": _gated_unit(jax.nn.relu),
    "geglu": _gated_unit(jax.nn.gelu),
    "swiglu": _gated_unit(jax.nn.silu),
}
"""Every activation of jax.nn, and gated units under the name of their gate."""
