"""Names of the activations that a model's own computation spells out."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax import Array

from jinit.initializers.activation import ACTIVATIONS
from jinit.model import Activation, trace


def name_of(activation: Activation) -> str | None:
    """The name under which `activation_scaled` knows it; None if it is one's own.

    >>> import jax, jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: jax.nn.silu(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> name_of(model.leaves[0].activation)
    'silu'
    """
    return "identity" if activation.is_identity else _names().get(activation.text)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """The steps of every known activation, as found behind a product that it follows."""
    kernel, signal = (jax.ShapeDtypeStruct((4, 4), jnp.float32),) * 2
    names: dict[str, str] = {}
    for name, function in ACTIVATIONS.items():
        gated = name in ("bilinear", "glu", "reglu", "geglu", "swiglu")

        def apply(
            kernels: Sequence[Array],
            x: Array,
            function: Callable[..., Array] = function,
            arguments: int = 1 + gated,
        ) -> Array:
            return function(*[x @ each for each in kernels[:arguments]]) @ kernels[-1]

        for leaf in trace(apply, [kernel] * 3, signal).leaves[: 1 + gated]:
            if leaf.activation is not None:
                names.setdefault(leaf.activation.text, name)
    return names
