"""A sweep from a TOML file and command-line options: plain data in, a Sweep out."""

import inspect
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import optax

from jinit.initializers.choice import one_of
from jinit.sweep.engine import Sweep
from jinit.sweep.networks import activation_function, mlp
from jinit.sweep.space import Config, grid
from jinit.sweep.tasks import TASKS, Task

_KEYS = ("task", "batch_size", "model", "optimizer", "seeds", "steps", "record_every", "width")
_TABLES = ("space",)
# Options of the command line that are axes of the space.
_AXES = ("depth", "width", "lr")

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
"""What `jinit sweep` compares when it is told nothing."""


def from_options(file: Path | None, overrides: Mapping[str, Any]) -> tuple[Sweep, str]:
    """The sweep that a file (or the default) and single options describe, and a name for it.

    Raises:
      ValueError: a file that cannot be read, or a wrong key or value in it.
    """
    settings = _read(file) if file else {}
    space = settings.pop("space", DEFAULT_SPACE)
    space = space | {axis: [overrides[axis]] for axis in _AXES if axis in overrides}
    settings |= {key: value for key, value in overrides.items() if key not in _AXES}
    task = _task(settings)
    build = _build(settings, task, file)
    optimizer = _optimizer(settings)
    if "model" not in settings:
        _check_builtin(space, optimizer)
    names = ("seeds", "steps", "record_every")
    options = {"steps": 300} | {name: settings[name] for name in names if name in settings}
    sweep = Sweep(task, build, grid(**space), optimizer=optimizer, **options)
    return sweep, file.stem if file else task.name


def _read(file: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(file.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid TOML: {error}") from error
    for key in settings:
        one_of(f"key in {file}", key, (*_KEYS, *_TABLES))
    if not isinstance(settings.get("space", {}), dict):
        raise ValueError(f"{file}: space must be a table: [space], then init = [...]")
    return settings


def _task(settings: Mapping[str, Any]) -> Task:
    name = one_of("task", settings.get("task", "digits"), TASKS)
    sizes = {"batch_size": settings["batch_size"]} if "batch_size" in settings else {}
    return TASKS[name](**sizes)


def _optimizer(settings: Mapping[str, Any]) -> Callable[..., optax.GradientTransformation]:
    names = ("adam", "adamw", "sgd", "rmsprop", "lion", "adagrad", "nadam", "lamb", "lars")
    return getattr(optax, one_of("optimizer", settings.get("optimizer", "adam"), names))


def _build(settings: Mapping[str, Any], task: Task, file: Path | None) -> Callable[..., Any]:
    if "model" in settings:
        if "width" in settings:
            raise ValueError(
                f"{file}: width is that of the built-in MLP, and model names another network: "
                "put width = [...] into [space], where build finds it in its config"
            )
        return _load(settings["model"], file)
    features = task.train[0][0].size
    return partial(_mlp, features=features, outputs=task.outputs, width=settings.get("width", 64))


def _mlp(config: Config, features: int, outputs: int, width: int) -> Any:
    options: dict[str, Any] = {"width": width} | config
    return mlp(features, outputs, **options)


def _check_builtin(space: Mapping[str, Any], optimizer: Callable[..., Any]) -> None:
    """The built-in network and its optimizer know these axes; others need a model of one's own."""
    known = ("init", "activation", "depth", "width", "lr", "gain", "l1", "l2")
    option = (
        f"axis of the built-in MLP trained by {optimizer.__name__} (give another optimizer, such "
        "as 'adamw' for weight_decay, or model = 'module:function')"
    )
    for axis in space:
        one_of(option, axis, (*known, *inspect.signature(optimizer).parameters))
    for activation in space.get("activation", ()):
        activation_function(activation)


def _load(reference: str, file: Path | None) -> Callable[..., Any]:
    module_name, _, function = str(reference).partition(":")
    if not module_name or not function:
        raise ValueError(
            f"model = {reference!r}: expected 'module:function', such as 'models:build' for the "
            "function build in models.py beside the TOML file"
        )
    folder = str((file.parent if file else Path()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = import_module(module_name)
    except (ImportError, SyntaxError) as error:
        raise ValueError(
            f"model = {reference!r}: cannot import {module_name!r}: {error}"
        ) from error
    if not callable(getattr(module, function, None)):
        raise ValueError(f"model = {reference!r}: {module_name} has no function {function!r}")
    return getattr(module, function)
