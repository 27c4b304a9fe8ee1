"""The optimizers of optax by their names."""

import inspect
from collections.abc import Callable
from typing import Any

import optax

from jinit.choice import check_choice


def optimizer_function(option: str, name: str) -> Callable[..., optax.GradientTransformation]:
    """Return the function of optax with this name.

    Args:
      option: name of the option that asks for it, for the message.
      name: name of a function of optax that needs nothing but a learning rate.

    Raises:
      ValueError: if there is no such optimizer.

    >>> optimizer_function("optimizer", "sgd") is optax.sgd
    True
    """
    known = [each for each in vars(optax) if _is_optimizer(each, getattr(optax, each))]
    return getattr(optax, check_choice(option, name, known))


def _is_optimizer(name: str, value: Any) -> bool:
    """Return whether a function builds a whole optimizer from nothing but a learning rate."""
    if not inspect.isfunction(value) or name.startswith("scale_by"):
        return False
    first, *others = (*inspect.signature(value).parameters.values(), None)
    needed = [each for each in others if each and each.default is inspect.Parameter.empty]
    return first is not None and first.name == "learning_rate" and not needed
