"""The axes that a sweep varies, and their values."""

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinit.initializers import Initializer, from_spec
from jinit.sweep.named_optimizer import optimizer_function

Config = dict[str, Any]
"""One value for every axis."""


@dataclass(frozen=True)
class Space:
    """Named axes with their values; a configuration has one value of each.

    Args:
      axes: pairs of a name and its values.

    >>> Space((("depth", (2, 4)), ("lr", (0.1,)))).configs()
    ({'depth': 2, 'lr': 0.1}, {'depth': 4, 'lr': 0.1})
    """

    axes: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, in the order given."""
        return tuple(name for name, _ in self.axes)

    def configs(self) -> tuple[Config, ...]:
        """Return every configuration; the last axis varies fastest."""
        values = (values for _, values in self.axes)
        return tuple(dict(zip(self.names, row, strict=True)) for row in itertools.product(*values))


def grid(**axes: Iterable[Any]) -> Space:
    """Return the space of all combinations of the values of the given axes.

    The axis `init` takes initializers, names of the catalog or specs. The values of `lr`, `gain`,
    `l1`, `l2` and of options of the optimizer, such as `weight_decay`, are traced numbers: they
    become lanes of one program. The axis `optimizer` takes functions of optax or their names;
    `batch_size` and options that cannot be traced, such as `nesterov`, belong to training as well,
    and each of their values compiles another program. All other axes are passed to `build`, and
    may change the program too.

    Args:
      **axes: the values of every axis.

    Returns:
      The space.

    Raises:
      ValueError: if there is no axis, an axis has no values, the same value twice or both numbers
        and words (a column of the records has one type), or an axis is called `seed`. Seeds are
        replicates and belong in `Sweep(seeds=...)`.

    >>> space = grid(init=["he_normal", "zeros"], lr=[1e-3, 1e-2])
    >>> len(space.configs()), space.configs()[0]
    (4, {'init': he_normal(), 'lr': 0.001})
    """
    if not axes:
        raise ValueError("grid: no axes; give at least one, such as init=['he_normal', 'zeros']")
    return Space(tuple((name, _check_values(name, values)) for name, values in axes.items()))


def record_value(value: Any) -> Any:
    """Return the value of an axis as written to a record: numbers and words unchanged.

    A function is recorded by its name, a partial function with its arguments, and an initializer
    of `jax.nn.initializers` with its options, because all of them have the same name.

    >>> from functools import partial
    >>> record_value(partial(round, ndigits=2)), record_value(0.1)
    ('round(ndigits=2)', 0.1)
    """
    if isinstance(value, Initializer):
        return repr(value).removesuffix("()")
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, partial):
        options = [str(record_value(each)) for each in value.args]
        options += [f"{name}={record_value(each)}" for name, each in value.keywords.items()]
        return f"{record_value(value.func)}({', '.join(options)})"
    if _is_jax_closure(value):
        return _closure_text(value)
    return getattr(value, "__name__", None) or str(value)


def _is_jax_closure(value: Any) -> bool:
    is_local = "<locals>" in getattr(value, "__qualname__", "")
    return is_local and str(getattr(value, "__module__", "")).startswith("jax.")


def _closure_text(function: Callable[..., Any]) -> str:
    """Return the name of the function that built a closure, with the options it was given."""
    name = function.__qualname__.partition(".<locals>")[0]
    options = {
        option: value
        for option, value in inspect.getclosurevars(function).nonlocals.items()
        if isinstance(value, int | float | str | tuple)
    }
    pairs = ", ".join(f"{option}={value}" for option, value in sorted(options.items()))
    return f"{name}({pairs})" if pairs else name


def _check_values(name: str, values: Any) -> tuple[Any, ...]:
    if name in ("seed", "seeds"):
        raise ValueError(
            "grid: seeds are replicates of every configuration, not an axis to search over; "
            "give Sweep(..., seeds=8) instead"
        )
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"grid: axis {name!r} needs a list of values, got {values!r}: use [...]")
    read = {"init": _read_initializer, "optimizer": _read_optimizer}.get(name, lambda value: value)
    checked = tuple(map(read, values))
    if not checked:
        raise ValueError(f"grid: axis {name!r} is empty; give it at least one value")
    recorded = [record_value(value) for value in checked]
    for value in recorded:
        if isinstance(value, str) and re.search(r" at 0x[0-9a-f]+", value):
            raise ValueError(
                f"grid: axis {name!r} has a value without a name: {value}; its address in memory "
                "would be recorded. Give a function, a functools.partial, or a word for build"
            )
    if repeated := sorted({str(value) for value in recorded if recorded.count(value) > 1}):
        raise ValueError(
            f"grid: axis {name!r} has the same value twice: {', '.join(repeated)}; records "
            "distinguish values by their names, so functions need different names"
        )
    if len(kinds := sorted({_value_kind(value) for value in recorded})) > 1:
        raise ValueError(
            f"grid: axis {name!r} mixes {' and '.join(kinds)}, and a column of the records has "
            f"one type: {recorded}; write them all as words, and let build convert them"
        )
    return checked


def _value_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth values"
    return "numbers" if isinstance(value, int | float) else "words"


def _read_optimizer(value: Any) -> Any:
    return optimizer_function("axis 'optimizer'", value) if isinstance(value, str) else value


def _read_initializer(value: Any) -> Callable[..., Any]:
    return value if callable(value) else from_spec(value)
