"""Explain why a network cannot be differentiated."""

from collections.abc import Iterator
from contextlib import contextmanager

# A part of JAX's message, the operation it is about, and what to write instead.
_EXPLANATIONS = (
    (
        "does not work for lax.while_loop",
        "a while_loop, or a fori_loop whose number of iterations is not fixed",
        "use jax.lax.scan, or jax.lax.fori_loop with Python integers as bounds",
    ),
    (
        "callbacks do not support JVP",
        "a callback into Python",
        "give it a derivative with jax.custom_vjp, or trace the model without it",
    ),
    (
        "does not support reverse-mode autodiff",
        "an operation without a derivative, such as a Pallas kernel",
        "give it a derivative with jax.custom_vjp, or trace the model without it",
    ),
)


@contextmanager
def explain_missing_gradient(name: str) -> Iterator[None]:
    """Replace JAX's errors about missing derivatives with one that names a remedy.

    Args:
      name: the calling function, for the message.

    Raises:
      ValueError: if the body fails because an operation has no derivative.

    >>> import jax
    >>> with explain_missing_gradient("diagnose"):
    ...     jax.grad(lambda x: jax.lax.while_loop(lambda y: y < 9, lambda y: 2 * y, x))(1.0)
    Traceback (most recent call last):
    ValueError: diagnose: the model cannot be differentiated: it contains a while_loop, ...
    """
    try:
        yield
    except (ValueError, TypeError, NotImplementedError) as error:
        for marker, operation, remedy in _EXPLANATIONS:
            if marker in str(error):
                raise ValueError(
                    f"{name}: the model cannot be differentiated: it contains {operation}; {remedy}"
                ) from error
        raise
