"""When a place for workers is up, and when it pauses."""

import bisect
import random
from collections.abc import Iterator
from dataclasses import dataclass

NEVER = float("inf")


@dataclass(frozen=True)
class Troubles:
    """What happens to workers. Seconds are means of exponential distributions."""

    seconds_between_ends: float = NEVER
    """Time after which a worker ends before its work is done."""
    killed_share: float = 0.7
    """Share of these ends without a chance to give blocks back."""
    seconds_until_return: float = 120.0
    """Time until another worker begins in its place."""
    seconds_between_pauses: float = NEVER
    """Time after which a worker pauses and then goes on, like a suspended virtual machine."""
    pause_seconds: float = 240.0
    """Length of a pause."""
    clock_spread: float = 0.1
    """Largest difference of the rate of a clock from 1."""
    clock_offset: float = 36_000.0
    """Largest difference of two clocks in seconds."""


@dataclass(frozen=True)
class Life:
    """One worker: when it begins and ends, and whether it is killed or asked to end."""

    begin: float
    end: float
    is_killed: bool


class Availability:
    """The lives and pauses of one place, which do not depend on what is done there.

    Args:
      troubles: what happens.
      seed: number of the place.
      begin: when its first worker begins.
    """

    def __init__(self, troubles: Troubles, seed: str, begin: float) -> None:
        self._lives = _lives(troubles, random.Random(f"lives {seed}"), begin)
        self._more_pauses = _pauses(troubles, random.Random(f"pauses {seed}"))
        self._pauses = [next(self._more_pauses)]
        self.life = next(self._lives)

    def begin_next_life(self) -> Life:
        """Go to the next life and return it."""
        self.life = next(self._lives)
        return self.life

    def end_of(self, begin: float, end: float) -> float:
        """Return when something ends that would last from `begin` to `end` without pauses."""
        while self._pauses[-1][0] < end:
            self._pauses.append(next(self._more_pauses))
        place = bisect.bisect_right(self._pauses, (begin, NEVER)) - 1
        for start, length in self._pauses[max(place, 0) :]:
            if start >= end:
                break
            end += max(start + length - max(start, begin), 0)
            while self._pauses[-1][0] < end:
                self._pauses.append(next(self._more_pauses))
        return end


def _lives(troubles: Troubles, rng: random.Random, begin: float) -> Iterator[Life]:
    while True:
        end = begin + _draw(rng, troubles.seconds_between_ends)
        yield Life(begin, end, rng.random() < troubles.killed_share)
        begin = end + _draw(rng, troubles.seconds_until_return)


def _pauses(troubles: Troubles, rng: random.Random) -> Iterator[tuple[float, float]]:
    time = 0.0
    while True:
        time += _draw(rng, troubles.seconds_between_pauses)
        length = _draw(rng, troubles.pause_seconds)
        yield time, length
        time += length


def _draw(rng: random.Random, mean: float) -> float:
    return NEVER if mean == NEVER else rng.expovariate(1 / mean)
