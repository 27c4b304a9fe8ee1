"""Leases of blocks: each is trained once, and its files tell who trains it."""

import itertools
from pathlib import Path

import pytest
from sweep.leasing import LEASE, Sweep, lost_block
from sweep.memory_folder import Clock

import jinit.sweep
from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.free_blocks import FreeBlocks

MODULES = [
    "block_claims",
    "block_leases",
    "directory_folder",
    "free_blocks",
    "lease_files",
    "listed_leases",
    "shared_folder",
    "worker_heartbeats",
    "worker_status",
]


def test_every_block_is_claimed_once():
    sweep = Sweep(100)
    workers = [sweep.worker(f"w{number}") for number in range(7)]
    taken = [workers[number % 7].take() for number in range(100)]
    assert sorted(taken) == sweep.blocks
    assert all(worker.take() is None for worker in workers)
    assert all(sum(worker.holds(block) for worker in workers) == 1 for block in taken)


def test_workers_begin_at_different_places():
    sweep = Sweep(1000)
    first = {sweep.worker(f"w{number}").take() for number in range(50)}
    assert len(first) == 50
    assert len({block[:8] for block in first}) == 10


def test_a_worker_goes_on_with_the_next_block():
    sweep = Sweep(1000)
    one = sweep.worker("one")
    numbers = [int(one.take()[4:]) for _ in range(50)]
    assert sum(after == before + 1 for before, after in itertools.pairwise(numbers)) >= 48


def test_a_worker_that_meets_another_jumps_to_another_place():
    blocks = FreeBlocks("one", LEASE, Clock())
    blocks.line_up(map(str, range(1000)), leased=[])
    jumps = []
    for _ in range(20):
        met = blocks.next()
        blocks.note_taken(met)
        jumps.append(abs(int(blocks.next()) - int(met)))
    assert sum(jump > 10 for jump in jumps) > 15


def test_finished_blocks_leave_no_file():
    sweep = Sweep()
    one = sweep.worker("one")
    for _ in sweep.blocks:
        one.train(one.take())
    assert one.take() is None
    assert not one.unfinished
    one.leave()
    assert sweep.folder.files == {}


def test_the_heartbeat_is_written_before_the_first_lease():
    sweep = Sweep()
    one = sweep.worker("one")
    one.folder.before["create", "leases/"] = lambda: seen.extend(sweep.folder.names("workers"))
    seen = []
    one.take()
    assert seen == ["one.json"]


def test_status_tells_who_is_silent():
    sweep = Sweep(2)
    one, watcher = sweep.worker("one"), sweep.worker("watcher")
    one.beat({"host": "node17", "blocks": ["000-000000"]})
    (status,) = watcher.workers()
    assert (status.worker, status.beat, status.silent_seconds) == ("one", 0, 0.0)
    assert status.status == {"host": "node17", "blocks": ["000-000000"]}
    assert not status.is_lost
    sweep.clock.now += 30.0
    assert watcher.workers()[0].silent_seconds == 30.0
    one.beat({})
    assert watcher.workers()[0].silent_seconds == 0.0
    sweep.clock.now += LEASE
    assert watcher.workers()[0].is_lost
    sweep.folder.replace("workers/one.json", b"{")
    (status,) = watcher.workers()
    assert (status.beat, status.status, status.is_lost) == (None, {}, False)
    one.leave()
    assert watcher.workers() == []


def test_a_status_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"status of worker one has \d+ bytes; expected at most"):
        Sweep().worker("one").beat({"text": "x" * 100_000})


def test_wrong_arguments_are_refused():
    sweep = Sweep()
    with pytest.raises(ValueError, match=r"'../one' cannot be the name of a worker; expected"):
        sweep.worker("../one")
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"lease_seconds=.*: expected a positive number"):
            BlockLeases(sweep.folder, "one", seconds)
    one = sweep.worker("one")
    with pytest.raises(ValueError, match=r"'x' is finished without a lease.*there is none now"):
        one.finish("x")
    assert not one.holds("x")
    with pytest.raises(ValueError, match=r"'../x' cannot be the name of a block; expected"):
        one.claim(lambda: ["../x"], sweep.is_finished)


def test_waiting_workers_ask_seldom_where_claims_are_slow():
    sweep = Sweep(1)
    lost_block(sweep)
    one = sweep.worker("one")
    assert one.take() is None
    assert LEASE / 8 <= one.idle_seconds() <= one.beat_seconds == LEASE / 4

    def stall():
        sweep.clock.now += 0.5

    one.folder.before["names", "leases"] = stall
    assert one.take() is None
    assert one.idle_seconds() == 50.0


@pytest.mark.parametrize("module", MODULES)
def test_a_module_does_not_import_jax(module):
    assert "import jax" not in (Path(jinit.sweep.__file__).parent / f"{module}.py").read_text()
