"""Simulate many workers that share a directory, with the leases of jinit.

python run.py FOLDER [--quick] [--only TEXT]
"""

import argparse
import gc
import json
import pathlib
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from simulated_workers.availability import Troubles
from simulated_workers.disk import Server
from simulated_workers.simulation import Setting, simulate

HOUR = 3600.0
KILLS = Troubles(seconds_between_ends=HOUR / 2)
ALL = Troubles(seconds_between_ends=HOUR / 2, seconds_between_pauses=HOUR)
LAG = Server(stale_seconds=30)


def settings(many: int) -> dict[str, Setting]:
    """Return what is simulated, by a name. `many` is the largest number of workers."""
    some = many // 10
    found = {
        f"{workers} workers": Setting(workers=workers, blocks=16 * workers)
        for workers in (1, many // 100, some, many)
    }
    for minutes in (120, 30, 10, 5):
        troubles = Troubles(seconds_between_ends=60.0 * minutes)
        found[f"{some} workers, one ends every {minutes} min"] = Setting(
            workers=some, blocks=16 * some, troubles=troubles
        )
    for name, server in {
        "answers after 0.1 s": Server(delay=0.1),
        "answers after 1 s": Server(delay=1.0),
        "listings lag 30 s": LAG,
        "listings lag 60 s": Server(stale_seconds=60),
        "listings lag 150 s": Server(stale_seconds=150),
    }.items():
        found[f"{some} workers, ends and pauses, {name}"] = Setting(
            workers=some, blocks=16 * some, troubles=ALL, server=server
        )
    large = Setting(workers=many, blocks=16 * many)
    found[f"{many} workers, ends"] = replace(large, troubles=KILLS)
    found[f"{many} workers, ends, pauses, listings lag 30 s"] = replace(
        large, troubles=ALL, server=LAG
    )
    for seconds in (10.0, 2.0, 0.5):
        found[f"{many} workers, blocks of {seconds:g} s"] = replace(large, block_seconds=seconds)
    return found


def main() -> None:
    """Run everything, and write results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the workers")
    parser.add_argument("--only", default="", metavar="TEXT", help="settings whose name has TEXT")
    options = parser.parse_args()
    gc.disable()  # the threads make no cycles
    found = {}
    for name, setting in settings(100 if options.quick else 1000).items():
        if options.only in name:
            begin = time.perf_counter()
            found[name] = {key: round(value, 4) for key, value in simulate(setting).items()}
            print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    origin = {"date": datetime.now(UTC).date().isoformat(), "quick": options.quick}
    options.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(origin | {"settings": found}, indent=1)
    (options.folder / "results.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
