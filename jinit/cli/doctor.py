"""`jinit doctor`: versions, devices, options and rates of this machine, with advice."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from jinit.cli.output import DONE, check_folder, print_page, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Measure no rates, which takes a few seconds.")
@click.option("--json", "json_file", metavar="FILE", help="Write all of it as plain data.")
def examine_machine(quick: bool, json_file: str | None) -> int:
    """Show versions, devices and options, measure rates, and give advice.

    Paste it into a report of a fault.
    """
    from rich.console import Group

    from jinit.cli.advice import advise
    from jinit.cli.environment import read_environment
    from jinit.cli.machine_rates import measure_rates

    check_folder("--json", json_file)
    found = read_environment()
    if not quick:
        found["rates"] = measure_rates()
    found["advice"] = advise(found)
    print_page(Group(*_page(found)))
    if json_file:
        write_json(json_file, found)
    return DONE


def _page(found: Mapping[str, Any]) -> Iterator["RenderableType"]:
    from rich.table import Table
    from rich.text import Text

    from jinit.report.text import escape_unprintable

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _lines(found):
        grid.add_row(name, Text(escape_unprintable(value)))
    yield grid
    yield Text()
    if not found["advice"]:
        yield Text("✓ nothing to advise", style="green")
    for sentence in found["advice"]:
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row("•", Text(sentence))
        yield row


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    versions = [
        f"{name} {version or 'not installed'}" for name, version in found["versions"].items()
    ]
    yield "versions", ", ".join(versions)
    for device in found["devices"]:
        yield "devices", f"{device['count']} × {device['kind']} ({device['platform']})"
    yield "cores", f"{found['cores']}, processes of JAX: {found['processes']}"
    for name, value in found["options"].items():
        yield name.removeprefix("jax_"), "–" if value is None else str(value)
    yield from found["variables"].items()
    if rates := found.get("rates"):
        ratio = rates["jinit_normal"] / rates["jax_normal"]
        yield "normal", f"{rates['jinit_normal'] / 1e6:.0f} M values/s, {ratio:.1f} × JAX"
        yield (
            "product",
            (
                f"{rates['matmul'] / 1e9:.0f} GFLOP/s in float32, "
                f"{rates['matmul_bfloat16'] / 1e9:.0f} in bfloat16"
            ),
        )
