"""`jinit scale MODULE:FUNCTION`: the effect of the scale of the initial weights on a network."""

from pathlib import Path
from typing import Any

import click

from jinit.cli.output import (
    DONE,
    STANDARD_OUTPUT,
    check_folder,
    print_line,
    show_page,
    write_json,
)

_SHARED = ("loss", "key")
"""Arguments of jinit.diagnose that scale_effect takes as well."""


@click.command("scale")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option(
    "-o",
    "--out",
    default="scale.html",
    show_default=True,
    metavar="FILE",
    help="Page to write, an .html file.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--json", "json_file", metavar="FILE", help="Write plain data; - is standard output.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def show_scale_effect(target: str, out: str, seed: int, json_file: str | None, opens: bool) -> int:
    """Show what the scale of the initial weights does to signal, gradient and loss.

    FUNCTION of MODULE returns what `jinit diagnose` takes, such as (model, params, *batch). All
    kernels are multiplied by 25 factors from 1/8 to 8, and the page has a slider over them.
    """
    import jax

    from jinit.cli.diagnose import read_target
    from jinit.diagnostics import Diagnosis, scale_effect
    from jinit.report.page import check_page_path
    from jinit.sweep.load_function import load_function

    check_page_path(out)
    check_folder("--json", json_file)
    to_errors = json_file == STANDARD_OUTPUT
    request: Any = read_target(load_function("scale", target, Path.cwd())())
    if isinstance(request, Diagnosis):
        raise ValueError(
            "scale needs the network, but the function returned a Diagnosis; return (model, "
            "params, *batch)"
        )
    options: dict[str, Any] = {"key": jax.random.key(seed)}
    options |= {name: request.options[name] for name in _SHARED if name in request.options}
    effect = scale_effect(request.network, *request.arguments, **options)
    for line in str(effect).splitlines():
        print_line(line, to_errors=to_errors)
    if json_file:
        write_json(json_file, effect.to_dict())
    show_page(effect.report(out), opens=opens, to_errors=to_errors)
    return DONE
