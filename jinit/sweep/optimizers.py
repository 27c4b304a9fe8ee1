"""The axes of training: which are traced and which are compiled, and the optimizer of a lane."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jinit.sweep.space import Space, record_value

KERNEL_AXES = ("gain", "l1", "l2")
"""Axes that act on the kernels; the training program takes them as traced numbers."""

RATE_AXES = ("lr", "learning_rate")
"""Names of the axis of the learning rate."""

OptimizerLike = optax.GradientTransformation | Callable[..., optax.GradientTransformation]

TRAINING_AXES = ("optimizer", "batch_size")
"""Axes of training whose values are compiled into the training program."""


class TrainingAxes(NamedTuple):
    """The axes that `build` does not get."""

    traced: tuple[str, ...]
    """Axes whose values are traced numbers: those of one program."""
    compiled: tuple[str, ...]
    """Axes of training whose values are compiled into the program."""


def training_axes(space: Space, optimizer: OptimizerLike) -> TrainingAxes:
    """Find the axes that training takes: rates, penalties, options of the optimizer, batch size.

    A number is traced if the optimizer can be built and used with a traced one. Others are
    compiled: words, truth values, and numbers on which Python decides, such as the length of a
    warm-up in `optax.warmup_constant_schedule`.

    Args:
      space: the axes and their values.
      optimizer: a built optimizer, or a function of the learning rate that returns one; for all
        configurations, unless the space has an axis `optimizer`.

    Returns:
      The axes.

    Raises:
      TypeError: if an optimizer is neither.
      ValueError: if the learning rate is given twice, or not at all, or an axis is an option of
        only some optimizers.
    """
    values = dict(space.axes)
    optimizers = values.get("optimizer", (optimizer,))
    options = [name for name in _option_axes(space.names, optimizers) if name not in TRAINING_AXES]
    compiled = [
        name
        for name in options
        if not all(_is_traceable(each, name, values, options) for each in optimizers)
    ]
    known = {*KERNEL_AXES, *options} - set(compiled)
    return TrainingAxes(
        traced=tuple(name for name in space.names if name in known),
        compiled=tuple(name for name in space.names if name in (*TRAINING_AXES, *compiled)),
    )


def _option_axes(names: Sequence[str], optimizers: Sequence[OptimizerLike]) -> list[str]:
    """Return the axes that are the learning rate or another option of the optimizers."""
    found = {record_value(each): _options_of(names, each) for each in optimizers}
    for axis in dict.fromkeys(itertools.chain.from_iterable(found.values())):
        having = [name for name, options in found.items() if axis in options]
        lacking = [name for name in found if name not in having]
        if lacking:
            raise ValueError(
                f"axis {axis!r} is an option of {having[0]}, but not of {lacking[0]}: run one "
                "sweep for each of them"
            )
    return next(iter(found.values()))


def _options_of(names: Sequence[str], optimizer: OptimizerLike) -> list[str]:
    options = _option_names(optimizer)
    rates = [name for name in names if name in RATE_AXES]
    if options is None:
        if rates:
            raise ValueError(
                f"the space has an axis {rates[0]!r}, but the optimizer is built already and has "
                "its own learning rate: give the function instead, such as optimizer=optax.adam"
            )
        return []
    if len(rates) != 1:
        raise ValueError(
            "the optimizer is a function of the learning rate, so the space needs exactly one "
            f"axis lr=[...], got {rates or 'none'}; or build it: optimizer=optax.adam(1e-3)"
        )
    return [name for name in names if name in (*RATE_AXES, *options)]


def _is_traceable(
    optimizer: OptimizerLike, axis: str, values: Mapping[str, Sequence[Any]], options: Sequence[str]
) -> bool:
    """Return whether an optimizer can be built and used with a traced number on an axis."""
    if any(isinstance(value, bool) or not isinstance(value, Real) for value in values[axis]):
        return False
    if not all(map(math.isfinite, values[axis])):
        return True  # an error, which names the value
    first = {name: values[name][0] for name in options}

    def update(number: Any) -> Any:
        built = build_optimizer(optimizer, first | {axis: number})
        weights = jnp.ones((2, 2))
        return built.update(weights, built.init(weights), weights)

    try:
        jax.eval_shape(update, jax.ShapeDtypeStruct((), jnp.float32))
    except TypeError:  # JAX's errors about traced values among them
        return False
    return True


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
            f"values, got {value!r}"
        )
    return float(value)


def build_optimizer(
    optimizer: OptimizerLike, options: Mapping[str, Any]
) -> optax.GradientTransformation:
    """Return the optimizer of one lane, built from its options, traced ones among them."""
    if not callable(optimizer):
        return optimizer
    others = (*KERNEL_AXES, *TRAINING_AXES)
    options = {name: value for name, value in options.items() if name not in others}
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
