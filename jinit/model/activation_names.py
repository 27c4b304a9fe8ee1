"""Names of the activations found in a model's computation."""

import inspect
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model.tracing import trace


def activation_names(functions: Mapping[str, Callable[..., Array]]) -> dict[str, str]:
    """Return the name of every function, keyed by the canonical text of its operations.

    Each function is traced after a product with a kernel, as in a model. A gated function, which
    has two arguments without defaults, is entered twice: under the text after each of its kernels.

    Args:
      functions: activations by name; of two equal ones the first name counts.

    Returns:
      Names by `Activation.text`.

    >>> import jax, jax.numpy as jnp
    >>> model = trace(lambda w, x: jax.nn.silu(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> activation_names({"silu": jax.nn.silu})[model.leaves[0].activation.text]
    'silu'
    """
    kernel = signal = jax.ShapeDtypeStruct((4, 4), jnp.float32)
    names: dict[str, str] = {}
    for name, function in functions.items():
        arguments = _argument_count(function)

        def apply(
            kernels: Sequence[Array],
            x: Array,
            function: Callable[..., Array] = function,
            arguments: int = arguments,
        ) -> Array:
            return function(*[x @ kernel for kernel in kernels[:arguments]]) @ kernels[-1]

        for leaf in trace(apply, [kernel] * 3, signal).leaves[:arguments]:
            if leaf.activation is not None:
                names.setdefault(leaf.activation.text, name)
    return names


def _argument_count(function: Callable[..., Array]) -> int:
    """Return the number of arguments without defaults."""
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.default is parameter.empty for parameter in parameters)
