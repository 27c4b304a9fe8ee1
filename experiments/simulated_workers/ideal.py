"""A scheduler that knows everything at once, with the same workers, pauses and ends."""

import heapq
from collections.abc import Sequence

from simulated_workers.availability import Availability


def ideal_ends(durations: Sequence[float], places: Sequence[Availability]) -> list[float]:
    """Return when the blocks are finished if each goes to a free worker at once, in order of time.

    Blocks keep their order. None is given to a worker that will end or pause in the middle of it.

    Args:
      durations: seconds of each block.
      places: when workers are up; they are used up.
    """
    free = [(place.life.begin, number) for number, place in enumerate(places)]
    heapq.heapify(free)
    ends = []
    for duration in durations:
        while True:
            begin, number = heapq.heappop(free)
            place, end = places[number], begin + duration
            if end >= place.life.end:
                heapq.heappush(free, (place.begin_next_life().begin, number))
            elif (resumed := place.end_of(begin, end)) > end:
                heapq.heappush(free, (resumed, number))
            else:
                break
        heapq.heappush(free, (end, number))
        ends.append(end)
    return sorted(ends)
