"""The axes of a trial whose values are traced numbers, found by tracing it."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jinit.model import PyTree
from jinit.sweep.space import Space
from jinit.sweep.trial import Trial


def number_dtype(values: Sequence[Any]) -> Any:
    """Return the dtype of a traced axis: int32 if all its values are integers, else float32.

    >>> number_dtype([1, 2]).__name__, number_dtype([1, 0.5]).__name__
    ('int32', 'float32')
    """
    return np.int32 if all(isinstance(value, int | np.integer) for value in values) else np.float32


def is_number(value: Any) -> bool:
    """Return whether a value of an axis can be a traced number.

    >>> is_number(0.1), is_number(True), is_number("he_normal")
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def find_traced_axes(trial: Trial, space: Space, batch: PyTree, validation: PyTree) -> list[str]:
    """Return the axes whose numbers every function of a trial can be traced with.

    Args:
      trial: the trial.
      space: the axes and their values.
      batch: abstract batch of a step; None without data.
      validation: abstract batch to evaluate; None for none.

    >>> from jinit.sweep.space import grid
    >>> trial = Trial(
    ...     lambda key, hyper: jax.numpy.zeros(hyper["width"]),
    ...     lambda state, hyper, batch, key: (state - hyper["lr"], {}),
    ... )
    >>> find_traced_axes(trial, grid(lr=[0.1], width=[3, 4]), None, None)
    ['lr']
    """
    values = dict(space.axes)
    numeric = [
        name
        for name in space.names
        if name not in ("batch_size", *trial.compiled) and all(map(is_number, values[name]))
    ]
    if trial.program is not None:
        return numeric
    configs = {tuple(sorted(config)): config for config in space.configs()}
    return [
        name
        for name in numeric
        if all(
            _is_traceable(trial, name, config, values[name], batch, validation)
            for config in configs.values()
            if name in config
        )
    ]


def _is_traceable(
    trial: Trial,
    axis: str,
    config: Mapping[str, Any],
    values: Sequence[Any],
    batch: PyTree,
    validation: PyTree,
) -> bool:
    number = jax.ShapeDtypeStruct((), number_dtype(values))
    run = run_abstractly(trial, lambda given: {**config, axis: given}, batch, validation)
    try:
        jax.eval_shape(run, number)
    except (TypeError, ValueError, jax.errors.JAXTypeError):
        # A fault that has nothing to do with tracing shows when the value itself is traced.
        return False
    return True


def run_abstractly(
    trial: Trial,
    hyper: Callable[[Any], Mapping[str, Any]],
    batch: PyTree,
    validation: PyTree,
) -> Callable[[Any], Any]:
    """Return a function of traced numbers that runs every function of a trial once.

    Args:
      trial: the trial.
      hyper: returns the values of the axes, given the traced numbers.
      batch: abstract batch of a step; None without data.
      validation: abstract batch to evaluate; None for none.
    """

    def run(numbers: Any) -> Any:
        key, values = jax.random.key(0), hyper(numbers)
        batches = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (batch, validation))
        state, metrics = trial.run_step(trial.init(key, values), values, batches[0], key)
        results = [state, metrics]
        if trial.evaluate is not None and validation is not None:
            results.append(trial.evaluate(state, values, batches[1]))
        if trial.measure is not None:
            results.append(trial.measure(state, values, batches[0]))
        return results

    return run
