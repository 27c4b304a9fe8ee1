"""Tune initializations with jinit.tune, and compare random search, halving and Optuna's TPE.

python run.py FOLDER [--quick] [--only tune|searches]

FOLDER gets results.json and one heat map per task of the first part.
"""

import argparse
import json
import pathlib
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jax
from searches import compare_searches

import jinit
from jinit.sweep import cnn, mlp

INITS = ["zeros", "normal", "xavier_normal", "he_normal", "lecun_normal", "orthogonal"]
FRAME_COLUMNS = (
    *("metric", "init", "lr", "l2", "runs", "diverged", "search_mean", "mean", "low", "high"),
    *("difference", "difference_low", "difference_high", "p_t_corrected", "is_worse", "is_clear"),
)


class Setting(NamedTuple):
    """One task and network to tune."""

    task: jinit.Task
    build: Callable[[dict[str, Any]], Any]
    rates: tuple[float, ...]
    steps: int


def build_deep_mlp(config: dict[str, Any]) -> Any:
    return mlp(64, 10, depth=8, width=64, init=config["init"])


def build_cancer_mlp(config: dict[str, Any]) -> Any:
    return mlp(30, 2, depth=4, width=32, init=config["init"])


def build_cnn(config: dict[str, Any]) -> Any:
    return cnn((8, 8, 1), 10, channels=(8, 16), depth=2, normalization="none", init=config["init"])


def find_settings() -> dict[str, Setting]:
    """Return the settings of the first part."""
    digits, cancer = jinit.tasks.digits, jinit.tasks.breast_cancer
    rates = (3e-4, 1e-3, 3e-3, 1e-2)
    return {
        "digits_mlp": Setting(digits(with_test=True), build_deep_mlp, rates, 300),
        "breast_cancer_mlp": Setting(cancer(with_test=True), build_cancer_mlp, rates, 300),
        "digits_cnn": Setting(digits(images=True, with_test=True), build_cnn, rates[1:], 150),
    }


def tune_setting(name: str, setting: Setting, folder: pathlib.Path, quick: bool) -> dict[str, Any]:
    """Tune one setting, draw its heat map, and return what was found."""
    begin = time.perf_counter()
    space = jinit.grid(init=INITS, lr=list(setting.rates), l2=[0.0, 1e-4, 1e-3])
    if quick:
        space = jinit.grid(init=INITS[2:4], lr=list(setting.rates[:2]), l2=[0.0])
    with tempfile.TemporaryDirectory() as directory:
        tuned = jinit.tune(
            setting.task,
            setting.build,
            space,
            directory,
            seeds=2 if quick else 4,
            confirm_seeds=2 if quick else 8,
            steps=20 if quick else setting.steps,
            measure_start=False,
            save="none",
        )
        tuned.heat_map(folder / f"{name}.png")
        frame = tuned.frame()[list(FRAME_COLUMNS)]
        sentence = tuned.sentence
    seconds = time.perf_counter() - begin
    print(f"{name}, {seconds:.0f} s: {sentence}", flush=True)
    rows = json.loads(frame.to_json(orient="records"))
    return {"sentence": sentence, "seconds": seconds, "competitors": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="tiny sweeps, to try the script")
    parser.add_argument("--only", choices=("tune", "searches"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / "results.json"
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    record["date"] = datetime.now(UTC).date().isoformat()
    record["machine"] = (
        f"{platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}"
    )
    if arguments.only != "searches":
        record["tune"] = {
            name: tune_setting(name, setting, arguments.folder, arguments.quick)
            for name, setting in find_settings().items()
        }
    if arguments.only != "tune":
        task = jinit.tasks.digits(with_test=True)
        record["searches"] = compare_searches(task, build_deep_mlp, quick=arguments.quick)
    file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
