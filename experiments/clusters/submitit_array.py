"""Submit an array of workers to SLURM: `python submitit_array.py DIR FILE.toml --workers 8`.

The workers share DIR, as those of slurm.sbatch. `--cluster local` runs them on this machine. Any
Sweep that is built in Python may stand in the place of `sweep_from_toml`.
"""

import argparse
from pathlib import Path

import submitit

from jinit.sweep import sweep_from_toml


def work(directory: str, file: str) -> int:
    """Train until all runs are recorded, and return their number."""
    return len(sweep_from_toml(file).work(directory).frame())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("file")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--cluster", help="slurm or local; without it, SLURM if there is one")
    given = parser.parse_args()
    directory, file = str(Path(given.directory).resolve()), str(Path(given.file).resolve())
    executor = submitit.AutoExecutor(Path(directory, "jobs"), cluster=given.cluster)
    executor.update_parameters(name="jinit", timeout_min=240, cpus_per_task=4)
    jobs = executor.map_array(work, [directory] * given.workers, [file] * given.workers)
    print(f"{jobs[0].result()} runs are recorded in {directory}")


if __name__ == "__main__":
    main()
