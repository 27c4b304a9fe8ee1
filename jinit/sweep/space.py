"""The axes that a sweep varies, and the configurations of their values."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinit.sweep.axis_checks import check_axis, read_axis
from jinit.sweep.axis_values import record_value, value_identity

Config = dict[str, Any]
"""The value of every axis that a configuration has."""

_Row = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """Configurations of named axes, in the order in which they are trained.

    `first * second` has every configuration of `first` with every one of `second`. `first + second`
    has the configurations of both; an axis of only one of them is left out of the configurations of
    the other, which do without it.

    Args:
      rows: the configurations, each of them pairs of a name and a value.

    Raises:
      ValueError: if there is no configuration, two are equal, or the values of an axis cannot be
        told apart in the records.

    >>> both = grid(optimizer=["sgd"], momentum=[0.0, 0.9]) + grid(optimizer=["adam"], b1=[0.8])
    >>> [sorted(config) for config in both.configs()]
    [['momentum', 'optimizer'], ['momentum', 'optimizer'], ['b1', 'optimizer']]
    >>> len((both * grid(lr=[0.1, 0.2])).configs()), both.names
    (6, ('optimizer', 'momentum', 'b1'))
    """

    rows: tuple[_Row, ...]

    def __post_init__(self) -> None:
        if not self.rows or not all(self.rows):
            raise ValueError("space: expected configurations with at least one axis, got none")
        for name, values in self.axes:
            check_axis("space", name, values)
        seen: set[frozenset] = set()
        for row, identity in zip(self.rows, self._identities, strict=True):
            if identity in seen:
                raise ValueError(
                    f"the space has the configuration {_row_text(row)} twice: leave it out once"
                )
            seen.add(identity)

    @cached_property
    def axes(self) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        """Pairs of an axis and its distinct values, in the order in which they appear."""
        found: dict[str, dict[Any, Any]] = {}
        for name, value in itertools.chain.from_iterable(self.rows):
            found.setdefault(name, {}).setdefault(value_identity(value), value)
        return tuple((name, tuple(values.values())) for name, values in found.items())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, in the order in which they appear."""
        return tuple(name for name, _ in self.axes)

    @property
    def is_grid(self) -> bool:
        """Whether the configurations are all combinations of the values of all axes."""
        is_complete = all(len(row) == len(self.axes) for row in self.rows)
        return is_complete and len(self.rows) == math.prod(len(values) for _, values in self.axes)

    def configs(self) -> tuple[Config, ...]:
        """Return every configuration; it lacks the axes that do not apply to it."""
        return tuple(map(dict, self.rows))

    def __len__(self) -> int:
        """Return the number of configurations."""
        return len(self.rows)

    def __mul__(self, other: "Space") -> "Space":
        if not isinstance(other, Space):
            return NotImplemented
        if shared := [name for name in self.names if name in other.names]:
            raise ValueError(
                f"product of two spaces: axis {shared[0]!r} is in both, and a configuration has "
                "one value of it: leave it out of one of them"
            )
        return Space(tuple(first + second for first in self.rows for second in other.rows))

    def __add__(self, other: "Space") -> "Space":
        return Space(self.rows + other.rows) if isinstance(other, Space) else NotImplemented

    @cached_property
    def _identities(self) -> tuple[frozenset, ...]:
        return tuple(
            frozenset((name, value_identity(value)) for name, value in row) for row in self.rows
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._identities == other._identities

    def __hash__(self) -> int:
        return hash(self._identities)

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows}  # identities of classes and functions differ between processes

    def __repr__(self) -> str:
        return f"<Space: {len(self.rows)} configurations of {', '.join(self.names)}>"


def grid(**axes: Iterable[Any]) -> Space:
    """Return the space of all combinations of the values of the given axes.

    The last axis varies fastest. The axis `init` takes initializers, names of the catalog or specs.
    The values of `lr`, `gain`, `l1`, `l2` and of options of the optimizer, such as `weight_decay`,
    are traced numbers: they become lanes of one program. The axis `optimizer` takes functions of
    optax or their names; `batch_size` and options that cannot be traced, such as `nesterov`, belong
    to training as well, and each of their values compiles another program. All other axes are
    passed to `build`, and may change the program too.

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
    columns = {name: read_axis("grid", name, values) for name, values in axes.items()}
    for name, values in columns.items():
        check_axis("grid", name, values)
    return Space(_rows(columns, itertools.product(*columns.values())))


def zipped(**axes: Iterable[Any]) -> Space:
    """Return the space whose axes advance together: the k-th values of all axes are one trial.

    Args:
      **axes: the values of every axis, equally many; a value may be repeated.

    Returns:
      The space.

    Raises:
      ValueError: if there is no axis, an axis is empty, their lengths differ, or two configurations
        are equal.

    >>> space = zipped(width=[64, 128, 256], lr=[0.3, 0.2, 0.1])
    >>> [config["lr"] for config in space.configs()], space.is_grid
    ([0.3, 0.2, 0.1], False)
    """
    if not axes:
        raise ValueError("zipped: no axes; give at least two, such as width=[8, 16], lr=[0.2, 0.1]")
    columns = {name: read_axis("zipped", name, values) for name, values in axes.items()}
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(values)}" for name, values in columns.items())
        raise ValueError(
            f"zipped: axes advance together and need equally many values, but {lengths}; for all "
            "combinations use jinit.grid(...)"
        )
    return Space(_rows(columns, zip(*columns.values(), strict=True)))


def _rows(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> tuple[_Row, ...]:
    return tuple(tuple(zip(names, row, strict=True)) for row in rows)


def _row_text(row: _Row) -> str:
    return ", ".join(f"{name}={record_value(value)}" for name, value in row)
