"""The cost of a diagnosis relative to one gradient of the same network on the same batch."""

import measure
import tables
from rich.console import Console
from rich.table import Table
from workers import Worker

NETWORKS = ("GPT-2", "ResNet-50", "ViT-B/16")


def run(quick: bool) -> dict:
    """Each network in a process of its own."""
    networks, rounds = (NETWORKS[:1], 3) if quick else (NETWORKS, 7)
    cases = []
    for network in networks:
        tables.progress(network)
        with Worker("models.diagnosed") as worker:
            device = worker.ask("device")
            cases.append(
                {"network": network, **worker.ask("compare", network=network, rounds=rounds)}
            )
    return {"device": device, "cases": cases}


def show(results: dict, console: Console) -> None:
    """Times and memory, and their ratios."""
    table = Table(title="diagnose (forward, backward, all statistics) beside value_and_grad")
    for column in ("network", "batch"):
        table.add_column(column)
    for column in ("layers", "gradient", "diagnosis", "ratio", "memory", "first"):
        table.add_column(column, justify="right")
    for case in results["cases"]:
        theirs, ours = case["value_and_grad"], case["diagnose"]
        table.add_row(
            *(case["network"], " × ".join(map(str, case["shape"])), str(case["layers"])),
            *(tables.duration(measure.median(each["seconds"])) for each in (theirs, ours)),
            tables.ratio(measure.paired_ratios(ours["seconds"], theirs["seconds"])),
            *(f"{ours[what] / theirs[what]:.2f}" for what in ("bytes", "first")),
        )
    console.print(table)
