"""Blocks of lost workers are taken over, whatever others do in the middle of an operation.

Interleavings are forced: another worker acts in the middle of an operation of the first one.
"""

import pytest
from sweep.leasing import LEASE, LaggingFolder, Sweep, lost_block
from sweep.memory_folder import Clock

from jinit.sweep.lease_files import LAST_GENERATION
from jinit.sweep.worker_status import new_worker_name


def test_a_lost_block_is_taken_over_after_the_lease_and_not_before():
    sweep = Sweep(1)
    lost = lost_block(sweep)
    block, seconds = sweep.worker("one").wait_for_a_block()
    assert block == lost
    assert LEASE <= seconds <= 1.5 * LEASE
    assert sweep.leases() == [f"{lost}.1", f"{lost}.2"]


def test_a_block_whose_holder_beats_is_never_taken():
    sweep = Sweep(1)
    holder, one = sweep.worker("holder"), sweep.worker("one")
    held = holder.take()
    for _ in range(100):
        holder.beat({})
        sweep.clock.now += LEASE / 4
        assert one.take() is None
    assert holder.holds(held)


def test_lost_blocks_are_taken_before_free_ones():
    """Long blocks are interrupted most often, and should not be the last ones."""
    sweep = Sweep(50)
    lost, one = lost_block(sweep), sweep.worker("one")
    one.train(one.take())
    sweep.clock.now += LEASE + 1
    one.beat({})
    assert one.take() == lost


def test_generations_count_up_and_all_are_removed():
    sweep = Sweep(1)
    for number in range(12):
        sweep.worker(f"w{number}").wait_for_a_block()
    assert len(sweep.leases()) == 12
    last = sweep.worker("last")
    block, _ = last.wait_for_a_block()
    assert f"{block}.13" in sweep.leases()
    last.train(block)
    assert sweep.leases() == []


@pytest.mark.parametrize("where", ["before", "after"])
def test_one_of_two_workers_gets_a_free_block(where):
    """Another worker claims everything just before or after this one creates its lease."""
    sweep = Sweep(2)
    one, two = sweep.worker("one"), sweep.worker("two")
    taken = []
    interruptions = getattr(one.folder, where)
    interruptions["create", "leases/"] = lambda: taken.extend([two.take(), two.take()])
    taken.append(one.take())
    assert sorted(filter(None, taken)) == sweep.blocks
    assert all(one.holds(block) != two.holds(block) for block in sweep.blocks)


