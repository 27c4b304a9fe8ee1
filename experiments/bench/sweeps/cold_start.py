"""Seconds from the command `jinit sweep` to its first record, with and without kept programs."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import tables
from rich.table import Table
from trials import PROBLEMS

COMMAND = [sys.executable, "-c", "from jinit.cli import main; main()", "sweep"]
RECORDS = "records/*.parquet"
GOALS = {"without": 10.0, "with": 4.0}
SWEEPS = {
    "64 lanes of the MLP": "\n".join(
        (
            'task = "digits"',
            'optimizer = "adam"',
            "seeds = 16",
            f"steps = {PROBLEMS['mlp'].steps}",
            "[space]",
            'init = ["he_normal"]',
            'activation = ["relu"]',
            "depth = [3]",
            f"lr = {list(PROBLEMS['mlp'].rates)}",
        )
    ),
    "`jinit sweep` without a file": "",
}


def run(quick: bool) -> dict:
    """Fresh processes, first with an empty folder for compiled programs, then with the same one."""
    rounds = []
    for number in range(1 if quick else 2):
        tables.progress(f"cold start: round {number + 1}")
        rounds.append({name: _twice(text) for name, text in SWEEPS.items()})
    return {"rounds": rounds}


def _twice(text: str) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        return {which: _once(Path(folder), which, text) for which in GOALS}


def _once(folder: Path, which: str, text: str) -> dict[str, float]:
    """Start the command and watch for its first file of records."""
    arguments = []
    if text:
        (folder / "sweep.toml").write_text(text + "\n")
        arguments = [str(folder / "sweep.toml")]
    out = folder / which
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--out", str(out)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not any(out.glob(RECORDS)):
        time.sleep(2e-3)
    first = time.perf_counter() - begin
    if not any(out.glob(RECORDS)):
        error = process.stderr.read().decode() if process.stderr else ""
        raise RuntimeError(f"jinit sweep ended with code {process.returncode}: {error}")
    if not text:  # minutes of training, of which only the beginning is asked for
        process.terminate()
    process.communicate()
    return {"first_record": first, "all": time.perf_counter() - begin}


def table(results: dict) -> Table:
    """Seconds of every sweep."""
    found = Table(title="Cold start: from the command to the first record, a fresh process each")
    for column in ("what", "compiled programs", "first record", "goal", "to the end"):
        found.add_column(column)
    for name in SWEEPS:
        for which, goal in GOALS.items():
            turns = [turn[name][which] for turn in results["rounds"]]
            first = measure.median([turn["first_record"] for turn in turns])
            is_goal = name == next(iter(SWEEPS))
            found.add_row(
                name,
                {"without": "none kept", "with": "kept by a first run"}[which],
                tables.duration(first),
                f"≤ {goal:.0f} s {tables.mark(first <= goal)}" if is_goal else "",
                tables.duration(measure.median([turn["all"] for turn in turns])) if is_goal else "",
            )
    return found
