"""How many trials per second: lanes of one compiled program against loops over trials."""

from contextlib import ExitStack
from dataclasses import dataclass, field

import measure
import tables
from rich.console import Console
from rich.table import Table
from trials import flops_per_trial
from workers import Worker

STEPS = 500
LANES = (64, 256)

FILES = {"jax": "trials.with_jax", "torch": "trials.with_torch"}


@dataclass(frozen=True)
class Loop:
    """A rival that trains one trial after the other, so its rate does not depend on how many."""

    label: str
    file: str
    trials: int
    options: dict = field(default_factory=dict)


LOOPS = {
    "jax": Loop("jitted Python loop (JAX)", "jax", 8),
    "jax_tuned": Loop("the same, tuned", "jax", 16, {"tuned": True}),
    "torch": Loop("PyTorch loop", "torch", 4),
    "torch_fused": Loop("PyTorch loop, fused Adam", "torch", 4, {"fused": True}),
}


def run(quick: bool) -> dict:
    """Start every process, then let them take turns in interleaved rounds."""
    with ExitStack() as stack:
        ours = {lanes: stack.enter_context(Worker("trials.with_jinit")) for lanes in LANES}
        rivals = {name: stack.enter_context(Worker(file)) for name, file in FILES.items()}
        tables.progress("starting and compiling")
        started = {name: worker.ask("start") for name, worker in rivals.items()}
        for lanes, worker in ours.items():
            started[f"jinit_{lanes}"] = worker.ask("start", trials=lanes, steps=STEPS)
        rounds = [_round(ours, rivals, number) for number in range(2 if quick else 7)]
    device = started[f"jinit_{LANES[0]}"]["device"]
    return {"device": device, "steps": STEPS, "started": started, "rounds": rounds}


def _round(ours: dict[int, Worker], rivals: dict[str, Worker], number: int) -> dict:
    """Run every rival once, with the matmul probe before, between and after jinit's runs."""
    tables.progress(f"round {number + 1}")
    matmul, sweeps = [], {}
    for lanes, worker in ours.items():
        matmul.append(worker.ask("matmul_rate"))
        sweeps[lanes] = worker.ask("run", trials=lanes, steps=STEPS)
    matmul.append(worker.ask("matmul_rate"))
    loops = {
        name: rivals[loop.file].ask("run", trials=loop.trials, steps=STEPS, **loop.options)
        for name, loop in LOOPS.items()
    }
    return {"matmul": matmul, "jinit": sweeps, "loops": loops}


def _sweep_rates(results: dict, lanes: int) -> list[float]:
    """Trials per second of jinit, round by round."""
    return [lanes / turn["jinit"][lanes]["seconds"] for turn in results["rounds"]]


def _loop_rates(results: dict, name: str) -> list[float]:
    """Trials per second of a rival, round by round."""
    return [LOOPS[name].trials / turn["loops"][name]["seconds"] for turn in results["rounds"]]


def _matmul_rates(results: dict) -> list[float]:
    """FLOP/s of the matmul probe, the median of each round."""
    return [measure.median(turn["matmul"]) for turn in results["rounds"]]


def show(results: dict, console: Console) -> None:
    """The rates, then how they compare."""
    console.print(
        f"One trial: digits MLP 64-64-64-64-10, batch 64, {results['steps']} Adam steps.\n"
        "trials/s: without compiling (jinit: drawing, training, scoring; the loops likewise)."
        " Whole run: jinit's `Sweep.run` with tracing,\ncompiling and files. Ratios are medians"
        " of ratios formed within a round, with the middle half of the rounds in brackets.\n"
    )
    console.print(_rates(results))
    console.print(_ratios(results))
    threads = results["started"]["torch"]["seconds_by_threads"]
    console.print(
        "PyTorch, seconds of a short trial by number of threads: "
        + ", ".join(f"{count}: {seconds:.2f}" for count, seconds in threads.items()),
        highlight=False,
    )
    for lanes in LANES:
        first = results["started"][f"jinit_{lanes}"]["first_run"]
        console.print(
            f"jinit, {lanes} lanes, first run of its process:"
            f" {tables.duration(first['whole_seconds'])} in all",
            highlight=False,
        )


def _rates(results: dict) -> Table:
    """A table of absolute figures."""
    flops = flops_per_trial(results["steps"])
    table = Table(title="Rates, median over rounds")
    table.add_column("what")
    for column in ("trials/s", "GFLOP/s", "of matmul", "whole run", "compiling", "accuracy"):
        table.add_column(column, justify="right")
    matmul = _matmul_rates(results)
    for lanes in LANES:
        rates = _sweep_rates(results, lanes)
        share = measure.paired_ratios([rate * flops for rate in rates], matmul)
        runs = [turn["jinit"][lanes] for turn in results["rounds"]]
        whole = measure.median([run["whole_seconds"] for run in runs])
        table.add_row(
            f"jinit, {lanes} lanes",
            *_rate_cells(rates, flops),
            tables.ratio(share),
            f"{tables.duration(whole)} = {lanes / whole:.1f} trials/s",
            tables.duration(measure.median([run["compile_seconds"] for run in runs])),
            f"{runs[0]['accuracy']:.3f}",
        )
    for name, loop in LOOPS.items():
        rates = _loop_rates(results, name)
        accuracy = results["rounds"][0]["loops"][name]["accuracy"]
        table.add_row(loop.label, *_rate_cells(rates, flops), "", "", "", f"{accuracy:.3f}")
    table.add_row("matmul 2048²", "", f"{measure.median(matmul) / 1e9:.1f}")
    return table


def _rate_cells(rates: list[float], flops: int) -> tuple[str, str]:
    """Trials per second and GFLOP/s."""
    rate = measure.median(rates)
    return f"{rate:.2f}", f"{rate * flops / 1e9:.1f}"


def _ratios(results: dict) -> Table:
    """jinit over each rival, and wide over narrow."""
    table = Table(title="Ratios of trials per second")
    table.add_column("jinit over")
    for lanes in LANES:
        table.add_column(f"{lanes} lanes", justify="right")
    rates = {lanes: _sweep_rates(results, lanes) for lanes in LANES}
    for name, loop in LOOPS.items():
        rival = _loop_rates(results, name)
        cells = [tables.ratio(measure.paired_ratios(rates[lanes], rival)) for lanes in LANES]
        table.add_row(loop.label, *cells)
    narrow, wide = LANES
    per_lane = tables.ratio(measure.paired_ratios(rates[wide], rates[narrow]))
    table.add_row(f"jinit, {narrow} lanes", "", per_lane)
    return table
