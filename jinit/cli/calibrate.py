"""`jinit calibrate MODULE:FUNCTION`: initialize a network by a method that looks at data."""

from typing import Any

import click

from jinit.cli.data_method import apply_method

_METHODS = "actnorm, autoinit, class_prior, gradinit, lsuv, metainit, patches or weight_norm."


@click.command("calibrate")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option(
    "--method",
    default="lsuv",
    show_default=True,
    help=_METHODS,
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Option of the method."
)
@click.option("--task", "task_name", help="Task whose training data is used, such as digits.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--out", required=True, metavar="FILE.npz", help="File for the parameters.")
@click.option("--plot", metavar="FILE", help="Draw the report into a .png, .pdf or .svg file.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as plain data.")
def calibrate_network(target: str, method: str, **options: Any) -> int:
    """Initialize your network by a method that looks at data, and write the parameters.

    FUNCTION of MODULE returns (model, params, inputs, targets), as for `jinit diagnose`; with
    --task it returns a network, such as a Flax module, and the task has the data. For build() of
    models.py in this directory, type:

        jinit calibrate models:build --task digits --method lsuv --out start.npz

    After an interrupt (Ctrl-C), type the same command again to go on: unfinished work is kept in
    the file of --out with the ending .partial.
    """
    from jinit.sweep.method_names import CALIBRATIONS

    return apply_method("calibrate", target, method, CALIBRATIONS, **options)
