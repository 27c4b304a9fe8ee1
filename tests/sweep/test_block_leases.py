"""Leases of blocks: each is trained, few are trained twice, whatever happens to workers and files.

Interleavings are forced: another worker acts in the middle of an operation of the first one.
"""

import itertools
import random
from pathlib import Path

import pytest
from sweep.memory_folder import Clock, InterruptedFolder, MemoryFolder

import jinit.sweep
from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.free_blocks import FreeBlocks
from jinit.sweep.lease_files import LAST_GENERATION
from jinit.sweep.worker_status import new_worker_name

LEASE = 100.0
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


class Sweep:
    """Blocks, their records, and workers with clocks of their own."""

    def __init__(self, blocks=3, folder=None):
        self.folder = MemoryFolder() if folder is None else folder
        self.blocks = [f"000-{number:06d}" for number in range(blocks)]
        self.records = set()
        self.clock = Clock()

    def worker(self, name, folder=None, clock=None):
        folder = InterruptedFolder(self.folder) if folder is None else folder
        return Worker(self, name, folder, clock or self.clock)

    def unfinished(self):
        return [block for block in self.blocks if block not in self.records]

    def is_finished(self, block):
        return block in self.records

    def leases(self):
        return sorted(self.folder.names("leases"))


class Worker(BlockLeases):
    def __init__(self, sweep, name, folder, clock):
        super().__init__(folder, name, LEASE, clock)
        self.sweep, self.folder = sweep, folder

    def take(self):
        return self.claim(self.sweep.unfinished, self.sweep.is_finished)

    def train(self, block):
        self.sweep.records.add(block)
        self.finish(block)

    def wait_for_a_block(self):
        """Claim until a block is found, and return it with the seconds that this took."""
        begin = self.sweep.clock.now
        while (block := self.take()) is None:
            self.sweep.clock.now += LEASE / 8
            self.beat({})
            assert self.sweep.clock.now < begin + 10 * LEASE, "no block was found"
        return block, self.sweep.clock.now - begin


def lost_block(sweep, name="lost"):
    """A block whose holder is never heard of again."""
    return sweep.worker(name).take()


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


class LaggingFolder(InterruptedFolder):
    """Listings show for a while what they showed before."""

    def __init__(self, shared, clock, seconds):
        super().__init__(shared)
        self.clock, self.seconds, self.seen = clock, seconds, {}

    def _act(self, operation, name, act):
        if operation not in ("names", "versions"):
            return super()._act(operation, name, act)
        time, answer = self.seen.get((operation, name), (-1e9, None))
        if self.clock() - time >= self.seconds:
            answer = super()._act(operation, name, act)
            self.seen[operation, name] = self.clock(), answer
        return answer


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


# What may lie in the place of a file of a worker.
def flip_bits(rng, content):
    damaged = bytearray(content or b"x")
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


DAMAGE = [
    flip_bits,
    lambda rng, content: content[: rng.randrange(len(content) + 1)],
    lambda rng, content: rng.randbytes(rng.randint(0, 300)),
    lambda rng, content: content + rng.randbytes(20),
    lambda rng, content: b"9" * 70_000,
    lambda rng, content: b"[" * 60_000,
    lambda rng, content: b"",
    lambda rng, content: b'{"worker": "lost0", "beat": -1, "status": 3}',
    lambda rng, content: content[::-1],
    lambda rng, content: b"one",
]


def damage(rng, folder, blocks):
    """Damage, remove or add some files."""
    for _ in range(rng.randint(1, 6)):
        name = rng.choice(sorted(folder.files))
        content = folder.files[name][0]
        match rng.randrange(6):
            case 0:
                folder.remove(name)
                folder.create("leases/keep.1", b"keep")
            case 1:
                generation = rng.choice([1, 2, 7, 99, LAST_GENERATION - 1, LAST_GENERATION])
                folder.create(f"leases/{rng.choice(blocks)}.{generation}", content)
            case 2:
                foreign = rng.choice(
                    ["x", "000-000001.", "a.b.1", "Ä.1", "000-000001.01", "9" * 99]
                )
                folder.create(f"{rng.choice(['leases', 'workers'])}/{foreign}", content)
            case _:
                folder.replace(name, rng.choice(DAMAGE)(rng, content))


def train_all(sweep):
    """Two workers train what is left; a third one watches."""
    workers = [sweep.worker("one"), sweep.worker("two")]
    for _ in range(200):
        for worker in workers:
            worker.beat({})
            if block := worker.take():
                worker.train(block)
        assert all(each.worker for each in workers[0].workers())
        if len(sweep.records) == len(sweep.blocks):
            return
        sweep.clock.now += LEASE / 4
    raise AssertionError(f"blocks are never trained: {sweep.unfinished()}, {sweep.leases()}")


def check_damaged_files(first, last):
    for seed in range(first, last):
        rng = random.Random(seed)
        sweep = Sweep(4)
        for number in range(3):
            lost_block(sweep, f"lost{number}")
        damage(rng, sweep.folder, sweep.blocks)
        try:
            train_all(sweep)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        assert sweep.clock.now <= 4 * LEASE, f"seed {seed}: a block waited"


@pytest.mark.slow
def test_damaged_files_stop_no_one():
    check_damaged_files(0, 2000)


@pytest.mark.slow
def test_damaged_files_stop_no_one_in_many_cases():
    check_damaged_files(2000, 50_000)


def test_files_of_other_kinds_stop_no_one(tmp_path):
    """Folders, pipes and links lie in the place of leases and heartbeats."""
    sweep = Sweep(3, DirectoryFolder(tmp_path))
    lost_block(sweep)
    (tmp_path / "leases" / f"{sweep.blocks[0]}.2").mkdir()
    (tmp_path / "leases" / f"{sweep.blocks[1]}.7").symlink_to("/dev/zero")
    (tmp_path / "workers" / "foreign.json").mkdir()
    (tmp_path / "workers" / "pipe").symlink_to("/nowhere")
    train_all(sweep)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_does_not_import_jax(module):
    assert "import jax" not in (Path(jinit.sweep.__file__).parent / f"{module}.py").read_text()
