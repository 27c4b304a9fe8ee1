"""How many trials per second: lanes of one compiled program against loops, vmaps and searches."""

import measure
import tables
from rich.console import Console
from sweeps import cold_start, contenders, lane_cost, rounds
from sweeps.comparison import Comparison
from trials import PROBLEMS

MATMUL_GOAL = 0.5
QUICK_SHARE = 5
"""By how much fewer steps a trial has in a quick bench."""


def _contenders(quick: bool) -> dict[str, dict[str, contenders.Contender]]:
    """The contenders of every problem."""
    return {
        "mlp": contenders.of_mlp(quick),
        "transformer": contenders.of_network(loop_goal=2.5, hand_goal=0.95),
        "cnn": contenders.of_network(loop_goal=1.0, hand_goal=None, hand_every=3),
    }


def run(quick: bool) -> dict:
    """Measure every part, one after the other."""
    problems = {}
    for problem, field in _contenders(quick).items():
        steps = PROBLEMS[problem].steps // (QUICK_SHARE if quick else 1)
        turns = 2 if quick else 4 if problem == "mlp" else 3
        problems[problem] = rounds.run(problem, field, turns, steps)
        tables.progress(tables.load_line())
    return {
        "device": problems["mlp"]["device"],
        "problems": problems,
        "lane_cost": lane_cost.run(quick),
        "cold_start": cold_start.run(quick),
        "load_average_at_end": measure.load(),
    }


def show(results: dict, console: Console) -> None:
    """The rates, then how they compare."""
    console.print(
        "lane-steps/s and trials/min: without compiling (jinit: drawing, training, scoring; the"
        " rivals likewise). whole run: trials/min of a first `Sweep.run`\nof the task, with"
        " tracing, compiling and files. Ratios are medians of ratios formed within a round, with"
        " the middle half of the rounds in brackets.\nΔ loss: median over trials of the relative"
        " difference of the final validation loss from jinit's trial of the same seed and learning"
        " rate.\n",
        highlight=False,
    )
    for problem, field in _contenders(results["quick"]).items():
        comparison = Comparison(results["problems"][problem], field)
        console.print(comparison.table())
        if problem == "mlp":
            _show_matmul(comparison, console)
        _show_compiling(results["problems"][problem], comparison, console)
    console.print(lane_cost.table(results["lane_cost"]))
    console.print(cold_start.table(results["cold_start"]))
    before, after = results["machine"]["load_average_at_start"], results["load_average_at_end"]
    console.print(f"load average {before} at the start, {after} at the end", highlight=False)


def _show_matmul(comparison: Comparison, console: Console) -> None:
    for name in comparison.ours:
        shares = comparison.matmul_shares(name)
        reached = tables.mark(measure.median(shares) >= MATMUL_GOAL)
        console.print(
            f"{comparison.contenders[name].label}: {tables.ratio(shares)} of the rate of a 2048²"
            f" matmul, goal ≥ {MATMUL_GOAL} {reached}",
            highlight=False,
        )


def _show_compiling(results: dict, comparison: Comparison, console: Console) -> None:
    for name in comparison.ours:
        turns = [turn["turns"][name] for turn in results["rounds"]]
        seconds = measure.median([turn["compile_seconds"] for turn in turns])
        whole = measure.median([turn["whole_seconds"] for turn in turns])
        training = measure.median([turn["seconds"] for turn in turns])
        console.print(
            f"{comparison.contenders[name].label}, {turns[0]['lane_width']} per tile: whole run"
            f" {tables.duration(whole)}, of which compiling {tables.duration(seconds)}, training"
            f" {tables.duration(training)}",
            highlight=False,
        )
