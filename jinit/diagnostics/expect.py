"""What theory expects of each layer, and how far a healthy network of its width may stray."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from jinit.diagnostics.band import DEVIATIONS, Band
from jinit.diagnostics.expect_shares import HandedOn, handed_on
from jinit.diagnostics.rows import Row
from jinit.diagnostics.statistics import ROWS
from jinit.model import Activation
from jinit.theory import Response, cosine_map, response

_SLACK = 4.0
"""At criticality smooth activations change the signal like a power of the depth: a healthy one
changes the mean square by less than this times the number of layers."""
_LEAST_SLACK = 32.0
"""A few layers may change it by this much, as one sigmoid layer does to a gradient."""
_OF_SQUARES = 2.0
"""Relative variance of the square of a normal number."""


@dataclass(frozen=True)
class Expectation:
    """Of one layer; mean squares, and logarithms of their ratios."""

    second: Band | None
    """Mean square of the pre-activations, given the weights' and what the chain takes in."""
    gradient: Band | None
    """Sum of squares of the gradient, given that at the chain's last layer."""
    correlation: Band | None
    """Mean cosine of pairs of rows, given that at the chain's first layer."""
    handed_on: HandedOn
    """Shares of zeros and of limits in what its activation makes."""
    growth: float
    """ln of the mean square over what the chain takes in: of the pre-activations, or, if they have
    a scale of their own as before sin(30 x), of what is made of them."""
    growth_band: Band
    """What is healthy for that, whatever the weights."""
    back_growth: float
    """ln of the gradient's sum of squares over that at the chain's last layer, and over the
    square of its gain if that is small and may be."""
    back_band: Band
    depth: int
    """Layers of the chain before this one."""
    above: int
    """Layers of the chain after this one."""


def expectations(rows: Sequence[Row]) -> tuple[Expectation, ...]:
    """Of every layer, by chains: layers that follow each other with an activation in between."""
    found: dict[int, Expectation] = {}
    for chain in _chains(rows):
        found |= zip(chain, _of_chain([rows[number] for number in chain]), strict=True)
    return tuple(found[number] for number in range(len(rows)))


def _chains(rows: Sequence[Row]) -> list[list[int]]:
    """Numbers of the layers of each chain, in order."""
    chains: list[list[int]] = []
    place: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        before = row.before
        if before is not None and place[before][-1] == before and _response(rows[before], 1.0):
            place[number] = place[before]
            place[number].append(number)
        else:
            place[number] = [number]
            chains.append(place[number])
    return chains


def _response(row: Row, q: float) -> Response | None:
    """What the activation behind a layer does; None if theory cannot say."""
    phi: Activation | None = row.leaf.activation
    if phi is None or not (q > 0 and math.isfinite(q)):
        return None
    try:
        return response(phi, q)
    except ValueError:
        return None


class _State(NamedTuple):
    """Of ln q: its mean, its variance, and how far its typical value lies below its mean's."""

    log_q: float
    variance: float
    shift: float


def _of_chain(rows: Sequence[Row]) -> list[Expectation]:
    forward = _forward(rows)
    back = _backward(rows, forward)
    cosines = _correlations(rows, forward)
    taken, last = rows[0].found.taken.second, rows[-1].found.back.total
    # A last kernel that is small on purpose is no loss of gradient.
    small = min(_log(rows[-1].gain2), 0.0) if rows[-1].may_be_small else 0.0

    def grown(row: Row) -> float:
        own = _log(row.found.back.total) - _log(last)
        return own if row is rows[-1] or not own < 0 else own - max(small, own)

    return [
        Expectation(
            _around(state, 2 / row.width),
            _gradient(last, gradient),
            cosine,
            handed_on(row, _around(state, 2 / row.width)),
            min((_log(each) - _log(taken) for each in _sizes(rows, place)), key=abs),
            _healthy(place, state.variance + 2 / row.width, state.shift),
            grown(row),
            _healthy(len(rows) - 1 - place, gradient.variance, gradient.shift),
            place,
            len(rows) - 1 - place,
        )
        for place, (row, state, gradient, cosine) in enumerate(
            zip(rows, forward, back, cosines, strict=True)
        )
    ]


