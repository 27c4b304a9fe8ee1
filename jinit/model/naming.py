"""Names of the activations that a model's own computation spells out."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model.model import trace


def names_of(functions: Mapping[str, Callable[..., Array]]) -> dict[str, str]:
    """The text of the steps of every function, as found behind a product that it follows.

    Of gated ones, which have two arguments that must be given, that behind either product.

    >>> import jax, jax.numpy as jnp
    >>> model = trace(lambda w, x: jax.nn.silu(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> names_of({"silu": jax.nn.silu})[model.leaves[0].activation.text]
    'silu'
    """
    kernel, signal = (jax.ShapeDtypeStruct((4, 4), jnp.float32),) * 2
    names: dict[str, str] = {}
    for name, function in functions.items():
        arguments = _required(function)

        def apply(
            kernels: Sequence[Array],
            x: Array,
            function: Callable[..., Array] = function,
            arguments: int = arguments,
        ) -> Array:
            return function(*[x @ each for each in kernels[:arguments]]) @ kernels[-1]

        for leaf in trace(apply, [kernel] * 3, signal).leaves[:arguments]:
            if leaf.activation is not None:
                names.setdefault(leaf.activation.text, name)
    return names


def _required(function: Callable[..., Array]) -> int:
    """How many arguments must be given."""
    parameters = inspect.signature(function).parameters.values()
    return sum(each.default is each.empty for each in parameters)
