"""Time and memory to initialize whole models, each way in a fresh process."""

import importlib.util
import math
from typing import Any

import measure
import tables
from rich.console import Console
from rich.table import Table
from workers import Worker

NETWORKS = ("GPT-2", "ResNet-50", "ViT-B/16")
WAYS = ("init", "fast_init", "flax", "flax jit")


def run(quick: bool) -> dict:
    """Rounds of processes, one per network, framework and way."""
    networks, rounds, repeats = (NETWORKS[:1], 1, 3) if quick else (NETWORKS, 3, 3)
    with Worker("models.start") as worker:
        device = worker.ask("device")
    cases = [_case(network, rounds, repeats) for network in networks]
    return {"device": device, "cases": cases}


def _case(network: str, rounds: int, repeats: int) -> dict:
    found: dict[str, list[dict]] = {}
    layers = _layers(network)
    for number in range(rounds):
        for framework in ("linen", "nnx"):
            for way in WAYS:
                tables.progress(f"{network}, {framework} {way}, round {number + 1}")
                asked = {"network": network, "framework": framework, "way": way}
                with Worker("models.start") as worker:
                    answer = worker.ask("start", repeats=repeats, **asked)
                found.setdefault(f"{framework} {way}", []).append(answer)
        if importlib.util.find_spec("torch"):
            with Worker("models.start_torch") as worker:
                answer = worker.ask("start", layers=layers, repeats=repeats)
            found.setdefault("torch", []).append(answer)
    return {"network": network, "ways": found}


def _layers(network: str) -> list[list[Any]]:
    """Layers of PyTorch's with as many parameters, by the kernels of the Linen model."""
    with Worker("models.shapes") as worker:
        return worker.ask("layers", network=network)


def show(results: dict, console: Console) -> None:
    """A table of times and memory."""
    for case in results["cases"]:
        console.print(_table(case))


def _table(case: dict) -> Table:
    table = Table(title=f"{case['network']}: to start the whole model")
    table.add_column("way")
    for column in ("first", "÷ jinit", "later", "÷ jinit", "MB", "peak ÷ size"):
        table.add_column(column, justify="right")
    for name, answers in case["ways"].items():
        framework = name.split()[0] if " " in name else "linen"
        ours = case["ways"][f"{framework} init"]
        cold, warm = ([_of(each, what) for each in answers] for what in ("cold", "warm"))
        first, later = ([_of(each, what) for each in ours] for what in ("cold", "warm"))
        size = answers[0]["bytes"]
        peak = measure.median([each["growth"] / each["bytes"] for each in answers])
        table.add_row(
            *(name, tables.duration(measure.median(cold))),
            *(tables.ratio(measure.paired_ratios(cold, first)),),
            *(tables.duration(measure.median(warm)),),
            *(tables.ratio(measure.paired_ratios(warm, later)),),
            *(f"{size / 1e6:.1f}", f"{peak:.2f}"),
        )
    return table


def _of(answer: dict, what: str) -> float:
    value = answer[what]
    return measure.median(value) if isinstance(value, list) else value or math.nan
