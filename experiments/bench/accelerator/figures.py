"""The tables of the bench of an accelerator."""

import measure
import tables
from rich.table import Table


def draws(cases: list[dict]) -> Table:
    """Times of the draws, and those of the rivals over jinit's."""
    table = Table(title="draws")
    for column in ("distribution", "shape", "library"):
        table.add_column(column)
    for column in ("steady", "÷ jinit"):
        table.add_column(column, justify="right")
    for case in cases:
        ours = case["libraries"]["jinit"]["seconds"]
        label = case["distribution"], f"{' × '.join(map(str, case['shape']))} {case['dtype']}"
        for place, answer in enumerate(case["libraries"].values()):
            seconds, first = answer["seconds"], ("", "") if place else label
            ratio = tables.ratio(measure.paired_ratios(seconds, ours))
            table.add_row(*first, answer["label"], tables.duration(measure.median(seconds)), ratio)
        table.add_section()
    return table


def lanes(results: dict) -> Table:
    """What each number of lanes takes, beside one PyTorch training."""
    steps, rounds = results["steps"], results["rounds"]
    table = Table(title=f"MLP 64-64-64-64-10 on digits, {steps} steps")
    table.add_column("way")
    for column in ("lanes per tile", "training", "per lane-step", "whole run", "compiling"):
        table.add_column(column, justify="right")
    table.add_column("PyTorch ÷ this", justify="right")
    for name in (name for name in rounds[0] if name != "PyTorch"):
        turns = [turn[name] for turn in rounds]
        seconds = measure.median([turn["seconds"] for turn in turns])
        trials = len(turns[0]["losses"])
        table.add_row(
            *(name, str(turns[0]["lane_width"]), tables.duration(seconds)),
            tables.duration(seconds / (trials * steps)),
            *(
                tables.duration(measure.median([turn[part] for turn in turns]))
                for part in ("whole_seconds", "compile_seconds")
            ),
            _torch_ratio(rounds, name),
        )
    torch = [turn["PyTorch"] for turn in rounds if "seconds" in turn["PyTorch"]]
    if torch:
        seconds = measure.median([turn["seconds"] for turn in torch])
        per_step = tables.duration(seconds / steps)
        table.add_row("one PyTorch training", "", tables.duration(seconds), per_step, "", "", "")
    return table


def goal(results: dict, name: str) -> str:
    """Whether so many lanes take no more time than one PyTorch training."""
    rounds = results["rounds"]
    text = f"goal: {name} in no more time than one PyTorch training"
    if name not in rounds[0]:
        return f"{text}: not measured, this was a quick bench"
    if reasons := [turn["PyTorch"]["missing"] for turn in rounds if "missing" in turn["PyTorch"]]:
        return f"{text}: not measured, {reasons[0]}"
    reached = measure.median(_ratios(rounds, name)) >= 1
    return f"{text}: PyTorch takes {_torch_ratio(rounds, name)} as long {tables.mark(reached)}"


def model_init(results: dict) -> Table:
    """Times to start a whole model, and those of Flax over jinit's."""
    table = Table(title=f"{results['network']}: to start the whole model")
    table.add_column("way")
    for column in ("first", "÷ jinit", "later", "÷ jinit", "MB"):
        table.add_column(column, justify="right")
    for name, answer in results["ways"].items():
        ours = results["ways"][f"{name.split()[0]} init"]
        warm, our_warm = measure.median(answer["warm"]), measure.median(ours["warm"])
        table.add_row(
            *(name, tables.duration(answer["cold"]), f"{answer['cold'] / ours['cold']:.2f}×"),
            *(tables.duration(warm), f"{warm / our_warm:.2f}×", f"{answer['bytes'] / 1e6:.1f}"),
        )
    return table


def _ratios(rounds: list[dict], name: str) -> list[float]:
    return [
        turn["PyTorch"]["seconds"] / turn[name]["seconds"]
        for turn in rounds
        if "seconds" in turn["PyTorch"]
    ]


def _torch_ratio(rounds: list[dict], name: str) -> str:
    ratios = _ratios(rounds, name)
    return tables.ratio(ratios) if ratios else rounds[0]["PyTorch"]["missing"]
