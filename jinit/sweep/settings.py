"""A sweep built from a TOML file and command-line options."""

import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optax

from jinit.choice import check_choice
from jinit.stored_file import read_stored_bytes
from jinit.sweep.load_function import load_function
from jinit.sweep.named_optimizer import optimizer_function
from jinit.sweep.network_settings import (
    check_axis_names,
    check_axis_values,
    choose_network,
    network_builder,
)
from jinit.sweep.optimizers import RATE_AXES
from jinit.sweep.space import Space
from jinit.sweep.space_settings import SEARCH_KEYS, build_space, read_ranges
from jinit.sweep.sweep import Sweep
from jinit.sweep.task import Task
from jinit.sweep.task_settings import build_task

# Keys that are arguments of `Sweep`.
_SWEEP_KEYS = (
    "seeds",
    "steps",
    "record_every",
    "steps_per_call",
    "lanes",
    "data_seed",
    "bootstrap",
    "metric",
    "patience",
    "measure_start",
    "measure_at",
)
_KEYS = (
    "task",
    "batch_size",
    "model",
    "network",
    "optimizer",
    "width",
    *_SWEEP_KEYS,
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
"""The space of `jinit sweep` by default, for an MLP; other networks have only `init` and `lr`."""


TUNED_SPACE: dict[str, list[Any]] = {
    "init": DEFAULT_SPACE["init"],
    "depth": [8],
    "lr": [3e-4, 1e-3, 3e-3],
    "l2": [0.0, 1e-4],
}
"""The space of `jinit tune` by default, for an MLP; other networks have no `depth`."""

_COMMON_AXES = ("init", "lr", "l2")
"""Axes that every network has."""


class SweepSettings(NamedTuple):
    """The arguments of a sweep, read from a file and options."""

    task: Task
    build: Callable[..., Any]
    space: Space
    options: dict[str, Any]
    """The other arguments of `Sweep`; those that nothing says are left out."""
    name: str
    """A name for the output directory."""


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
    task, build, space, options, name = read_settings(file, overrides, DEFAULT_SPACE)
    return Sweep(task, build, space, **options), name


def sweep_from_toml(file: str | os.PathLike[str]) -> Sweep:
    r"""Return the sweep that a TOML file describes, as `jinit sweep FILE.toml` trains it.

    Args:
      file: the file.

    Raises:
      ValueError: if the file cannot be read, or a key or a value in it is wrong.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "study.toml")
    >>> text = "seeds = 2\n[space]\ninit = ['zeros', 'he_normal']\nlr = [0.01]\ndepth = [1]"
    >>> _ = file.write_text(text)
    >>> sweep_from_toml(file).total_lanes
    4
    """
    return build_sweep(Path(file), {})[0]


def read_settings(
    file: Path | None, overrides: Mapping[str, Any], default_space: Mapping[str, list[Any]]
) -> SweepSettings:
    """Read the sweep that a file (or the default) and options describe.

    Args:
      file: a TOML file; None for the default space.
      overrides: options of the command line, which replace keys of the file.
      default_space: the axes of an MLP without a file.

    Raises:
      ValueError: if the file cannot be read, or a key or a value in it is wrong.
    """
    settings = read_file(file) if file else {}
    return _interpret(file, settings, overrides, default_space)


def build_from_settings(
    file: Path,
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    default_space: Mapping[str, list[Any]],
) -> Sweep:
    """Build the sweep that settings and options describe.

    Args:
      file: the file that has the settings, for messages and for a network in a file beside it.
      settings: the settings, as `read_file` returns them.
      overrides: options of the command line, which replace settings.
      default_space: the axes of an MLP if the settings have none.

    Raises:
      ValueError: if a key or a value is wrong.
    """
    _check_settings(file, settings)
    task, build, space, options, _ = _interpret(file, dict(settings), overrides, default_space)
    return Sweep(task, build, space, **options)


def _interpret(
    file: Path | None,
    settings: dict[str, Any],
    overrides: Mapping[str, Any],
    default_space: Mapping[str, list[Any]],
) -> SweepSettings:
    given_axes = settings.pop("space", None)
    settings |= {key: value for key, value in overrides.items() if key not in _AXIS_OPTIONS}
    task = build_task(settings)
    network = None if "model" in settings else choose_network(settings.get("network"), task)
    axes = _default_axes(network, default_space) if given_axes is None else given_axes
    axes = axes | {axis: [overrides[axis]] for axis in _AXIS_OPTIONS if axis in overrides}
    axes = read_ranges(file, axes)
    optimizer = _find_optimizer(settings)
    if network is None:
        build, space = _load_model(settings, file), _find_space(file, settings, axes)
    else:
        check_axis_names(network, task, axes, optimizer or optax.adam)
        width = {"width": settings["width"]} if "width" in settings else {}
        build = network_builder(network, task, width)
        space = _find_space(file, settings, axes)
        check_axis_values(network, build, space, axes)
    options = {"optimizer": optimizer, **_sweep_options(settings, task, file)}
    return SweepSettings(task, build, space, options, file.stem if file else task.name)


def _default_axes(
    network: str | None, default_space: Mapping[str, list[Any]]
) -> dict[str, list[Any]]:
    if network == "mlp":
        return dict(default_space)
    return {axis: default_space[axis] for axis in _COMMON_AXES if axis in default_space}


def read_file(file: Path) -> dict[str, Any]:
    """Read the settings of a sweep from a TOML file.

    Args:
      file: the file.

    Raises:
      ValueError: if it cannot be read, is not TOML, or has an unknown key.
    """
    try:
        settings = tomllib.loads(read_stored_bytes(file).decode().replace("\r\n", "\n"))
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not valid TOML: {error}") from error
    _check_settings(file, settings)
    return settings


def _check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Raise if settings have an unknown key, or keys that do not go together."""
    for key in settings:
        check_choice(f"key in {file}", key, (*_KEYS, *_TABLES))
    if "model" in settings and (built_in := {"network", "width"} & set(settings)):
        raise ValueError(
            f"{file}: {min(built_in)} is for the networks of jinit, and model names your own: "
            "write options of it under [space], such as width = [64], and build finds them in its "
            "config"
        )
    if not isinstance(settings.get("space", {}), dict):
        raise ValueError(f"{file}: space must be a table: [space], then init = [...]")
    if "model" in settings and "space" not in settings:
        raise ValueError(
            f"{file}: model needs a table [space] with the axes of your network, such as "
            "init = ['he_normal', 'zeros'] and lr = [0.001]"
        )


def _find_space(file: Path | None, settings: Mapping[str, Any], axes: Mapping[str, Any]) -> Space:
    if not set(axes) & set(RATE_AXES):
        raise ValueError(f"{file}: [space] needs a learning rate, such as lr = [0.001]")
    return build_space(file, settings, axes)


def _find_optimizer(
    settings: Mapping[str, Any],
) -> Callable[..., optax.GradientTransformation] | None:
    if "optimizer" not in settings:
        return None
    return optimizer_function("optimizer", settings["optimizer"])


def _load_model(settings: Mapping[str, Any], file: Path | None) -> Callable[..., Any]:
    return load_function("model =", settings["model"], file.parent if file else Path())


def _sweep_options(settings: Mapping[str, Any], task: Task, file: Path | None) -> dict[str, Any]:
    """Return the arguments of `Sweep` that are keys."""
    options = {name: settings[name] for name in _SWEEP_KEYS if name in settings}
    if "metric" in options:
        columns = ["validation_loss", "train_loss"] + ["validation_accuracy"] * bool(task.classes)
        check_choice(f"metric in {file}:", options["metric"], columns)
    return {"steps": 300} | options
