"""The values of an axis: how they are read, compared and written to a record."""

import inspect
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from types import CellType, ModuleType
from typing import Any

import jax
import numpy as np

from jinit.calibrate import Method
from jinit.initializers import Initializer, from_spec
from jinit.sweep.method_names import read_method
from jinit.sweep.named_optimizer import optimizer_function

# Libraries whose functions return closures that are told apart by the options captured in them.
_LIBRARIES = ("jax", "flax", "optax")
_EMPTY = object()
"""Mark of an empty cell of a closure."""


def read_value(axis: str, value: Any) -> Any:
    """Return the value that a configuration has on an axis.

    Names and specs of initializers become initializers, names of optimizers become functions, and
    scalars of NumPy and JAX become Python numbers. Everything else is unchanged.

    Args:
      axis: name of the axis.
      value: the value given.

    Raises:
      ValueError: if an initializer or optimizer is unknown, or the value is an array.

    >>> read_value("lr", np.float32(0.1)), read_value("init", "zeros"), read_value("width", (8, 8))
    (0.1, zeros, (8, 8))
    """
    if axis == "init":
        return value if callable(value) else _read_start(value)
    if axis == "optimizer" and isinstance(value, str):
        return optimizer_function("axis 'optimizer'", value)
    if isinstance(value, np.ndarray | jax.Array) and value.ndim:
        raise ValueError(
            f"axis {axis!r} has an array of shape {value.shape} as one value: write a tuple, such "
            "as (64, 64), or a word, and let build convert it"
        )
    return _python_number(value)


def _read_start(value: Any) -> Any:
    """Return the method or the initializer that plain data describes."""
    try:
        return read_method(value) or from_spec(value)
    except TypeError as error:
        raise ValueError(f"axis 'init', {reprlib.repr(value)}: {error}") from None


def record_value(value: Any) -> Any:
    """Return the value of an axis as written to a record: numbers and words unchanged.

    A function is recorded by its name, a partial function with its arguments, a bound method with
    its object, and a function that JAX, Flax or optax built with its options, because all of those
    have the same name.

    >>> from functools import partial
    >>> record_value(partial(round, ndigits=2)), record_value(0.1), record_value((64, 64))
    ('round(ndigits=2)', 0.1, '(64, 64)')
    """
    value = _python_number(value)
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Initializer | Method):
        return repr(value).removesuffix("()")
    if isinstance(value, partial):
        return _call_text(_text(value.func), value.args, value.keywords)
    if _is_library_closure(value):
        return _call_text(value.__qualname__.partition(".<locals>")[0], (), _closure_options(value))
    if type(value) in (tuple, list):  # not a named tuple, whose text has its name
        return _sequence_text(value)
    if isinstance(value, np.ndarray | jax.Array):
        return str(np.asarray(value).tolist())
    if (owner := _method_owner(value)) is not None:
        return f"{_text(owner)}.{value.__name__}"
    return getattr(value, "__name__", None) or " ".join(str(value).split())


def value_identity(value: Any) -> Any:
    """Return something hashable that is equal for equal values of an axis, and for them only.

    Partial functions, and functions built by JAX, Flax or optax, are equal if their options are.

    >>> value_identity(partial(round, ndigits=2)) == value_identity(partial(round, ndigits=2))
    True
    >>> value_identity(1) == value_identity(1.0), value_identity(1) == value_identity(True)
    (True, False)
    """
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, partial):
        options = tuple((name, value_identity(each)) for name, each in value.keywords.items())
        return partial, value_identity(value.func), _identities(value.args), frozenset(options)
    if type(value) in (tuple, list):
        return type(value), _identities(value)
    if _is_library_closure(value):
        return type(value), record_value(value)
    try:
        hash(value)
    except TypeError:
        return type(value), record_value(value)
    return value


def _identities(values: Any) -> tuple[Any, ...]:
    return tuple(map(value_identity, values))


def _python_number(value: Any) -> Any:
    """Return the Python number of a scalar of NumPy or JAX; anything else is unchanged."""
    if not isinstance(value, np.generic | np.ndarray | jax.Array) or value.ndim:
        return value
    # The shortest decimal that rounds to the same float32: 0.1, not 0.10000000149011612.
    return float(str(np.float32(value))) if value.dtype == np.float32 else value.item()


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(record_value(value))


def _sequence_text(values: tuple[Any, ...] | list[Any]) -> str:
    items = ", ".join(map(_text, values))
    if isinstance(values, list):
        return f"[{items}]"
    return f"({items},)" if len(values) == 1 else f"({items})"


def _call_text(name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    options = [*map(_text, positional), *(f"{key}={_text(each)}" for key, each in named.items())]
    return f"{name}({', '.join(options)})"


def _is_library_closure(value: Any) -> bool:
    is_local = inspect.isfunction(value) and "<locals>" in value.__qualname__
    return is_local and value.__module__.partition(".")[0] in _LIBRARIES


def _closure_options(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that a closure captured, and the dtype that it has by default."""
    names = function.__code__.co_freevars
    captured = zip(names, function.__closure__ or (), strict=True)
    options = {name: _cell_value(cell) for name, cell in captured}
    options = {name: options[name] for name in sorted(options) if options[name] is not _EMPTY}
    dtype = inspect.signature(function).parameters.get("dtype")
    is_given = dtype is not None and dtype.default not in (None, inspect.Parameter.empty)
    return options | ({"dtype": dtype.default} if dtype is not None and is_given else {})


def _cell_value(cell: CellType) -> Any:
    """Return the value in a cell of a closure, which is empty for a name that was deleted."""
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _method_owner(value: Any) -> Any:
    """Return the object that a method is bound to; None for anything else."""
    owner = getattr(value, "__self__", None) if hasattr(value, "__name__") else None
    return None if isinstance(owner, ModuleType) else owner
