"""`jinit diagnose MODULE:FUNCTION`: measure a network of the user and name its faults."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from jinit.cli.output import (
    DONE,
    FAULTS_FOUND,
    STANDARD_OUTPUT,
    check_folder,
    print_line,
    print_page,
    write_json,
)

_RETURNS = (
    "(model, params, *batch), a dictionary of the arguments of jinit.diagnose, a model, or a "
    "Diagnosis"
)


@click.command("diagnose")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--seeds", type=click.IntRange(min=2), help="Number of initializations to measure.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--plot", metavar="FILE", help="Draw the diagnosis into a .png, .pdf or .svg file.")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def diagnose_network(
    target: str, seeds: int | None, seed: int, plot: str | None, json_file: str | None
) -> int:
    """Report whether your network will train and, if not, where it fails, why, and the cure.

    FUNCTION of MODULE returns (model, params, *batch), a dictionary of the arguments of
    jinit.diagnose, or a model alone. For start() of train.py in this directory, type:

        jinit diagnose train:start

    The network runs once forward and once backward, and every layer is compared with theory.
    Exits with code 1 if a fault is found.
    """
    from jinit.cli.progress import ProgressLine
    from jinit.report.figure_file import check_figure_path
    from jinit.sweep.load_function import load_function

    if plot:
        check_figure_path(plot)
    check_folder("--json", json_file)
    to_errors = json_file == STANDARD_OUTPUT
    with ProgressLine() as progress:
        progress.show("building the network")
        returned = load_function("diagnose", target, Path.cwd())()
        found = _diagnose(_read_target(returned), seed, seeds, progress.show)
    print_page(found.table(), to_errors=to_errors)
    if plot:
        found.plot(plot)
        print_line(f"Figure: {plot}", to_errors=to_errors)
    if json_file:
        write_json(json_file, found.to_dict())
        if not to_errors:
            print_line(f"Data: {json_file}")
    return DONE if found.healthy else FAULTS_FOUND


@dataclass(frozen=True)
class _Request:
    """The value that a user's function returned, as arguments of `jinit.diagnose`."""

    model: Any
    params: Any = None
    batch: Sequence[Any] = ()
    options: dict[str, Any] = field(default_factory=dict)


def _read_target(returned: Any) -> Any:
    """Return a request, or the Diagnosis that the user's function returned."""
    from jinit.diagnostics import Diagnosis
    from jinit.model import Model

    if isinstance(returned, Diagnosis):
        return returned
    if isinstance(returned, Model):
        return _Request(returned)
    if isinstance(returned, dict):
        options = dict(returned)
        model, params = options.pop("model", None), options.pop("params", None)
        return _Request(model, params, options.pop("batch", ()), options)
    if isinstance(returned, tuple) and len(returned) > 1:
        model, params, *batch = returned
        return _Request(model, params, batch)
    raise TypeError(
        f"the function must return {_RETURNS}, but it returned {type(returned).__name__}"
    )


def _diagnose(request: Any, seed: int, seeds: int | None, show: Any) -> Any:
    import jax

    from jinit.diagnostics import diagnose
    from jinit.rules import init

    if not isinstance(request, _Request):
        if seeds is not None:
            raise ValueError("--seeds needs the model, but the function returned a Diagnosis")
        return request
    key, params = jax.random.key(seed), request.params
    if seeds is not None and not (params is None or callable(params)):
        raise ValueError(
            "--seeds measures many initializations, but the function returned the parameters of "
            "one; give a function key -> params in their place, or the model alone"
        )
    if params is None and seeds is None:
        show("drawing parameters")
        params = init(request.model, key)
    options = {"key": key, "seeds": seeds, "progress": show} | request.options
    return diagnose(request.model, params, *request.batch, **options)
