"""A GPU or TPU: draws, lanes beside one PyTorch training, and the start of a whole model.

Every figure comes from a process of its own, because each library takes the memory of the device.
"""

import itertools
import os

import measure
import tables
from rich.console import Console
from workers import Worker

from accelerator import figures

LIBRARIES = ("jinit", "jax", "jax_jit")
DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")
DTYPES = ("float32", "bfloat16")
ORTHOGONAL_SHAPES = ((512, 512), (1024, 1024), (4096, 1024))
LANES = (64, 256, 1024, 4096)
GOAL_LANES = 1024
EXECUTORS = ("vmap(64)", "vmap(256)", "vmap(1024)")
"""How 1,024 lanes are computed, to judge the rule for the lanes of a tile."""
STEPS = 500
WAYS = ("init", "fast_init", "flax", "flax jit")


def run(quick: bool) -> dict:
    """Measure every part, one after the other; if quick, small sizes."""
    # PyTorch and the processes of the bench share the device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return {**_draws(quick), "lanes": _lanes(quick), "model_init": _model_init(quick)}


def _draws(quick: bool) -> dict:
    side, rounds = (256, 3) if quick else (4096, 9)
    shapes = ((128, 128),) if quick else ORTHOGONAL_SHAPES
    cases = [
        *itertools.product(DISTRIBUTIONS, ((side, side),), DTYPES[:1] if quick else DTYPES),
        *(("orthogonal", shape, "float32") for shape in shapes),
    ]
    with Worker("draws.together") as worker:
        device, drawn = worker.ask("device"), []
        for distribution, shape, dtype in cases:
            tables.progress(f"{distribution} {shape} {dtype}")
            which = {"distribution": distribution, "shape": shape, "dtype": dtype}
            answers = worker.ask("rounds", libraries=list(LIBRARIES), rounds=rounds, **which)
            drawn.append({**which, "libraries": answers})
    return {"device": device, "draws": drawn}


def _lanes(quick: bool) -> dict:
    """Sweeps of several numbers of lanes, and one PyTorch training in every round."""
    steps, rounds = (20, 1) if quick else (STEPS, 3)
    cases = {f"{lanes} lanes": (lanes, "auto") for lanes in ((16,) if quick else LANES)}
    if not quick:
        cases |= {f"{GOAL_LANES} lanes, {each}": (GOAL_LANES, each) for each in EXECUTORS}
    found: dict = {"steps": steps, "rounds": []}
    for number in range(rounds):
        turns = {}
        for name, (lanes, executor) in cases.items():
            tables.progress(f"round {number + 1}: {name}")
            with Worker("trials.with_jinit") as worker:
                turns[name] = worker.ask(
                    "run", problem="mlp", trials=lanes, steps=steps, executor=executor
                )
        tables.progress(f"round {number + 1}: one PyTorch training")
        with Worker("accelerator.one_training") as worker:
            turns["PyTorch"] = worker.ask("run", problem="mlp", steps=steps)
        found["rounds"].append(turns)
    return found


def _model_init(quick: bool) -> dict:
    network, repeats = ("tiny GPT-2", 1) if quick else ("GPT-2", 3)
    frameworks, ways = ("linen",) if quick else ("linen", "nnx"), {}
    for framework, way in itertools.product(frameworks, WAYS):
        tables.progress(f"{network}, {framework} {way}")
        asked = {"network": network, "framework": framework, "way": way}
        with Worker("models.start") as worker:
            ways[f"{framework} {way}"] = worker.ask("start", repeats=repeats, **asked)
    return {"network": network, "ways": ways}


def show(results: dict, console: Console) -> None:
    """One table per part, and the goal."""
    console.print(figures.draws(results["draws"]))
    lanes = results["lanes"]
    console.print(figures.lanes(lanes))
    console.print(figures.goal(lanes, f"{GOAL_LANES} lanes"), highlight=False)
    console.print(figures.model_init(results["model_init"]))
    console.print(f"load average {measure.load()} at the end", highlight=False)
