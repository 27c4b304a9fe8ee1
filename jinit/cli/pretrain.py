"""`jinit pretrain MODULE:FUNCTION`: train the layers of a network one after the other."""

from typing import Any

import click

from jinit.cli.data_method import apply_method


@click.command("pretrain")
@click.argument("target", metavar="MODULE:FUNCTION")
@click.option("--method", default="rbm", show_default=True, help="rbm or autoencoder.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Option of the method."
)
@click.option("--task", "task_name", help="Task whose training data is used, such as digits.")
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option("--out", required=True, metavar="FILE.npz", help="File for the parameters.")
@click.option("--plot", metavar="FILE", help="Draw the report into a .png, .pdf or .svg file.")
@click.option("--json", "json_file", metavar="FILE", help="Write the report as plain data.")
def pretrain_network(target: str, method: str, **options: Any) -> int:
    """Train the layers of your network one after the other without targets, and write the result.

    FUNCTION of MODULE returns (model, params, inputs), as for `jinit diagnose`; with --task it
    returns a network, such as a Flax module, and the task has the data. For build() of models.py in
    this directory, type:

        jinit pretrain models:build --task digits --set epochs=30 --out start.npz

    After an interrupt (Ctrl-C), type the same command again to go on: unfinished work is kept in
    the file of --out with the ending .partial.
    """
    from jinit.sweep.method_names import PRETRAININGS

    return apply_method("pretrain", target, method, PRETRAININGS, **options)