def _sizes(rows: Sequence[Row], place: int) -> list[float]:
    """Mean square of a layer's pre-activations, and, in a chain, of what the next one takes in."""
    handed_on = [row.found.taken.second for row in rows[place + 1 : place + 2]]
    return [rows[place].found.made.second, *handed_on]


def _forward(rows: Sequence[Row]) -> list[_State]:
    first = rows[0]
    own = first.gain2 * first.found.taken.second + first.found.bias_second
    states = [_State(_log(own), 0.0, 0.0)]
    for before, row in pairwise(rows):
        log_q, variance, shift = states[-1]
        seen = _response(before, math.exp(min(log_q, 60.0)))
        if seen is None:
            states.append(_State(_log(row.found.made.second), 0.0, 0.0))
            continue
        product, bias = row.gain2 * seen.second, row.found.bias_second
        part = product / (product + bias) if product + bias > 0 else 0.0
        handed, own = (seen.power * part) ** 2, part * seen.spread / before.width
        states.append(
            _State(
                _log(product + bias),
                handed * variance + part * own,
                seen.power * part * shift + own / 2,
            )
        )
    return states


def _backward(rows: Sequence[Row], forward: Sequence[_State]) -> list[_State]:
    states = [_State(0.0, 0.0, 0.0)]
    for number in range(len(rows) - 2, -1, -1):
        row, after = rows[number], rows[number + 1]
        seen = _response(row, math.exp(min(forward[number].log_q, 60.0)))
        log_g, variance, shift = states[-1]
        if seen is None:
            states.append(_State(log_g, variance, shift))
            continue
        own = seen.slope_spread / row.width
        grown = log_g + _log(after.gain2 * seen.slope2)
        states.append(_State(grown, variance + own, shift + own / 2))
    return states[::-1]


def _correlations(rows: Sequence[Row], forward: Sequence[_State]) -> list[Band | None]:
    """By layer: what n units make of c strays by `c (1 - c) √(2/n)`, as a ratio of squares does."""
    bands: list[Band | None] = [None]
    value = 1 - rows[0].found.made.apart
    variance = _of_cosine(rows[0], value, _OF_SQUARES)
    for before, row, state in zip(rows[:-1], rows[1:], forward[:-1], strict=True):
        phi, q = before.leaf.activation, math.exp(min(state.log_q, 60.0))
        seen = _response(before, q)
        if phi is None or seen is None or not -1 <= value <= 1:
            return [*bands, *[None] * (len(rows) - len(bands))]
        cosine, slope = cosine_map(phi, q, value)
        product, bias = row.gain2 * seen.second, row.found.bias_second
        part = product / (product + bias) if product + bias > 0 else 1.0
        value = 1 - part * (1 - cosine)
        variance = (part * slope) ** 2 * variance + _of_cosine(before, value, seen.spread)
        reach = DEVIATIONS * math.sqrt(variance + _of_cosine(row, value, _OF_SQUARES))
        bands.append(Band(value, max(value - reach, -1.0), min(value + reach, 1.0)))
    return bands


def _of_cosine(row: Row, c: float, spread: float) -> float:
    """Variance of the mean cosine over units whose squares have this relative variance."""
    count = min(math.prod(row.contraction.shape) // row.width, ROWS)
    pairs = 2 * (1 + c) ** 2 / count  # what is left of single pairs' noise in the mean
    return (1 - c) ** 2 * (c**2 * max(spread, _OF_SQUARES) + pairs) / row.width


def _around(state: _State, own: float) -> Band | None:
    if not math.isfinite(state.log_q):
        return None
    reach = DEVIATIONS * math.sqrt(state.variance + own)
    ends = state.log_q - state.shift - reach, state.log_q + reach
    return Band(_exp(state.log_q), *map(_exp, ends))


def _gradient(last: float, state: _State) -> Band | None:
    if not (last > 0 and math.isfinite(last)):
        return None
    return _around(state._replace(log_q=state.log_q + math.log(last)), 0.0)


def _healthy(steps: int, variance: float, shift: float) -> Band:
    """Of a growth over so many layers."""
    reach = math.hypot(
        math.log(max(_SLACK * (1 + steps), _LEAST_SLACK)), DEVIATIONS * math.sqrt(variance)
    )
    return Band(0.0, -reach - shift, reach)


def _log(value: float) -> float:
    if math.isnan(value):
        return math.inf
    return math.log(value) if value > 0 else -math.inf


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
