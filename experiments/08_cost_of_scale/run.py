"""Fit the cost of a sweep to small ones, check it on larger ones, and extrapolate it.

python run.py FOLDER [--quick] [--again]
"""

import argparse
import gc
import json
import pathlib
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
from scipy.optimize import nnls

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from simulated_workers.simulation import Setting, simulate  # noqa: E402

Numbers = dict[str, float]

FITTED = [
    {"lanes": lanes, "block_lanes": block_lanes, "steps": steps}
    for lanes, block_lanes, steps in (
        *((128, 16, 40), (256, 64, 40), (512, 256, 40), (512, 16, 40), (1024, 64, 40)),
        *((1024, 256, 200), (2048, 64, 200), (2048, 16, 40), (2048, 256, 40), (4096, 64, 40)),
        *((4096, 16, 40), (4096, 256, 100)),
    )
]
CHECKED = [
    {"lanes": 8192, "block_lanes": 128, "steps": 100},
    {"lanes": 32768, "block_lanes": 256, "steps": 100},
    {"lanes": 131072, "block_lanes": 512, "steps": 40},
]
PLANNED = [{"lanes": 1 << 20, "block_lanes": 1024, "steps": 40}]

# What each figure depends on, linearly.
TERMS = {
    "plan": ("one", "configurations", "lanes"),
    "compile": ("one", "block_lanes"),
    "train": ("one", "lane_steps", "lanes", "blocks"),
    "memory": ("one", "block_lanes", "lanes"),
    "files": ("one", "blocks"),
    "bytes": ("one", "blocks", "lanes"),
    "open": ("one", "blocks", "lanes"),
    "best": ("one", "lanes"),
    "memory to open": ("one", "block_lanes", "lanes"),
}


def sizes(case: Numbers) -> Numbers:
    """Return what figures depend on, for a case of `FITTED`."""
    lanes = case["lanes"]
    return {
        "one": 1,
        "configurations": lanes / 16,
        "lanes": lanes,
        "block_lanes": case["block_lanes"],
        "blocks": -(-lanes // case["block_lanes"]),
        "lane_steps": lanes * case["steps"],
    }


def measure(kind: str, case: Numbers) -> Numbers:
    """Return the cost of a sweep that runs in a process of its own."""
    command = [sys.executable, HERE / "one_sweep.py", json.dumps({"kind": kind, **case})]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(kind, case, {name: round(value, 3) for name, value in found.items()}, flush=True)
    return found


def median_of(kind: str, case: Numbers, repeats: int) -> Numbers:
    """Return the median of each figure over repeated runs."""
    runs = [measure(kind, case) for _ in range(repeats)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def fit(cases: list[Numbers], found: list[Numbers]) -> dict[str, Numbers]:
    """Return coefficients >= 0 of the terms of each figure, with the least relative squares."""
    model = {}
    for name, terms in TERMS.items():
        values = np.array([each[name] for each in found])
        rows = np.array([[sizes(case)[term] for term in terms] for case in cases])
        scale = rows.max(axis=0)
        solution, _ = nnls(rows / scale / values[:, None], np.ones(len(values)))
        model[name] = dict(zip(terms, (solution / scale).tolist(), strict=True))
    return model


def predict(model: dict[str, Numbers], case: Numbers) -> Numbers:
    """Return the figures of a sweep by the model."""
    size = sizes(case)
    return {
        name: sum(factor * size[term] for term, factor in terms.items())
        for name, terms in model.items()
    }


def extrapolate(
    model: dict[str, Numbers], block_lanes: int, step_factor: float, workers: int, lanes: int
) -> Numbers:
    """Return the cost of a sweep by many workers, each of which is such a machine as this one.

    Args:
      model: the fitted coefficients.
      block_lanes: lanes of a block.
      step_factor: work of a step in units of that of the measured network.
      workers: machines.
      lanes: runs of 100 steps.
    """
    case = {"lanes": lanes, "block_lanes": block_lanes, "steps": 100}
    costs, train = predict(model, case), model["train"]
    lane_steps = lanes * 100
    seconds = step_factor * train["lane_steps"] * lane_steps + train["lanes"] * lanes
    blocks = int(sizes(case)["blocks"])
    block_seconds = seconds / blocks + train["blocks"]
    setting = Setting(workers=workers, blocks=blocks, block_seconds=block_seconds, spread=0.1)
    done = simulate(setting)
    begin = costs["plan"] + costs["compile"]
    return {
        "lanes": lanes,
        "block_lanes": block_lanes,
        "blocks": blocks,
        "work of a step": step_factor,
        "workers": workers,
        "seconds before training": begin,
        "seconds of a block": block_seconds,
        "seconds in all": begin + done["seconds"],
        "seconds of one machine": begin + block_seconds * blocks,
        "load of the server": done["server load"],
        **{name: costs[name] for name in ("memory", "bytes", "files", "open", "memory to open")},
    }


def main() -> None:
    """Measure unless that was done, fit, check and extrapolate; write results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a few small sweeps, once each")
    parser.add_argument("--again", action="store_true", help="from what was measured before")
    options = parser.parse_args()
    gc.disable()  # the threads of the simulation make no cycles
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "results.json"
    results = json.loads(file.read_text()) if options.again else measure_all(quick=options.quick)
    results |= evaluate(results, workers=10 if options.quick else 1000)
    text = json.dumps(results, indent=1)
    file.write_text(text + "\n")
    print(text)


def measure_all(*, quick: bool) -> dict:
    """Return the measurements."""
    cases, repeats = (FITTED[:5:2], 1) if quick else (FITTED, 3)
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "quick": quick,
        "fitted": [{**case, "seen": median_of("run", case, repeats)} for case in cases],
        "checks": [],
    }
    for kind, several in (("run", CHECKED), ("plan", PLANNED), ("work", CHECKED[:1])):
        for case in several[: 1 if quick else None]:
            case = {**case, "lanes": 2048} if quick else case
            seen = median_of(kind, case, 1 if quick or kind == "plan" else 2)
            results["checks"].append({"kind": kind, **case, "seen": seen})
    return results


def evaluate(results: dict, workers: int) -> dict:
    """Return the fitted model, how well it predicts, and what it says of a million runs."""
    model = fit(results["fitted"], [case["seen"] for case in results["fitted"]])
    checks = []
    for case in results["checks"]:
        expected = predict(model, case)
        ratios = {name: value / expected[name] for name, value in case["seen"].items()}
        checks.append({**case, "seen by expected": ratios})
    lanes = 1000 * workers
    extrapolated = [
        extrapolate(model, block_lanes, factor, count, lanes)
        for block_lanes, factor, count in (
            *((256, 100, workers // 100), (1024, 100, workers), (256, 100, workers)),
        )
    ]
    return {"model": model, "checks": checks, "extrapolated": extrapolated}


if __name__ == "__main__":
    main()
