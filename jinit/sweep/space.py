"""What a sweep varies: named axes and their values."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jinit.initializers import Initializer, from_spec

Config = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """Named axes with their values; a configuration takes one value of each.

    >>> Space((("depth", (2, 4)), ("lr", (0.1,)))).configs()
    ({'depth': 2, 'lr': 0.1}, {'depth': 4, 'lr': 0.1})
    """

    axes: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, in the order given."""
        return tuple(name for name, _ in self.axes)

    def configs(self) -> tuple[Config, ...]:
        """Every configuration, the last axis varying fastest."""
        values = (values for _, values in self.axes)
        return tuple(dict(zip(self.names, row, strict=True)) for row in itertools.product(*values))


def grid(**axes: Iterable[Any]) -> Space:
    """Every combination of the values of the given axes.

    The axis `init` takes initializers, catalogue names or specs. Numbers that the training program
    takes in (`lr`, `gain`, `l1`, `l2`, and any option of the optimizer, such as `weight_decay`)
    become lanes of one program; other axes are handed to `build` and may change the program.

    Raises:
      ValueError: no axis, an axis without values, with the same value twice, or with numbers and
        words (a column of the records holds one kind), or an axis `seed` (seeds are
        replicates, never searched over: they belong in `Sweep(seeds=...)`).

    >>> space = grid(init=["he_normal", "zeros"], lr=[1e-3, 1e-2])
    >>> len(space.configs()), space.configs()[0]
    (4, {'init': he_normal(), 'lr': 0.001})
    """
    if not axes:
        raise ValueError("grid: no axes; give at least one, such as init=['he_normal', 'zeros']")
    return Space(tuple((name, _values(name, values)) for name, values in axes.items()))


def label(value: Any) -> Any:
    """A value of an axis as it stands in a record: numbers and words as they are."""
    if isinstance(value, Initializer):
        return repr(value).removesuffix("()")
    if isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", None) or str(value)


def _values(name: str, values: Any) -> tuple[Any, ...]:
    if name in ("seed", "seeds"):
        raise ValueError(
            "grid: seeds are replicates of every configuration, not an axis to search over; "
            "give Sweep(..., seeds=8) instead"
        )
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"grid: axis {name!r} needs a list of values, got {values!r}: use [...]")
    found = tuple(_start(value) if name == "init" else value for value in values)
    if not found:
        raise ValueError(f"grid: axis {name!r} is empty; give it at least one value")
    labels = [label(value) for value in found]
    if repeated := sorted({str(one) for one in labels if labels.count(one) > 1}):
        raise ValueError(
            f"grid: axis {name!r} has the same value twice: {', '.join(repeated)}; in the records "
            "values are told apart by what they are called, so functions need names of their own"
        )
    if len(kinds := sorted({_kind(one) for one in labels})) > 1:
        raise ValueError(
            f"grid: axis {name!r} mixes {' and '.join(kinds)}, and a column of the records holds "
            f"one kind: {labels}; write them all as words, and let build turn them into values"
        )
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth values"
    return "numbers" if isinstance(value, int | float) else "words"


def _start(value: Any) -> Callable[..., Any]:
    return value if callable(value) else from_spec(value)
