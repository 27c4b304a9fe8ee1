"""The network of a sweep from the key `network` of a TOML file, and the axes that it has."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jinit.choice import check_choice
from jinit.sweep.between import Between
from jinit.sweep.convolutional_network import cnn
from jinit.sweep.feed_forward import Functions
from jinit.sweep.named_optimizer import optimizer_function
from jinit.sweep.networks import mlp
from jinit.sweep.optimizers import KERNEL_AXES, TRAINING_AXES
from jinit.sweep.recurrent_network import lstm
from jinit.sweep.space import Config, Space
from jinit.sweep.supervised import loss_options
from jinit.sweep.task import Task
from jinit.sweep.transformer_network import transformer

NETWORKS: dict[str, Callable[..., Functions]] = {
    "mlp": mlp,
    "cnn": cnn,
    "transformer": transformer,
    "lstm": lstm,
}
"""Networks included in jinit, by name."""

_OF_TOKENS = ("transformer", "lstm")


def choose_network(given: str | None, task: Task) -> str:
    """Return the name of the network to train on a task.

    Args:
      given: the name in the settings; None for the default: `transformer` for sequences of tokens,
        `mlp` for all others.
      task: the task.

    Raises:
      ValueError: if the name is unknown, or the network does not go with the task.

    >>> from jinit.sweep.tasks import mnist1d
    >>> choose_network(None, mnist1d())
    'mlp'
    """
    has_tokens = task.train[0].dtype.kind in "iu"
    fitting = [name for name in NETWORKS if (name in _OF_TOKENS) == has_tokens]
    if given is None:
        return fitting[0]
    if check_choice("network", given, NETWORKS) not in fitting:
        kind = "sequences of tokens" if has_tokens else "vectors of numbers"
        raise ValueError(
            f"network = {given!r} does not go with the task {task.name!r}, whose inputs are "
            f"{kind}: choose network = {' or '.join(map(repr, fitting))}, or another task"
        )
    return given


def network_builder(
    network: str, task: Task, options: Mapping[str, Any]
) -> Callable[[Config], Functions]:
    """Return the function `build(config)` of a sweep of a built-in network.

    Args:
      network: name of the network.
      task: the task, which sets the sizes of inputs and outputs.
      options: options of the network, which an axis of the same name replaces.

    Raises:
      ValueError: if the network does not have one of the options.

    >>> from jinit.sweep.tasks import mnist1d
    >>> build = network_builder("mlp", mnist1d(), {"width": 8})
    >>> len(build({"depth": 1}))
    2
    """
    for name in options:
        check_choice(f"option of network = {network!r}", name, network_options(network))
    return partial(_build, network=network, sizes=_sizes(network, task), options=dict(options))


def network_options(network: str) -> tuple[str, ...]:
    """Return the options of a built-in network, which can be axes of a sweep.

    Args:
      network: name of the network.

    >>> network_options("lstm")
    ('width', 'depth', 'init', 'recurrent_init', 'forget_bias')
    """
    parameters = inspect.signature(NETWORKS[network]).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def check_axis_names(
    network: str, task: Task, axes: Mapping[str, Any], optimizer: Callable[..., Any]
) -> None:
    """Raise if neither the built-in network nor its training has one of the axes.

    Args:
      network: name of the network.
      task: the task.
      axes: the axes of the table `[space]`.
      optimizer: the optimizer, if it is not an axis.

    Raises:
      ValueError: if an axis is unknown; the message names similar ones.
    """
    known = (*network_options(network), "lr", *KERNEL_AXES, *TRAINING_AXES)
    known = (*known, *loss_options(task, tuple(axes)))
    names = axes.get("optimizer", [])
    names = names if isinstance(names, list) else []
    optimizers = [optimizer_function("axis 'optimizer'", name) for name in names] or [optimizer]
    for each in optimizers:
        option = (
            f"axis of the built-in {network} trained by {each.__name__} (give another optimizer, "
            "such as 'adamw' for weight_decay, or model = 'module:function')"
        )
        for axis in axes:
            check_choice(option, axis, (*known, *inspect.signature(each).parameters))


def check_axis_values(
    network: str, build: Callable[[Config], Any], space: Space, axes: Mapping[str, Any]
) -> None:
    """Raise if the network of a configuration cannot be built, or of a bound of a range.

    Args:
      network: name of the network.
      build: from `network_builder`.
      space: the space.
      axes: the axes of the table `[space]`, with their ranges.

    Raises:
      ValueError: if an option has a value that the network cannot have.
    """
    options = network_options(network)
    bounds = [
        {name: bound}
        for name, values in axes.items()
        if isinstance(values, Between)
        for bound in (values.low, values.high)
    ]
    for config in itertools.chain(space.configs(), bounds):
        build({name: value for name, value in config.items() if name in options})


def _sizes(network: str, task: Task) -> tuple[Any, ...]:
    """Return the positional arguments of a network on a task."""
    shape: Iterable[int] = task.train[0].shape[1:]
    if network == "transformer":
        return task.outputs, task.train[0].shape[1]
    if network == "lstm":
        return (task.outputs,)
    if network == "cnn":
        return shape if len(tuple(shape)) > 1 else (*shape, 1), task.outputs
    return task.train[0][0].size, task.outputs


def _build(
    config: Config, network: str, sizes: tuple[Any, ...], options: Mapping[str, Any]
) -> Functions:
    return NETWORKS[network](*sizes, **{**options, **config})
