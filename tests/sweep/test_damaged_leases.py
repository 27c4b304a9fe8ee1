"""Files of workers that are damaged, or of another kind, stop no worker."""

import random

import pytest
from sweep.leasing import LEASE, Sweep, lost_block

from jinit.sweep.directory_folder import DirectoryFolder
from jinit.sweep.lease_files import LAST_GENERATION


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
