"""Names of the activations that a model's own computation spells out."""

from functools import lru_cache

from jinit.model import Activation, names_of
from jinit.theory import ACTIVATIONS


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
    return names_of(ACTIVATIONS)
