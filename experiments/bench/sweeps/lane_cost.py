"""What a lane costs at different numbers of lanes, and how much memory they take."""

from contextlib import ExitStack

import measure
import tables
from rich.table import Table
from workers import Worker

WIDTHS = (16, 64, 256, 1024, 4096)
STEPS = 100
WIDEST = 1.15
"""How much more than the cheapest lane the dearest may cost."""

FILES = {"jinit": ("with_jinit", {}), "vmap": ("with_jax_lanes", {"way": "vmap"})}


def run(quick: bool) -> dict:
    """Every number of lanes in a process of its own, in interleaved rounds."""
    widths = WIDTHS[:3] if quick else WIDTHS
    with ExitStack() as stack:
        workers = {
            (name, lanes): stack.enter_context(Worker(f"trials.{file}"))
            for lanes in widths
            for name, (file, _) in FILES.items()
        }
        for (name, lanes), worker in workers.items():
            tables.progress(f"starting {lanes} lanes of {name}")
            worker.ask("start", **_arguments(name, lanes))
        rounds = [_round(workers, number) for number in range(1 if quick else 2)]
        peaks = {key: worker.peak_resident() for key, worker in workers.items()}
    return {
        "steps": STEPS,
        "widths": widths,
        "rounds": rounds,
        "peak_resident": {f"{name} {lanes}": peak for (name, lanes), peak in peaks.items()},
    }


def _arguments(name: str, lanes: int) -> dict:
    return {"problem": "mlp", "trials": lanes, "steps": STEPS, **FILES[name][1]}


def _round(workers: dict[tuple[str, int], Worker], number: int) -> dict[str, float]:
    tables.progress(f"cost of a lane: round {number + 1}")
    return {
        f"{name} {lanes}": worker.ask("run", **_arguments(name, lanes))["seconds"]
        for (name, lanes), worker in workers.items()
    }


def table(results: dict) -> Table:
    """Cost per lane and step, and peak memory."""
    steps, rounds, peaks = results["steps"], results["rounds"], results["peak_resident"]

    def costs(name: str, lanes: int) -> list[float]:
        return [turn[f"{name} {lanes}"] / (lanes * steps) for turn in rounds]

    medians = {lanes: measure.median(costs("jinit", lanes)) for lanes in results["widths"]}
    spread = max(medians.values()) / min(medians.values())
    found = Table(
        title=f"MLP, {steps} steps: cost per lane; dearest ÷ cheapest {spread:.2f}, "
        f"goal ≤ {WIDEST} {tables.mark(spread <= WIDEST)}"
    )
    for column in ("lanes", "jinit per lane-step", "÷ 64 lanes", "lane-steps/s", "peak RSS"):
        found.add_column(column, justify="right")
    for column in ("vmap per lane-step", "peak RSS", "jinit over vmap"):
        found.add_column(column, justify="right")
    for lanes in results["widths"]:
        ours, hand = costs("jinit", lanes), costs("vmap", lanes)
        found.add_row(
            str(lanes),
            tables.duration(medians[lanes]),
            tables.ratio(measure.paired_ratios(ours, costs("jinit", 64))),
            f"{1 / medians[lanes]:,.0f}",
            tables.size(peaks[f"jinit {lanes}"]),
            tables.duration(measure.median(hand)),
            tables.size(peaks[f"vmap {lanes}"]),
            tables.ratio(measure.paired_ratios(hand, ours)),
        )
    return found
