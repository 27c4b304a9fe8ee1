"""Many workers that train blocks, with the leases of jinit, in simulated time."""

import random
import statistics
from dataclasses import dataclass, field

from jinit.sweep.block_leases import BlockLeases
from simulated_workers.availability import Availability, Troubles
from simulated_workers.disk import Machine, Server, SharedDisk, name_in
from simulated_workers.ideal import ideal_ends
from simulated_workers.journal import Journal
from simulated_workers.scheduler import Scheduler


@dataclass(frozen=True)
class Setting:
    """What is simulated."""

    workers: int = 50
    blocks: int = 500
    block_seconds: float = 60.0
    """Median of the log-normal durations of blocks."""
    spread: float = 0.5
    """Standard deviation of their logarithm."""
    lease_seconds: float = 120.0
    begin_within: float = 10.0
    """Seconds within which the first workers begin."""
    server: Server = field(default_factory=Server)
    troubles: Troubles = field(default_factory=Troubles)
    seed: int = 0


class EndOfWorker(BaseException):
    """A worker ends in the middle of something."""


class Place:
    """A place at which one worker after the other trains."""

    def __init__(self, number: int, run: "Simulation") -> None:
        setting = run.setting
        self.run, self.number, self.journal = run, number, run.journal
        self.rng = random.Random(f"{setting.seed} {number}")
        self.availability = run.availability(number)
        troubles = setting.troubles
        self.rate = 1 + self.rng.uniform(-1, 1) * troubles.clock_spread
        self.offset = self.rng.uniform(0, 1) * troubles.clock_offset

    def clock(self) -> float:
        """Return the time on the clock of this machine."""
        return self.offset + self.rate * self.run.scheduler.now

    def wait_until(self, time: float) -> None:
        """Wait, unless the worker ends before."""
        now, end = self.run.scheduler.now, self.availability.life.end
        time = self.availability.end_of(now, max(time, now))
        self.run.scheduler.wait_until(min(time, end))
        if time >= end:
            raise EndOfWorker

    def wait(self, seconds: float) -> None:
        """Wait for some time."""
        self.wait_until(self.run.scheduler.now + seconds)

    def live(self) -> None:
        """Train until all blocks have records, with a new worker after each that ends."""
        life = 0
        while True:
            leases = self._leases(f"w{self.number}-{life}")
            try:
                self._work(leases)
                return
            except EndOfWorker:
                self.journal.ends += 1
            if not self.availability.life.is_killed:
                self._leave(leases)
            life += 1
            if self.run.is_complete:
                return
            begin = self.availability.begin_next_life().begin
            self.run.scheduler.wait_until(begin)

    def _leases(self, worker: str) -> BlockLeases:
        scheduler, setting = self.run.scheduler, self.run.setting
        self.machine = Machine(self.run.disk, self.wait_until, lambda: scheduler.now, self.rng)
        return BlockLeases(self.machine, worker, setting.lease_seconds, self.clock)

    def _leave(self, leases: BlockLeases) -> None:
        """Give blocks back before the end, which waits for it."""
        self.machine.wait_until = self.run.scheduler.wait_until
        leases.leave()

    def _work(self, leases: BlockLeases) -> None:
        leases.beat({"place": self.number})
        while True:
            begin = self.run.scheduler.now
            block = leases.claim(self._list_unfinished, self._is_finished)
            if block is not None:
                self.run.note_claim(block, begin)
                self._train(block, leases)
            elif leases.unfinished:
                self.journal.idle_claims += 1
                self._idle(leases)
            else:
                break
        leases.leave()

    def _idle(self, leases: BlockLeases) -> None:
        left = leases.idle_seconds()
        while left > 0:
            leases.beat({"place": self.number})
            self.wait(min(left, leases.beat_seconds) / self.rate)
            left -= leases.beat_seconds

    def _list_unfinished(self) -> list[str]:
        return self.machine.list_records(lambda: list(self.run.unfinished))

    def _is_finished(self, block: str) -> bool:
        return self.machine.read(f"records/{block}") is not None

    def _train(self, block: str, leases: BlockLeases) -> None:
        journal, left = self.journal, self.run.durations[block]
        done = 0.0
        try:
            while done < left:
                seconds = min(leases.beat_seconds / self.rate, left - done)
                begin = self.run.scheduler.now
                try:
                    self.wait(seconds)
                except EndOfWorker:
                    done += min(self.run.scheduler.now - begin, seconds)
                    raise
                done += seconds
                leases.beat({"block": block})
            self.machine.create(f"records/{block}", b"records")
            self.run.note_end(block)
        except EndOfWorker:
            if name_in(self.run.disk, f"records/{block}"):
                self.run.note_end(block)
            else:
                journal.trained_seconds += done
                journal.interrupted_seconds += done
                is_killed = self.availability.life.is_killed
                journal.interrupted[block] = self.run.scheduler.now, is_killed
            raise
        leases.finish(block)


