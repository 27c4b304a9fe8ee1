"""Run one bench: `python experiments/bench/run.py NAME [--quick] [--json PATH]`."""

import argparse
import json
import os
import sys
from pathlib import Path

import accelerator
import diagnose
import import_weight
import machine
import measure
import model_init
import orthogonal
import pretrain
import sampling
import sweep
import tables

BENCHES = {
    "sampling": sampling,
    "orthogonal": orthogonal,
    "model_init": model_init,
    "diagnose": diagnose,
    "sweep": sweep,
    "pretrain": pretrain,
    "import_weight": import_weight,
    "accelerator": accelerator,
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="run.py", description="Measure jinit beside its rivals.")
    parser.add_argument("name", choices=BENCHES, help="which bench")
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds, same method")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every raw number here")
    devices = ("cpu", "gpu", "tpu")
    parser.add_argument("--device", choices=devices, help="what JAX runs on; by default it chooses")
    options = parser.parse_args(arguments)
    if options.json and not options.json.resolve().parent.is_dir():
        parser.error(f"--json: there is no directory {options.json.resolve().parent}")
    return options


def main(arguments: list[str]) -> None:
    """Measure, print the table, write the raw numbers."""
    options = parse(arguments)
    if options.device:
        os.environ["JAX_PLATFORMS"] = options.device  # before a process imports JAX
    bench = BENCHES[options.name]
    if warning := measure.busy():
        tables.progress(warning)
    described = machine.describe()
    measured = bench.run(options.quick)
    results = {
        "bench": options.name,
        "quick": options.quick,
        "machine": described,
        **measured,
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    console = tables.console()
    console.print(tables.heading(results), highlight=False)
    bench.show(results, console)


if __name__ == "__main__":
    main(sys.argv[1:])
