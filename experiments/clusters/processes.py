"""Train a sweep by processes of this machine: `python processes.py DIR FILE.toml --processes 4`.

Only this process writes to the directory. `jinit sweep` trains as fast, as it uses all cores and
GPUs of a machine. A pool is for programs that have one already. It must spawn its processes, as a
process that was forked cannot use JAX.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from jinit.sweep import sweep_from_toml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("file")
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=context) as pool:
        results = sweep_from_toml(given.file).resume(given.directory, print, executor=pool)
    print(results.best()[0].sentence)


if __name__ == "__main__":  # processes that are spawned import this file
    main()
