"""The task of a sweep from the key `task` of a TOML file."""

import inspect
from collections.abc import Mapping
from typing import Any

from jinit.choice import check_choice
from jinit.sweep.task import Task
from jinit.sweep.tasks import TASKS

_DEFAULT_TASKS = {"transformer": "characters", "lstm": "characters"}
"""Tasks by the network that is trained; `digits` for all others."""


def build_task(settings: Mapping[str, Any]) -> Task:
    """Return the task that the keys `task` and `batch_size` describe.

    Args:
      settings: the keys of the file. `task` is a name, or a table with a name and options, such as
        `{name = "characters", length = 32}`; `network` chooses the task if there is none.

    Raises:
      ValueError: if the name or an option is unknown, or an option has a wrong value.

    >>> build_task({"task": {"name": "teacher_student", "outputs": 3}}).outputs
    3
    """
    network = settings.get("network")
    given = settings.get("task", _DEFAULT_TASKS.get(str(network), "digits"))
    table = dict(given) if isinstance(given, Mapping) else {"name": given}
    if "name" not in table:
        raise ValueError(f"task = {given!r} has no name: write task = {{name = 'digits', ...}}")
    name = check_choice("task", table.pop("name"), TASKS)
    known = tuple(inspect.signature(TASKS[name]).parameters)
    for option in table:
        check_choice(f"option of the task {name!r}", option, known)
    if "batch_size" in settings:
        table["batch_size"] = settings["batch_size"]
    if network == "cnn" and "images" in known:
        table = {"images": True} | table
    return TASKS[name](**table)
