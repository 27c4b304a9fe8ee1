"""Names of the activations found in a model's computation."""

import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import Array

from jinit.model.find_activation import find_activation
from jinit.model.graph import Graph
from jinit.model.uses import find_sites

_KERNEL = jax.ShapeDtypeStruct((4, 4), jnp.float32)


def activation_names(functions: Mapping[str, Callable[..., Array]]) -> dict[str, str]:
    """Return the name of every function, keyed by the canonical text of its operations.

    Each function is traced after a product with a kernel, as in a model. A gated function, which
    has two arguments without defaults, is entered twice: under the text after each of its kernels.

    Args:
      functions: activations by name; of two equal ones the first name counts.

    Returns:
      Names by `Activation.text`.

    >>> import jax, jax.numpy as jnp
    >>> from jinit.model import trace
    >>> model = trace(lambda w, x: jax.nn.silu(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> activation_names({"silu": jax.nn.silu})[model.leaves[0].activation.text]
    'silu'
    """
    names: dict[str, str] = {}
    for name, function in functions.items():
        for text in _texts(function):
            names.setdefault(text, name)
    return names


def _texts(function: Callable[..., Array]) -> list[str]:
    """Return the text of a function after each kernel that it takes a pre-activation from."""
    count = _argument_count(function)

    def apply(*arrays: Array) -> Array:
        *kernels, last, x = arrays
        return function(*[x @ kernel for kernel in kernels]) @ last

    arrays = [_KERNEL] * (count + 2)
    graph = Graph.primal_from_jaxpr(jax.make_jaxpr(apply)(*arrays)).prune()
    sites = find_sites(graph, [_KERNEL.shape] * (count + 1))
    found = [find_activation(site, {}) for site in sites if site.use.leaf < count]
    return [activation.text for activation in found if activation is not None]


def _argument_count(function: Callable[..., Array]) -> int:
    """Return the number of arguments without defaults."""
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.default is parameter.empty for parameter in parameters)
