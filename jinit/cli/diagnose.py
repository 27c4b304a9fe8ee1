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
    show_page,
    write_json,
)

_RETURNS = (
    "(model, params, *batch), (train_state, *batch), (nnx_module, *batch), a dictionary of the "
    "arguments of jinit.diagnose, a model, or a Diagnosis"
)


@click.command("diagnose")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--seeds", type=click.IntRange(min=2), help="Number of initializations to measure.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option(
    "--lr",
    type=click.FloatRange(min=0),
    help="Learning rate; judges the optimizer's first update as well.",
)
@click.option("--optimizer", help="Optimizer of optax, with --lr.  [default: adam]")
@click.option("--report", metavar="FILE", help="Write a page into an .html file, with --jacobian.")
@click.option("--open", "opens", is_flag=True, help="Open the page of --report in the browser.")
@click.option("--jacobian", is_flag=True, help="Measure the Jacobian's singular values as well.")
@click.option("--plot", metavar="FILE", help="Draw the diagnosis into a .png, .pdf or .svg file.")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
def diagnose_network(
    target: str,
    plot: str | None,
    json_file: str | None,
    lr: float | None,
    optimizer: str | None,
    report: str | None,
    opens: bool,
    jacobian: bool,
    **options: Any,
) -> int:
    """Report whether your network will train and, if not, where it fails, why, and the cure.

    FUNCTION of MODULE returns (model, params, *batch), where the model may be a Flax module, or a
    TrainState and a batch, or a dictionary of the arguments of jinit.diagnose, or a model alone.
    For start() of train.py in this directory, type:

        jinit diagnose train:start

    The network runs once forward and once backward, and every layer is compared with theory.
    With --lr the optimizer's first update is judged as well: is it the initialization or the
    learning rate? Exits with code 1 if a fault is found.
    """
    from jinit.cli.progress import ProgressLine
    from jinit.report.figure_file import check_figure_path
    from jinit.report.page import check_page_path
    from jinit.sweep.load_function import load_function

    if plot:
        check_figure_path(plot)
    if report:
        check_page_path(report)
    elif opens:
        raise ValueError("--open needs a page to open, such as --report diagnosis.html")
    check_folder("--json", json_file)
    to_errors = json_file == STANDARD_OUTPUT
    built = _build_optimizer(lr, optimizer)
    with ProgressLine() as progress:
        progress.show("building the network")
        returned = load_function("diagnose", target, Path.cwd())()
        request = read_target(returned)
        options |= {"optimizer": built, "jacobian": jacobian or report is not None}
        found = _diagnose(request, progress.show, **options)
    print_page(found.table(), to_errors=to_errors)
    if plot:
        found.plot(plot)
        print_line(f"Figure: {plot}", to_errors=to_errors)
    if report:
        show_page(found.report(report), opens=opens, to_errors=to_errors)
    if json_file:
        write_json(json_file, found.to_dict())
        if not to_errors:
            print_line(f"Data: {json_file}")
    is_rate_wrong = found.learning_rate is not None and found.learning_rate.is_wrong
    return FAULTS_FOUND if is_rate_wrong or not found.healthy else DONE


def _build_optimizer(lr: float | None, name: str | None) -> Any:
    """Return the optimizer of optax with this name and learning rate; None without either."""
    if lr is None:
        if name is not None:
            raise ValueError(f"--optimizer {name} needs a learning rate, such as --lr 0.001")
        return None
    from jinit.sweep.named_optimizer import optimizer_function

    return optimizer_function("--optimizer", name or "adam")(lr)


@dataclass(frozen=True)
class _Request:
    """The value that a user's function returned, as arguments of `jinit.diagnose`."""

    network: Any
    arguments: Sequence[Any] = ()
    """Parameters, inputs and targets."""
    options: dict[str, Any] = field(default_factory=dict)


def read_target(returned: Any) -> Any:
    """Return a request, or the Diagnosis that the user's function returned."""
    from jinit.diagnostics import Diagnosis
    from jinit.model import Model

    if isinstance(returned, Diagnosis):
        return returned
    if isinstance(returned, Model):
        return _Request(returned)
    if isinstance(returned, dict):
        options = dict(returned)
        network, params = options.pop("model", None), options.pop("params", None)
        return _Request(network, (params, *options.pop("batch", ())), options)
    if type(returned) is tuple and len(returned) > 1:
        return _Request(returned[0], returned[1:])
    raise TypeError(
        f"the function must return {_RETURNS}, but it returned {type(returned).__name__}"
    )


def _diagnose(
    request: Any, show: Any, *, seed: int, seeds: int | None, optimizer: Any, **options: Any
) -> Any:
    import jax

    from jinit.diagnostics import diagnose
    from jinit.hooks import read_network
    from jinit.rules import init

    if not isinstance(request, _Request):
        if seeds is not None or optimizer is not None:
            option = "--lr" if seeds is None else "--seeds"
            raise ValueError(f"{option} needs the model, but the function returned a Diagnosis")
        return request
    if optimizer is not None and "optimizer" in request.options:
        raise ValueError(
            "--lr builds an optimizer, but the function returned one as well; leave one of them out"
        )
    model, params, batch = read_network("diagnose", request.network, request.arguments)
    key = jax.random.key(seed)
    if seeds is not None and not (params is None or callable(params)):
        raise ValueError(
            "--seeds measures many initializations, but the function returned the parameters of "
            "one; give a function key -> params in their place, or the model alone"
        )
    if params is None and seeds is None:
        show("drawing parameters")
        params = init(model, key)
    options |= {"key": key, "seeds": seeds, "progress": show, "optimizer": optimizer}
    return diagnose(model, params, *batch, **options | request.options)
