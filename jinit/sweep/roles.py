"""The roles of the axes in a search that tunes, written to the outline of its directory."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinit.choice import check_choice
from jinit.record import OUTLINE_FILE, START_AXES, default_roles, read_outline_data


class Roles(NamedTuple):
    """The axes that compete, and those whose values are tuned for each competitor."""

    compare: tuple[str, ...]
    tune: tuple[str, ...]


def find_roles(
    axes: Mapping[str, Sequence[Any]],
    training: Collection[str],
    compare: str | Sequence[str] | None,
) -> Roles:
    """Return the roles of the axes of a search.

    They are those of a sweep, but axes of training are tuned even if no other axis varies.

    Args:
      axes: values by axis.
      training: the axes that training takes, such as `lr`.
      compare: an axis or several that compete; None to choose them.

    Raises:
      ValueError: if an axis is not one of the space.

    >>> find_roles({"init": ["zeros"], "lr": [0.1, 1.0]}, ["lr"], None)
    Roles(compare=('init',), tune=('lr',))
    """
    if compare is not None:
        wanted = (compare,) if isinstance(compare, str) else tuple(compare)
        for axis in wanted:
            check_choice("axis in compare", axis, axes)
    else:
        wanted = tuple(default_roles(axes, training)[0])
        varying = [axis for axis in wanted if len(axes[axis]) > 1]
        if all(axis in training and axis not in START_AXES for axis in varying):
            wanted = tuple(axis for axis in wanted if axis in START_AXES)
    return Roles(
        compare=tuple(axis for axis in axes if axis in wanted),
        tune=tuple(axis for axis in axes if axis in training and axis not in wanted),
    )


def write_roles(directory: Path, roles: Roles, changes: Mapping[str, Any] | None = None) -> None:
    """Write the roles of the axes to the outline of a sweep.

    Nothing is written if the sweep did not come as far as its outline.

    Args:
      directory: the directory of the sweep.
      roles: the roles; axes that the sweep lacks are left out.
      changes: other keys of the outline and their new values.
    """
    file = directory / OUTLINE_FILE
    if not file.exists():
        return
    outline = read_outline_data(directory) | dict(changes or {})
    for key, names in roles._asdict().items():
        outline[key] = [name for name in outline["axes"] if name in names]
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(outline, indent=2), "utf-8")
    partial.replace(file)
