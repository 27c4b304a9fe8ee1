"""The axes of training: which are traced and which are compiled, and the optimizer of a lane."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jinit.sweep.space import Space, record_value

KERNEL_AXES = ("gain", "sigma_w", "sigma_b", "l1", "l2")
"""Axes that act on the kernels; the training program takes them as traced numbers."""

RATE_AXES = ("lr", "learning_rate")
"""Names of the axis of the learning rate."""

OptimizerLike = optax.GradientTransformation | Callable[..., optax.GradientTransformation]

TRAINING_AXES = ("optimizer", "batch_size", "rules")
"""Axes that `build` does not get and whose values are not traced."""


class TrainingAxes(NamedTuple):
    """The axes that `build` does not get."""

    traced: tuple[str, ...]
    """Axes whose values are traced numbers: those of one program."""
    compiled: tuple[str, ...]
    """Axes of training whose values are compiled into the program."""
    options: tuple[str, ...] = ()
    """Those of them that are the learning rate or another option of the optimizer."""
    loss_options: tuple[str, ...] = ()
    """Those of them that are options of the loss."""


def training_axes(
    space: Space, optimizer: OptimizerLike, loss_options: Sequence[str] = ()
) -> TrainingAxes:
    """Find the axes that training takes: rates, penalties, options of the optimizer, batch size.

    A number is traced if the optimizer can be built and used with a traced one. Others are
    compiled: words, truth values, and numbers on which Python decides, such as the length of a
    warm-up in `optax.warmup_constant_schedule`.

    Args:
      space: the axes and their values.
      optimizer: a built optimizer, or a function of the learning rate that returns one; for all
        configurations, unless the space has an axis `optimizer`.
      loss_options: axes that are options of the loss.

    Returns:
      The axes.

    Raises:
      TypeError: if an optimizer is neither.
      ValueError: if the learning rate is given twice, or not at all, or a configuration has an
        option of another optimizer than its own.
    """
    values = dict(space.axes)
    configs = _option_configs(space, optimizer)
    options = _unique(name for _, config in configs for name in config)
    kinds = _unique(
        name for name in (*options, *loss_options) if not _has_numbers(values[name])
    ) + _unique(
        name for each, config in configs for name in config if not _is_traceable(each, name, config)
    )
    known = {*KERNEL_AXES, *options, *loss_options} - set(kinds)
    return TrainingAxes(
        traced=tuple(name for name in space.names if name in known),
        compiled=tuple(name for name in space.names if name in (*TRAINING_AXES, *kinds)),
        options=options,
        loss_options=tuple(loss_options),
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _option_configs(
    space: Space, optimizer: OptimizerLike
) -> list[tuple[OptimizerLike, dict[str, Any]]]:
    """Return every optimizer with the options of each kind of configuration that has it."""
    found: dict[tuple, tuple[OptimizerLike, dict[str, Any]]] = {}
    names = {
        record_value(each): _options_of(space.names, each)
        for each in dict(space.axes).get("optimizer", (optimizer,))
    }
    for config in space.configs():
        each = config.get("optimizer", optimizer)
        options = _config_options(config, each, names)
        found.setdefault((record_value(each), tuple(options)), (each, options))
    return list(found.values())


def _config_options(
    config: Mapping[str, Any], optimizer: OptimizerLike, names: Mapping[Any, Sequence[str]]
) -> dict[str, Any]:
    """Return the options of the optimizer in a configuration, checked."""
    own = names[record_value(optimizer)]
    for other, options in names.items():
        for name in options:
            if name in config and name not in own:
                raise ValueError(
                    f"axis {name!r} is an option of {other}, but not of {record_value(optimizer)}: "
                    "give each its own axes, grid(optimizer=[...], ...) + grid(...)"
                )
    rates = [name for name in RATE_AXES if name in config]
    if _option_names(optimizer) is not None and len(rates) != 1:
        raise ValueError(
            "the optimizer is a function of the learning rate, so the space needs exactly one "
            f"axis lr=[...], got {rates or 'none'}; or build it: optimizer=optax.adam(1e-3)"
        )
    return {name: config[name] for name in own if name in config}


def _options_of(names: Sequence[str], optimizer: OptimizerLike) -> list[str]:
    options = _option_names(optimizer)
    if options is not None:
        options = (*RATE_AXES, *options)
        return [name for name in names if name in options and name not in TRAINING_AXES]
    if rates := [name for name in names if name in RATE_AXES]:
        raise ValueError(
            f"the space has an axis {rates[0]!r}, but the optimizer is built already and has "
            "its own learning rate: give the function instead, such as optimizer=optax.adam"
        )
    return []


def _has_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(each, Real) and not isinstance(each, bool) for each in values)


def _is_finite_number(value: Any) -> bool:
    """Return whether a value is a number in the range of floats, which an integer may leave."""
    return _has_numbers([value]) and bool(abs(value) <= sys.float_info.max)


def _is_traceable(optimizer: OptimizerLike, axis: str, options: Mapping[str, Any]) -> bool:
    """Return whether an optimizer can be built and used with a traced number on an axis."""
    value = options[axis]
    if not _is_finite_number(value):
        return True  # no number: compiled anyway; not finite: an error, which names the value

    def update(number: Any) -> Any:
        built = optax.with_extra_args_support(build_optimizer(optimizer, {**options, axis: number}))
        weights, value = jnp.ones((2, 2)), jnp.ones(())
        state = built.init(weights)
        arguments = {"value": value, "grad": weights, "value_fn": lambda params: params.sum()}
        return built.update(weights, state, weights, **arguments)

    try:
        jax.eval_shape(update, jax.ShapeDtypeStruct((), jnp.float32))
    except TypeError:  # JAX's errors about traced values among them
        return False
    return True


def check_rates(axis: str, values: Iterable[Any]) -> None:
    """Raise if a learning rate is negative or text; zero is allowed, and trains nothing.

    Raises:
      ValueError: if a value is.
    """
    for value in values:
        if isinstance(value, str):
            raise ValueError(
                f"axis {axis!r}: expected learning rates, got the text {value!r}: write the number "
                "without quotes"
            )
        if isinstance(value, Real) and value < 0:
            raise ValueError(
                f"axis {axis!r}: expected learning rates of at least 0, got {value!r}: the "
                f"optimizer already steps against the gradient, so write {-value!r}"
            )


def check_numbers(axis: str, values: Iterable[Any]) -> None:
    """Raise if a value of a traced axis is not a finite number.

    Raises:
      ValueError: if a value is not.
    """
    for value in values:
        if not _is_finite_number(value):
            raise ValueError(
                f"axis {axis!r}: expected finite numbers, which the training program takes as "
                f"traced values, got {value!r}"
            )


def build_optimizer(
    optimizer: OptimizerLike, options: Mapping[str, Any]
) -> optax.GradientTransformation:
    """Return the optimizer of one lane, built from its options, traced ones among them."""
    if not callable(optimizer):
        return optimizer
    options = dict(options)
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
