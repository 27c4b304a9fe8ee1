"""A scheduler that knows everything at once, with the same workers, pauses and ends."""

import heapq
from collections.abc import Sequence

from simulated_workers.availability import Availability


def ideal_seconds(durations: Sequence[float], places: Sequence[Availability]) -> float:
    """Return when the last block is finished if each block goes to a free worker at once.

    Blocks keep their order. None is given to a worker that will end or pause in the middle of it.

    Args:
      durations: seconds of each block.
      places: when workers are up; they are used up.
    """
    free = [(place.life.begin, number) for number, place in enumerate(places)]
    heapq.heapify(free)
    last = 0.0
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
        last = max(last, end)
    return last
