"""A sweep built from a TOML file and command-line options."""

import inspect
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optax

from jinit.choice import check_choice
from jinit.sweep.between import Between
from jinit.sweep.counts import check_count
from jinit.sweep.layers import activation_function
from jinit.sweep.load_function import load_function
from jinit.sweep.named_optimizer import optimizer_function
from jinit.sweep.networks import mlp
from jinit.sweep.optimizers import KERNEL_AXES, RATE_AXES, TRAINING_AXES
from jinit.sweep.space import Config
from jinit.sweep.space_settings import SEARCH_KEYS, build_space, read_ranges
from jinit.sweep.sweep import Sweep
from jinit.sweep.task import Task
from jinit.sweep.tasks import TASKS

_KEYS = (
    "task",
    "batch_size",
    "model",
    "optimizer",
    "seeds",
    "steps",
    "record_every",
    "width",
    *SEARCH_KEYS,
)
_TABLES = ("space",)
# Options of the command line that are axes of the space.
_AXIS_OPTIONS = ("depth", "width", "lr")

DEFAULT_SPACE: dict[str, list[Any]] = {
    "init": [
        "zeros",
        {"name": "constant", "value": 1e-4},
        {"name": "normal", "stddev": 0.01},
        {"name": "normal", "stddev": 1.0},
        {"name": "random_uniform", "minval": 0.0, "maxval": 1.0},
        "xavier_uniform",
        "xavier_normal",
        "he_uniform",
        "he_normal",
        "lecun_normal",
        "orthogonal",
        "sigmoid_normal",
    ],
    "activation": ["relu", "tanh", "sigmoid"],
    "depth": [8],
    "lr": [1e-3],
}
"""The space of `jinit sweep` by default."""


def build_sweep(file: Path | None, overrides: Mapping[str, Any]) -> tuple[Sweep, str]:
    """Build the sweep that a file (or the default) and options describe.

    Args:
      file: a TOML file; None for the default sweep.
      overrides: options of the command line, which replace keys of the file.

    Returns:
      The sweep and a name for its output directory.

    Raises:
      ValueError: if the file cannot be read, or a key or a value in it is wrong.
    """
    settings = _read_file(file) if file else {}
    space = settings.pop("space", DEFAULT_SPACE)
    space = space | {axis: [overrides[axis]] for axis in _AXIS_OPTIONS if axis in overrides}
    space = read_ranges(file, space)
    settings |= {key: value for key, value in overrides.items() if key not in _AXIS_OPTIONS}
    task = _build_task(settings)
    build = _find_build(settings, task, file)
    optimizer = _find_optimizer(settings)
    if "model" not in settings:
        _check_axes(space, optimizer or optax.adam)
    if not set(space) & set(RATE_AXES):
        raise ValueError(f"{file}: [space] needs a learning rate, such as lr = [0.001]")
    names = ("seeds", "steps", "record_every")
    given = {name: settings[name] for name in names if name in settings}
    options: dict[str, Any] = {"steps": 300} | given
    found = build_space(file, settings, space)
    sweep = Sweep(task, build, found, optimizer=optimizer, **options)
    return sweep, file.stem if file else task.name


def _read_file(file: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(file.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not valid TOML: {error}") from error
    for key in settings:
        check_choice(f"key in {file}", key, (*_KEYS, *_TABLES))
    if not isinstance(settings.get("space", {}), dict):
        raise ValueError(f"{file}: space must be a table: [space], then init = [...]")
    if "model" in settings and "space" not in settings:
        raise ValueError(
            f"{file}: model needs a table [space] with the axes of your network, such as "
            "init = ['he_normal', 'zeros'] and lr = [0.001]"
        )
    return settings


def _build_task(settings: Mapping[str, Any]) -> Task:
    name = check_choice("task", settings.get("task", "digits"), TASKS)
    sizes = {"batch_size": settings["batch_size"]} if "batch_size" in settings else {}
    return TASKS[name](**sizes)


def _find_optimizer(
    settings: Mapping[str, Any],
) -> Callable[..., optax.GradientTransformation] | None:
    if "optimizer" not in settings:
        return None
    return optimizer_function("optimizer", settings["optimizer"])


def _find_build(settings: Mapping[str, Any], task: Task, file: Path | None) -> Callable[..., Any]:
    if "model" in settings:
        if "width" in settings:
            raise ValueError(
                f"{file}: width is an option of the built-in MLP, and model names another network: "
                "write width = [...] under [space], and build finds it in its config"
            )
        return load_function("model =", settings["model"], file.parent if file else Path())
    features = task.train[0][0].size
    return partial(
        _build_mlp, features=features, outputs=task.outputs, width=settings.get("width", 64)
    )


def _build_mlp(config: Config, features: int, outputs: int, width: int) -> Any:
    options: dict[str, Any] = {"width": width} | config
    return mlp(features, outputs, **options)


def _check_axes(space: Mapping[str, Any], optimizer: Callable[..., Any]) -> None:
    """Raise if the built-in network and its optimizer do not have an axis, or a value is wrong."""
    known = ("init", "activation", "depth", "width", "lr", *KERNEL_AXES, *TRAINING_AXES)
    names = _values(space, "optimizer")
    optimizers = [optimizer_function("axis 'optimizer'", name) for name in names] or [optimizer]
    for each in optimizers:
        option = (
            f"axis of the built-in MLP trained by {each.__name__} (give another optimizer, such "
            "as 'adamw' for weight_decay, or model = 'module:function')"
        )
        for axis in space:
            check_choice(option, axis, (*known, *inspect.signature(each).parameters))
    for activation in _values(space, "activation"):
        activation_function(activation)
    for axis in ("depth", "width"):
        for value in _values(space, axis):
            check_count(axis, value)


def _values(space: Mapping[str, Any], axis: str) -> list[Any]:
    """Return the values of an axis, or the bounds of its range.

    There are none if it is neither, which `grid` reports.
    """
    values = space.get(axis, [])
    if isinstance(values, Between):
        return [values.low, values.high]
    return values if isinstance(values, list) else []
