"""A worker in a process of its own, for tests: its blocks take no time."""

import time
from pathlib import Path

from jinit.sweep.block_leases import BlockLeases
from jinit.sweep.directory_folder import DirectoryFolder


def claim_all(directory: Path, name: str, blocks: list[str], lease_seconds: float) -> list[str]:
    """Train until all blocks have records, and return those that were claimed."""
    records = directory / "records"
    leases = BlockLeases(DirectoryFolder(directory), name, lease_seconds)

    def unfinished():
        finished = {path.name for path in records.iterdir()}
        return [block for block in blocks if block not in finished]

    claimed = []
    while True:
        block = leases.claim(unfinished, lambda block: (records / block).exists())
        if block is not None:
            claimed.append(block)
            time.sleep(0.001)
            (records / block).touch()
            leases.finish(block)
        elif leases.unfinished:
            time.sleep(leases.idle_seconds() / 10)
        else:
            leases.leave()
            return claimed
        leases.beat({"claimed": len(claimed)})


def work(directory: Path, name: str, blocks: list[str]) -> None:
    """Train two sweeps: the second one has blocks of a worker that was killed."""
    for part, lease_seconds in (("first", 600.0), ("second", 2.0)):
        claimed = claim_all(directory / part, name, blocks, lease_seconds)
        (directory / part / f"claimed-{name}").write_text("\n".join(claimed))


def hold(directory: Path, blocks: list[str]) -> None:
    """Claim three blocks and never finish them."""
    leases = BlockLeases(DirectoryFolder(directory), "killed", 2.0)
    for _ in range(3):
        leases.claim(lambda: blocks, lambda _: False)
    (directory / "held").touch()
    time.sleep(600)
