"""Run one sweep in a process of its own, and print what it cost as JSON.

python one_sweep.py '{"lanes": 1024, "block_lanes": 64, "steps": 100, "kind": "run"}'
"""

import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

BEGIN = time.perf_counter()

import numpy as np  # noqa: E402 - importing is a part of the cost

import jinit  # noqa: E402
from jinit.sweep import mlp  # noqa: E402

SEEDS = 16


class PlannedError(Exception):
    """A sweep is planned, and is not trained."""


def build(config):
    """Return a network for 64 pixels."""
    return mlp(64, 10, depth=2, width=16, init=config["init"])


def study(lanes: int, block_lanes: int, steps: int) -> jinit.Sweep:
    """Return a sweep of 16 seeds, two initializations and as many learning rates as it takes."""
    rates = [float(rate) for rate in np.geomspace(1e-3, 1e-1, lanes // (2 * SEEDS))]
    return jinit.Sweep(
        jinit.tasks.digits(),
        build,
        jinit.grid(init=["he_normal", "lecun_normal"], lr=rates),
        seeds=SEEDS,
        steps=steps,
        record_every=steps // 4,
        lanes=block_lanes,
    )


def measure(kind: str, lanes: int, block_lanes: int, steps: int) -> dict[str, float]:
    """Return seconds, bytes and files of a sweep.

    Args:
      kind: `run`, `work` for a worker that is alone, or `plan` for all that precedes training.
      lanes: runs.
      block_lanes: runs of a block.
      steps: steps of a run.
    """
    stages: dict[str, float] = {}

    def note(progress) -> None:
        name = progress.stage.split()[0]
        stages.setdefault(name, time.perf_counter())
        if kind == "plan" and name == "training":
            raise PlannedError

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        sweep = study(lanes, block_lanes, steps)
        run = sweep.work if kind == "work" else sweep.run
        with contextlib.suppress(PlannedError):
            run(directory, note)
        end, peak = time.perf_counter(), peak_bytes()
        found = {
            "plan": stages["compiling"] - BEGIN,
            "compile": stages["training"] - stages["compiling"],
            "memory": peak,
        }
        if kind != "plan":
            files = [path for path in directory.rglob("*") if path.is_file()]
            found["train"] = end - stages["training"]
            found["files"] = len(files)
            found["bytes"] = sum(path.stat().st_size for path in files)
            begin = time.perf_counter()
            results = jinit.Results(directory)
            if len(results.frame()) != lanes:
                raise RuntimeError(f"{len(results.frame())} records of {lanes} runs")
            found["open"] = time.perf_counter() - begin
            results.best()
            found["best"] = time.perf_counter() - begin - found["open"]
            found["memory to open"] = peak_bytes()
    return found


def peak_bytes() -> int:
    """Return the largest memory that this process had so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
