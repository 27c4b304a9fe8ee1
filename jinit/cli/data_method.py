"""Apply a method that initializes by data to a network of the user, and write the parameters."""

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from jinit.cli.output import (
    DONE,
    check_folder,
    print_error,
    print_line,
    print_page,
    write_json,
)
from jinit.cli.training import interruption_code, show_progress

_PARAMS_SUFFIX = ".npz"
_PARTIAL_SUFFIX = ".partial"
"""Added to the name of the file of parameters, this names the file of unfinished work."""


def apply_method(
    command: str,
    target: str,
    name: str,
    methods: Collection[str],
    settings: Sequence[str],
    task_name: str | None,
    seed: int,
    out: str,
    plot: str | None,
    json_file: str | None,
) -> int:
    """Apply a method to a network, print the report, and write the parameters.

    Unfinished work is kept beside the file of parameters, and the same command goes on from there.

    Args:
      command: name of the command, for messages.
      target: `module:function`.
      name: name of the method.
      methods: names of the methods that there are.
      settings: options of the method, as `name=value`.
      task_name: name of the task with the data; None if the function returns a batch.
      seed: seed of the parameters and of the method.
      out: file to write the parameters to.
      plot: file to draw the report into, or None.
      json_file: file to write the report to as plain data, or None.

    Returns:
      The exit code.
    """
    import jax

    from jinit.choice import check_choice
    from jinit.report.figure_file import check_figure_path
    from jinit.sweep.load_function import load_function
    from jinit.sweep.method_names import build_method

    if not out.endswith(_PARAMS_SUFFIX):
        raise ValueError(f"--out {out}: expected a name that ends in {_PARAMS_SUFFIX}")
    if plot:
        check_figure_path(plot)
    check_folder("--out", out)
    check_folder("--json", json_file)
    check_choice("method", name, methods)
    method = build_method(name, dict(map(_read_setting, settings)))
    returned = load_function(command, target, Path.cwd())()
    model, params, data = _read_network(command, returned, task_name)
    key = jax.random.key(seed)
    if params is None:
        from jinit.rules import init

        params = init(model, key)
    partial = out + _PARTIAL_SUFFIX
    try:
        with show_progress() as show:
            found, report = method(model, params, data, jax.random.fold_in(key, 1), show, partial)
    except KeyboardInterrupt as interrupt:
        return _explain_interrupt(partial, interruption_code(interrupt))
    _write_params(out, model.by_path(found))
    print_page(report.table())
    if plot:
        report.plot(plot)
        print_line(f"Figure: {plot}")
    if json_file:
        write_json(json_file, report.to_dict())
    print_line(f"Parameters: {out}")
    print_line(f'Use them: jinit.init(model, key, keep=dict(numpy.load("{out}")))')
    return DONE


def _explain_interrupt(partial: str, code: int) -> int:
    if Path(partial).exists():
        print_error(f"interrupted; {partial} has what was done, and the same command goes on")
    else:
        print_error("interrupted before the first step was done")
    return code


def _read_setting(text: str) -> tuple[str, Any]:
    """Return an option of a method; its value is written as in TOML, or is a word."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"--set {text}: expected name=value, such as --set target=2.0")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _read_network(command: str, returned: Any, task_name: str | None) -> tuple[Any, Any, Any]:
    """Return a model, its parameters or None, and the data."""
    from jinit.cli.diagnose import read_target
    from jinit.hooks import as_model, read_network

    if task_name is not None:
        from jinit.sweep.network import call_arguments
        from jinit.sweep.task_settings import build_task

        task = build_task({"task": task_name})
        inputs, targets = task.example_batch(task.examples)[:2]
        arguments = call_arguments(inputs)
        return as_model(returned, *arguments), None, (*arguments, targets)
    request = read_target(returned)
    model, params, batch = read_network(command, request.network, request.arguments)
    if not batch:
        raise ValueError(
            f"{command}: the function returned no data; return (model, params, inputs, targets), "
            "or name a task with --task"
        )
    return model, params, tuple(batch)


def _write_params(file: str, arrays: dict[str, Any]) -> None:
    """Write arrays by path; numbers of half precision are written in single precision."""
    import numpy as np

    plain = {}
    for path, array in arrays.items():
        value = np.asarray(array)
        plain[path] = value if value.dtype.kind in "biufc" else value.astype(np.float32)
    with Path(file).open("wb") as stream:
        np.savez(stream, **plain)
