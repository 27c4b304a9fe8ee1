"""Real processes compete for blocks in a directory, and one of them is killed."""

import multiprocessing
import time

from sweep.worker_process import hold, work


def test_processes_share_blocks_and_take_over_those_of_one_that_was_killed(tmp_path):
    blocks = [f"000-{number:06d}" for number in range(300)]
    for part in ("first", "second"):
        (tmp_path / part / "records").mkdir(parents=True)
    processes = multiprocessing.get_context("spawn")
    killed = processes.Process(target=hold, args=(tmp_path / "second", blocks), daemon=True)
    workers = [
        processes.Process(target=work, args=(tmp_path, name, blocks), daemon=True)
        for name in ("a", "b", "c")
    ]
    killed.start()
    for worker in workers:
        worker.start()
    while not (tmp_path / "second" / "held").exists() and killed.is_alive():
        time.sleep(0.05)
    killed.kill()
    for worker in workers:
        worker.join(timeout=240)
        assert worker.exitcode == 0
    for part in ("first", "second"):
        directory = tmp_path / part
        assert sorted(path.name for path in (directory / "records").iterdir()) == blocks
        assert list((directory / "leases").iterdir()) == []
        assert {path.name for path in (directory / "workers").iterdir()} <= {"killed.json"}
    claimed = [
        path.read_text().splitlines() for path in sorted((tmp_path / "first").glob("claimed-*"))
    ]
    # A second process may find all blocks finished; nobody trained one twice.
    assert sorted(block for each in claimed for block in each) == blocks
