"""A sweep in memory whose blocks workers lease, with clocks of their own."""

from sweep.memory_folder import Clock, InterruptedFolder, MemoryFolder

from jinit.sweep.block_leases import BlockLeases

LEASE = 100.0


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
