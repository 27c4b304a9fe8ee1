"""An optimizer of optax by its name."""

import inspect
from typing import Any

import optax

from jinit.choice import check_choice


def named_optimizer(option: str, name: str, learning_rate: float) -> optax.GradientTransformation:
    """Return the optimizer of optax with this name and learning rate.

    Args:
      option: name of the option that asks for it, for the message.
      name: name of a function of optax that needs nothing but a learning rate.
      learning_rate: its learning rate.

    Raises:
      ValueError: if there is no such optimizer.

    >>> named_optimizer("optimizer", "sgd", 0.1).init([])
    (EmptyState(), EmptyState())
    """
    known = [each for each in vars(optax) if _is_optimizer(each, getattr(optax, each))]
    build: Any = getattr(optax, check_choice(option, name, known))
    return build(learning_rate)


def _is_optimizer(name: str, value: Any) -> bool:
    """Return whether a function builds a whole optimizer from nothing but a learning rate."""
    if not inspect.isfunction(value) or name.startswith("scale_by"):
        return False
    first, *others = (*inspect.signature(value).parameters.values(), None)
    needed = [each for each in others if each and each.default is inspect.Parameter.empty]
    return first is not None and first.name == "learning_rate" and not needed
