"""Names of the activations that are found in a model's computation."""

from functools import lru_cache

from jinit.model import Activation, activation_names
from jinit.theory import ACTIVATIONS


def activation_name(activation: Activation) -> str | None:
    """Return the name by which `activation_scaled` knows an activation; None if it has none.

    >>> import jax, jinit, jax.numpy as jnp
    >>> model = jinit.trace(lambda w, x: jax.nn.silu(x @ w) @ w, jnp.eye(4), jnp.ones((2, 4)))
    >>> activation_name(model.leaves[0].activation)
    'silu'
    """
    return "identity" if activation.is_identity else _known_names().get(activation.text)


def activation_text(activation: Activation | None) -> str:
    """Return the name of an activation for a message.

    >>> activation_text(None)
    'what follows'
    """
    if activation is None:
        return "what follows"
    return activation_name(activation) or "its activation"


@lru_cache(maxsize=1)
def _known_names() -> dict[str, str]:
    return activation_names(ACTIVATIONS)