class Simulation:
    """One run of workers until all blocks have records.

    Args:
      setting: what is simulated.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting, self.journal = setting, Journal()
        self.scheduler, self.disk = Scheduler(), SharedDisk(setting.server)
        self.blocks = [f"000-{number:06d}" for number in range(setting.blocks)]
        self.unfinished = dict.fromkeys(self.blocks)
        rng = random.Random(f"durations {setting.seed}")
        self.durations = {
            block: setting.block_seconds * rng.lognormvariate(0, setting.spread)
            for block in self.blocks
        }
        self._places = [Place(number, self) for number in range(setting.workers)]

    @property
    def is_complete(self) -> bool:
        """Return whether all blocks have records."""
        return len(self.journal.finished_at) == len(self.blocks)

    def availability(self, number: int) -> Availability:
        """Return when the place of a number is up, from the beginning."""
        setting = self.setting
        begin = random.Random(f"begin {setting.seed} {number}").uniform(0, setting.begin_within)
        return Availability(setting.troubles, f"{setting.seed} {number}", begin)

    def run(self) -> Journal:
        """Run until all workers have left."""
        for place in self._places:
            self.scheduler.spawn(place.live, place.availability.life.begin)
        self.scheduler.run()
        return self.journal

    def note_claim(self, block: str, begin: float) -> None:
        """Note that a block was claimed."""
        journal, now = self.journal, self.scheduler.now
        journal.claims += 1
        journal.claim_seconds += now - begin
        if block not in journal.claimed:
            journal.claimed.add(block)
            journal.last_first_claim = now
        if (found := journal.interrupted.pop(block, None)) is not None:
            journal.takeovers.append((found[0], now, found[1]))

    def note_end(self, block: str) -> None:
        """Note that a block was trained to its end."""
        journal = self.journal
        journal.trained[block] += 1
        journal.trained_seconds += self.durations[block]
        if journal.trained[block] > 1:
            journal.twice_seconds += self.durations[block]
        journal.finished_at.setdefault(block, self.scheduler.now)
        self.unfinished.pop(block, None)

    def ideal(self) -> list[float]:
        """Return when an ideal scheduler would have finished the blocks."""
        places = [self.availability(number) for number in range(self.setting.workers)]
        return ideal_ends(list(self.durations.values()), places)


def summarize(run: Simulation) -> dict[str, float]:
    """Return figures of a run that has ended."""
    journal, disk = run.journal, run.disk
    ends, ideal = sorted(journal.finished_at.values()), run.ideal()
    seconds, most = ends[-1], len(ends) * 99 // 100
    operations = sum(disk.operations.values())
    killed = [claimed - end for end, claimed, is_killed in journal.takeovers if is_killed]
    given_back = [claimed - end for end, claimed, is_killed in journal.takeovers if not is_killed]
    without_free = [
        claimed - max(end, journal.last_first_claim)
        for end, claimed, _ in journal.takeovers
        if claimed > journal.last_first_claim
    ]
    return {
        "finished": len(journal.finished_at),
        "seconds": seconds,
        "efficiency": ideal[-1] / seconds,
        "efficiency until 99 % are finished": ideal[most] / ends[most],
        "trained twice": sum(journal.trained.values()) - len(journal.trained),
        "share trained twice": journal.twice_seconds / journal.trained_seconds,
        "share interrupted": journal.interrupted_seconds / journal.trained_seconds,
        "ends of workers": journal.ends,
        "takeovers": len(journal.takeovers),
        "median takeover after a kill": statistics.median(killed or [0.0]),
        "longest takeover after a kill": max(killed, default=0.0),
        "longest takeover after giving back": max(given_back, default=0.0),
        "longest takeover without free blocks": max(without_free, default=0.0),
        "operations": operations,
        "operations per second": operations / seconds,
        "operations per claim": operations / max(journal.claims, 1),
        "mean seconds of a claim": journal.claim_seconds / max(journal.claims, 1),
        "server load": disk.busy_seconds / seconds,
        "leases left": len(disk.files["leases"]),
        **{f"operations {name}": count for name, count in sorted(disk.operations.items())},
    }


def simulate(setting: Setting) -> dict[str, float]:
    """Run a simulation and return its figures."""
    run = Simulation(setting)
    run.run()
    return summarize(run)