@pytest.mark.parametrize("operation", ["create", "read", "versions"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_one_of_two_takers_gets_a_lost_block(operation, where):
    sweep = Sweep(1)
    lost_block(sweep)
    one, two = sweep.worker("one"), sweep.worker("two")
    assert one.take() is None
    assert two.take() is None
    sweep.clock.now += LEASE
    one.beat({})
    two.beat({})
    taken = []
    name = "workers" if operation == "versions" else "leases/"
    getattr(one.folder, where)[operation, name] = lambda: taken.append(two.take())
    taken.append(one.take())
    assert sorted(filter(None, taken)) == sweep.blocks
    assert one.holds(sweep.blocks[0]) != two.holds(sweep.blocks[0])


def test_a_holder_that_goes_on_after_losing_a_block_harms_no_one():
    sweep = Sweep(1)
    paused, other, third = sweep.worker("paused"), sweep.worker("other"), sweep.worker("third")
    block = paused.take()
    other.wait_for_a_block()
    assert not paused.holds(block)
    assert other.holds(block)
    paused.beat({})  # it is alive again
    assert third.take() is None
    paused.train(block)
    assert sweep.leases() == [f"{block}.2"]
    assert other.holds(block)
    other.train(block)
    assert sweep.leases() == []
    assert third.take() is None


def test_a_holder_that_goes_on_after_its_block_was_finished_does_not_hold_it():
    sweep = Sweep(1)
    paused, other = sweep.worker("paused"), sweep.worker("other")
    block = paused.take()
    other.train(other.wait_for_a_block()[0])
    assert not paused.holds(block)
    paused.train(block)
    assert sweep.leases() == []


def test_the_present_lease_is_removed_last():
    """A worker that is killed in between leaves it, and nobody takes the former one over."""
    sweep = Sweep(1)
    lost_block(sweep)
    one = sweep.worker("one")
    block, _ = one.wait_for_a_block()
    seen = []
    one.folder.after["remove", "leases/"] = lambda: seen.extend(sweep.leases())
    one.train(block)
    assert seen == [f"{block}.2"]


def test_all_blocks_of_a_lost_worker_are_free_once_it_is_known_to_be_lost():
    """The first worker that takes one over removes its heartbeat."""
    sweep = Sweep(2)
    lost, one, two = sweep.worker("lost"), sweep.worker("one"), sweep.worker("two")
    blocks = {lost.take(), lost.take()}
    assert one.take() is None
    assert two.take() is None
    sweep.clock.now += LEASE
    one.beat({})
    two.beat({})
    assert {two.take(), two.take()} == blocks
    assert sweep.folder.names("workers") == ["one.json", "two.json"]


def test_a_holder_that_paused_keeps_what_nobody_took():
    sweep = Sweep(2)
    paused, other = sweep.worker("paused"), sweep.worker("other")
    blocks = {paused.take(), paused.take()}
    taken, _ = other.wait_for_a_block()
    paused.beat({})
    assert other.take() is None
    (kept,) = blocks - {taken}
    assert paused.holds(kept)
    sweep.clock.now += LEASE / 4
    paused.beat({})
    assert other.take() is None


def test_a_lease_without_heartbeat_lasts_for_one_lease():
    """Its worker died before its first heartbeat, or someone has deleted it."""
    sweep = Sweep(1)
    sweep.folder.create(f"leases/{sweep.blocks[0]}.1", b"ghost")
    block, seconds = sweep.worker("one").wait_for_a_block()
    assert block == sweep.blocks[0]
    assert LEASE <= seconds <= 1.5 * LEASE


def test_two_workers_of_one_name_are_told():
    sweep = Sweep()
    one, two = sweep.worker("same"), sweep.worker("same")
    one.beat({})
    with pytest.raises(ValueError, match=r"there is a worker 'same' already.*new_worker_name"):
        two.beat({})
    with pytest.raises(ValueError, match="there is a worker 'same' already"):
        two.take()
    assert one.take() is not None
    assert len(sweep.leases()) == 1
    assert new_worker_name() != new_worker_name()


def test_a_block_that_was_finished_since_the_records_were_listed_is_not_trained_again():
    """Neither its records nor its lease are seen, and the lease can be created."""
    sweep = Sweep(1)
    one, two = sweep.worker("one"), sweep.worker("two")
    before = sweep.unfinished()
    two.train(two.take())
    assert one.claim(lambda: before, sweep.is_finished) is None
    assert not one.unfinished
    assert sweep.leases() == []


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("operation", ["names", "create", "read", "versions"])
def test_a_holder_that_finishes_while_its_block_is_taken_over(operation, where):
    """It paused for a lease. In the end the block is finished and no lease is left."""
    sweep = Sweep(1)
    paused, one = sweep.worker("paused"), sweep.worker("one")
    block = paused.take()
    assert one.take() is None
    sweep.clock.now += LEASE
    one.beat({})
    name = "workers" if operation == "versions" else "leases"
    getattr(one.folder, where)[operation, name] = lambda: paused.train(block)
    if (taken := one.take()) is not None:
        one.train(taken)
    assert one.take() is None
    assert not one.unfinished
    assert sweep.leases() == []


def test_a_lease_that_was_given_back_and_taken_by_another_is_not_taken_over():
    """The file has the name of the one that was read before."""
    sweep = Sweep(1)
    paused, one, other = sweep.worker("paused"), sweep.worker("one"), sweep.worker("other")
    block = paused.take()
    assert one.take() is None
    sweep.clock.now += LEASE
    one.beat({})

    def change_hands():
        paused.leave()
        assert other.take() == block

    one.folder.after["names", "leases"] = change_hands
    assert one.take() is None
    assert other.holds(block)


def test_leaving_gives_blocks_back_at_once():
    sweep = Sweep(1)
    one, two = sweep.worker("one"), sweep.worker("two")
    block = one.take()
    assert two.take() is None
    one.leave()
    assert sweep.folder.names("workers") == ["two.json"]
    assert two.take() == block
    one.beat({})
    assert sweep.folder.names("workers") == ["two.json"]


def test_listings_that_lag_cost_no_block():
    sweep = Sweep(40)
    workers = [
        sweep.worker(f"w{number}", LaggingFolder(sweep.folder, sweep.clock, LEASE / 2))
        for number in range(4)
    ]
    for worker in workers:  # all see an empty folder
        worker.beat({})
        worker.folder.names("leases")
        worker.folder.versions("workers")
    trained = []
    while len(sweep.records) < 40:
        sweep.clock.now += LEASE / 8
        for worker in workers:
            worker.beat({})
            if block := worker.take():
                trained.append(block)
                worker.train(block)
    assert sorted(trained) == sweep.blocks
    sweep.clock.now += LEASE
    assert workers[0].take() is None
    assert sweep.leases() == []


def test_a_worker_does_not_try_again_what_it_found_leased():
    """The listing lags, and shows no lease: a claim tries some blocks, and the next one others."""
    sweep = Sweep(60)
    one = sweep.worker("one", LaggingFolder(sweep.folder, sweep.clock, LEASE))
    one.beat({})
    one.folder.names("leases")
    holder = sweep.worker("holder")
    for _ in range(60):
        holder.take()
    tried = []
    create = one.folder.create
    one.folder.create = lambda name, content: tried.append(name) or create(name, content)
    for _ in range(10):
        sweep.clock.now += LEASE / 50
        assert one.take() is None
    assert len(tried) == len(set(tried)) == 60


@pytest.mark.parametrize("name", ["one", "uno", "eins", "un"])  # each begins at its place
def test_lost_blocks_that_are_known_are_taken_before_others_are_read(name):
    sweep = Sweep(200)
    lost = lost_block(sweep)
    holder, one = sweep.worker("holder"), sweep.worker(name)
    for _ in range(199):
        holder.take()
    for _ in range(10):
        assert one.take() is None
    for block in sweep.blocks:
        if block != lost:  # all leases but one have a new generation, which nobody has read
            sweep.folder.create(f"leases/{block}.2", b"holder")
    sweep.clock.now += LEASE
    one.beat({})
    holder.beat({})
    assert one.take() == lost


def test_a_lease_whose_answer_was_lost_is_taken_up_again():
    sweep = Sweep(1)
    one = sweep.worker("one")

    def fail():
        raise OSError("the network is down")

    one.folder.after["create", "leases/"] = fail
    with pytest.raises(OSError, match="network is down"):
        one.take()
    assert one.take() == sweep.blocks[0]
    assert one.holds(sweep.blocks[0])
    one.train(sweep.blocks[0])
    assert sweep.leases() == []


def test_leases_of_finished_blocks_are_removed_by_others():
    """Their workers were killed between the records and the removal."""
    sweep = Sweep(3)
    for block in sweep.blocks:
        sweep.folder.create(f"leases/{block}.1", b"killed")
        sweep.folder.create(f"leases/{block}.2", b"killed")
    sweep.folder.create("leases/999-999999.1", b"foreign")
    sweep.records.update(sweep.blocks)
    one = sweep.worker("one")
    assert one.take() is None
    assert not one.unfinished
    assert sweep.leases() == ["999-999999.1"]


def test_the_time_of_a_slow_listing_does_not_count_as_silence():
    sweep = Sweep(1)
    holder, one = sweep.worker("holder"), sweep.worker("one")
    holder.take()

    def stall():
        sweep.clock.now += 10 * LEASE

    for _ in range(3):
        one.folder.before["versions", "workers"] = stall
        assert one.take() is None
        one.folder.after["versions", "workers"] = stall
        assert one.take() is None
        holder.beat({})


def test_clocks_of_machines_are_not_compared():
    """One is hours ahead and fast, the other was started at zero and is slow."""
    sweep = Sweep(1)
    times = {"holder": (1e6, 0.9), "one": (0.0, 1.1)}
    clocks = {name: Clock() for name in times}
    holder, one = (sweep.worker(name, clock=clocks[name]) for name in times)
    for tick in range(400):
        for name, (offset, rate) in times.items():
            clocks[name].now = offset + rate * tick
        if tick % 25 == 0:
            holder.beat({})
        if tick % 7 == 3:
            assert (holder.take() or "") in (sweep.blocks[0], "")
            assert one.take() is None
    assert holder.holds(sweep.blocks[0])


def test_a_foreign_lease_of_the_last_generation_blocks_no_one():
    sweep = Sweep(1)
    sweep.folder.create(f"leases/{sweep.blocks[0]}.{LAST_GENERATION}", b"\xff")
    block, seconds = sweep.worker("one").wait_for_a_block()
    assert block == sweep.blocks[0]
    assert seconds <= 2 * LEASE
    assert sweep.leases() == [f"{block}.1"]


def test_workers_of_a_whole_cluster_that_fails_are_replaced_by_one():
    sweep = Sweep(300)
    for number in range(300):
        lost_block(sweep, f"lost{number}")
    one, trained = sweep.worker("one"), []
    while len(trained) < 300:
        block, _ = one.wait_for_a_block()
        trained.append(block)
        one.train(block)
    assert sorted(trained) == sweep.blocks
    assert sweep.clock.now <= 2 * LEASE
    assert sweep.leases() == []
    assert sweep.folder.names("workers") == ["one.json"]
