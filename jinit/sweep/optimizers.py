"""The optimizer of a sweep: its traced options, and building it for one lane."""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any

import optax

from jinit.sweep.trial import Hyperparameters

KERNEL_AXES = ("gain", "l1", "l2")
"""Axes that act on the kernels; the training program takes them as traced numbers."""

RATE_AXES = ("lr", "learning_rate")
"""Names of the axis of the learning rate."""

OptimizerLike = optax.GradientTransformation | Callable[..., optax.GradientTransformation]


def find_traced_axes(names: Sequence[str], optimizer: OptimizerLike) -> tuple[str, ...]:
    """Return the axes whose values the training program takes as traced numbers.

    Args:
      names: names of the axes.
      optimizer: a built optimizer, or a function of the learning rate that returns one.

    Returns:
      The learning rate, `gain`, `l1`, `l2` and options of the optimizer, as far as they are axes.

    Raises:
      TypeError: if `optimizer` is neither.
      ValueError: if the learning rate is given twice, or not at all.
    """
    options = _option_names(optimizer)
    rates = [name for name in names if name in RATE_AXES]
    if options is None:
        if rates:
            raise ValueError(
                f"the space has an axis {rates[0]!r}, but the optimizer is built already and has "
                "its own learning rate: give the function instead, such as optimizer=optax.adam"
            )
        options = ()
    elif len(rates) != 1:
        raise ValueError(
            "the optimizer is a function of the learning rate, so the space needs exactly one "
            f"axis lr=[...], got {rates or 'none'}; or build it: optimizer=optax.adam(1e-3)"
        )
    return tuple(name for name in names if name in (*KERNEL_AXES, *RATE_AXES, *options))


def check_rates(axis: str, values: Iterable[Any]) -> None:
    """Raise if a learning rate is negative; zero is allowed, and trains nothing.

    Raises:
      ValueError: if a value is negative.
    """
    for value in values:
        if isinstance(value, Real) and value < 0:
            raise ValueError(
                f"axis {axis!r}: expected learning rates of at least 0, got {value!r}: the "
                f"optimizer already steps against the gradient, so write {-value!r}"
            )


def check_traced_number(axis: str, value: Any) -> float:
    """Return the value of a traced axis as a float.

    Raises:
      ValueError: if the value is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(
            f"axis {axis!r}: expected finite numbers, which the training program takes as traced "
            f"values, got {value!r}; for other values run one sweep for each, with an optimizer "
            f"such as functools.partial(optax.sgd, {axis}={value!r})"
        )
    return float(value)


def build_optimizer(
    optimizer: OptimizerLike, hyperparameters: Hyperparameters
) -> optax.GradientTransformation:
    """Return the optimizer of one lane, built from its traced options."""
    if not callable(optimizer):
        return optimizer
    options = {name: value for name, value in hyperparameters.items() if name not in KERNEL_AXES}
    rate = next(options.pop(name) for name in RATE_AXES if name in options)
    return optimizer(rate, **options)


def _option_names(optimizer: OptimizerLike) -> tuple[str, ...] | None:
    """Return the parameters of an optimizer function; None for a built optimizer."""
    if isinstance(optimizer, optax.GradientTransformation):
        return None
    if not callable(optimizer):
        raise TypeError(
            f"optimizer: expected an optax optimizer or a function of the learning rate that "
            f"returns one, got {type(optimizer).__name__}"
        )
    return tuple(inspect.signature(optimizer).parameters)
