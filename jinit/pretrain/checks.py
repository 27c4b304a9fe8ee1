"""Checks of the data and the options of pre-training."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from jinit.choice import suggestion


def read_examples(name: str, data: Any, *, is_unit: bool = False) -> Array:
    """Return examples as a matrix of floats, of shape [examples, features].

    Values are looked at unless `data` is traced.

    Args:
      name: name of the function, for messages.
      data: the examples.
      is_unit: whether all values must lie in [0, 1].

    Raises:
      ValueError: if it is not a matrix, is empty, or has values that are not finite or outside of
        the interval.

    >>> read_examples("train_rbm", [[0, 1]]).dtype
    dtype('float32')
    """
    shape = np.shape(data)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"{name}: the data has the shape {shape}, expected [examples, features]; reshape it, "
            "such as images.reshape(len(images), -1)"
        )
    if not isinstance(data, Tracer):
        _check_values(name, np.asarray(data, float), is_unit)
    examples = jnp.asarray(data)
    is_float = jnp.issubdtype(examples.dtype, jnp.floating)
    return examples if is_float else examples.astype(jnp.float32)


def _check_values(name: str, values: np.ndarray, is_unit: bool) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: the data has NaN or infinity; clean it first")
    if is_unit and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"{name}: the data has values from {values.min():.4g} to {values.max():.4g}, expected "
            "values in [0, 1] for binary units and the cross-entropy; scale it to [0, 1], or "
            "standardize it and use visible='gaussian' or loss='squared_error'"
        )


def check_fraction(name: str, option: str, value: object) -> None:
    """Raise unless an option is a number in [0, 1).

    Args:
      name: name of the function.
      option: name of the option.
      value: its value.

    Raises:
      ValueError: if it is not.

    >>> check_fraction("rbm", "momentum", 1.5)
    Traceback (most recent call last):
    ValueError: rbm: momentum=1.5, expected a number in [0, 1)
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ValueError(f"{name}: {option}={value!r}, expected a number in [0, 1)")


def check_option_names(name: str, options: Mapping[str, object], known: Mapping[str, Any]) -> None:
    """Raise if an option is not known.

    Args:
      name: name of the function.
      options: the options that were given.
      known: the options that there are.

    Raises:
      TypeError: if one is not known; the message names similar ones.

    >>> check_option_names("rbm", {"epoch": 3}, {"epochs": 10})
    Traceback (most recent call last):
    TypeError: rbm: unknown option 'epoch'; did you mean 'epochs'?
    """
    for option in options:
        if option not in known:
            hint = suggestion(option, known) or f"expected one of: {', '.join(known)}"
            raise TypeError(f"{name}: unknown option {option!r}; {hint}")
