"""Faults that layers have together: of what they do to a signal, each after the other."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jinit.diagnostics.cures import kernel_line, mismatch, needed
from jinit.diagnostics.expect import Expectation
from jinit.diagnostics.finding import Case, Finding, factor
from jinit.diagnostics.rows import Row

_OFF = math.log(1.25)
"""Gains closer than this are what is needed."""
_FAR_OFF = math.log(100.0)
"""Of the last layer, which may have any gain within reason."""
_EXPLAINED = 0.25
"""Share of a growth that gains have to account for if they are its cause."""
_FEWEST_ROUNDS = 8
"""Rounds of a loop from which on growth is told from what a start at zero does."""
_SAME_ROWS = 1e-13
"""1 - c below which float32 cannot tell directions apart."""
_UNSCALED = 0.25
"""Mean square of a residual branch over its stream's, above which the stream grows quickly."""


def forward(case: Case, number: int) -> Finding | None:
    """What the layers of a chain have done to the signal together."""
    row, expected = case.rows[number], case.expected[number]
    if not expected.depth or math.isnan(expected.growth):
        return None
    band = expected.growth_band
    small = expected.growth < 0 and (row.may_be_small or row.weight.second == 0)
    if band.low <= expected.growth <= band.high or small:
        return None
    word = "exploding" if expected.growth > 0 else "vanishing"
    each = factor(expected.growth / (expected.depth + 1))
    what = (
        f"its signal is {factor(expected.growth)} what came in {expected.depth + 1} layers "
        f"before, {each} for every layer (healthy in total: {_range(expected)})"
    )
    return _blamed(case, number, Growth(word, what, expected.growth), case.up_to(number))


def backward(case: Case, number: int) -> Finding | None:
    """What the layers of a chain have done to the gradient together."""
    expected = case.expected[number]
    if not expected.above or math.isnan(expected.back_growth) or expected.back_growth == math.inf:
        return None
    band, last = expected.back_band, case.rows[case.chain(number)[-1]]
    # A branch may be small, and a kernel of zeros, which was looked at, stops the gradient.
    zero = any(case.rows[each].weight.second == 0 for each in case.onwards(number))
    small = expected.back_growth < 0 and (zero or last.leaf.end == "residual")
    if band.low <= expected.back_growth <= band.high or small:
        return None
    each = factor(expected.back_growth / expected.above)
    what = (
        f"the gradient that reaches it is {factor(expected.back_growth)} that of the layer "
        f"{expected.above} layers later, {each} for every layer"
    )
    word = "vanishing"
    if expected.back_growth > 0:
        end = case.expected[case.chain(number)[-1]]
        apart = case.rows[number].found.made.apart, last.found.made.apart
        steady_ = abs(end.growth) < end.growth_band.high
        word = "chaotic" if steady_ and apart[1] > 0.3 * apart[0] else "exploding"
    return _blamed(case, number, Growth(word, what, expected.back_growth), case.onwards(number))


def recurrence(case: Case, number: int) -> Finding | None:
    """What a kernel that all rounds of a loop use does to the signal and gradient in time."""
    row = case.rows[number]
    if row.over_rounds is None or len(row.over_rounds[0]) < _FEWEST_ROUNDS:
        return None
    second, total = row.over_rounds
    first, rounds = len(second) // 4, len(second) - len(second) // 4  # it may begin at zero
    grown = _log(float(second[-1])) - _log(float(second[first]))
    back = _log(float(total[first])) - _log(float(total[-1]))
    limit = math.log(4.0 * (1 + rounds))
    if not max(grown, back) > limit or math.isinf(max(grown, back)):
        return None
    what = "its signal" if grown > limit else "the gradient, on its way back,"
    log = grown if grown > limit else back
    loop = row.contraction.place[:-1]
    beside = [each for each in case.rows if each.contraction.place[:-1] == loop and each.gain2]
    worst = max(beside, key=lambda each: abs(math.log(each.gain2)), default=row)
    return Finding(
        "exploding",
        f"{what} becomes {factor(log)} as large in {rounds} rounds of its loop, "
        f"{factor(log / rounds)} in each: {mismatch(worst)}",
        "recurrent_kernel_init=jinit.orthogonal()",
        "" if worst is row else worst.name,
    )


def collapse(case: Case, number: int) -> Finding | None:
    """Results that are alike for all inputs."""
    row, expected = case.rows[number], case.expected[number]
    if not expected.depth:
        return None
    first = case.rows[case.chain(number)[0]].found.made.apart
    apart = row.found.made.apart
    limit = 2 * expected.growth_band.low
    if row.weight.second == 0:
        return None  # on purpose, or else its units are alike, which was looked at
    if not first > 1e-6 or math.isnan(apart) or math.log(max(apart, _SAME_ROWS) / first) > limit:
        return None
    what = f"its results are alike for all inputs, up to {apart:.1e} of their size"
    return _blamed(case, number, Growth("collapsed", what, 0.0), case.up_to(number))


class Growth(NamedTuple):
    """What layers have done together: its verdict, how it is said, and its logarithm."""

    verdict: str
    what: str
    log: float


def _blamed(case: Case, number: int, growth: Growth, members: Sequence[int]) -> Finding:
    """The layer whose biases drown its sums; else the layer itself, if its gain is off; else the
    one of a stretch whose gain is off most."""
    loudest = max(members, key=lambda place: _loudness(case.rows[place]))
    if _loudness(case.rows[loudest]) > 1:
        row = case.rows[loudest]
        biases = math.sqrt(row.found.bias_second)
        cause = f"{growth.what}: biases of RMS {biases:.3g} outweigh the sums they are added to"
        cure = "bias_init=jinit.zeros"
        return Finding(growth.verdict, cause, cure, _other(case, loudest, number))
    off = {place: _off(case.rows[place]) for place in members}
    worst = max(members, key=lambda place: off[place])
    if sum(off.values()) < _EXPLAINED * abs(growth.log):
        between = "gains are as they should be, so it is what lies between: a factor, stop_gradient"
        return Finding(growth.verdict, f"{growth.what}: {between}")
    place = number if off[number] > _OFF or off[worst] <= _OFF else worst
    row = case.rows[place]
    cause, cure = f"{growth.what}: {mismatch(row)}", kernel_line(row)
    return Finding(growth.verdict, cause, cure, _other(case, place, number))


def _other(case: Case, place: int, number: int) -> str:
    """The name of the layer that is to blame, if it is another one."""
    return "" if place == number else case.rows[place].name


def _loudness(row: Row) -> float:
    """Mean square of a layer's biases over that of its sums."""
    sums = row.gain2 * row.found.taken.second
    return row.found.bias_second / sums if sums > 0 else 0.0


def _off(row: Row) -> float:
    """How far a gain is from what is needed, as a logarithm of mean squares."""
    point = needed(row)
    if point is None or not row.gain2:
        return math.inf
    off = abs(math.log(row.gain2 / point[0]))
    open_end = row.leaf.activation is None or row.leaf.activation.end == "output"
    return 0.0 if open_end and off < _FAR_OFF else off


def unscaled(rows: Sequence[Row]) -> dict[int, Finding]:
    """Ends of residual branches that together make the stream explode."""
    ends = [(number, row.branch) for number, row in enumerate(rows) if row.branch is not None]
    if len(ends) < 2 or not ends[0][1].stream > 0:
        return {}
    last, count = ends[-1][1], len(ends)
    grown = _log((last.stream + last.branch) / ends[0][1].stream)
    # Branches that see a normalized stream add less and less to it; it is the others that compound.
    late = sorted(math.log1p(branch.branch / branch.stream) for _, branch in ends[count // 2 :])
    compound = count * late[len(late) // 2]
    if not min(grown, compound) > math.log(4.0 * (1 + count)):
        return {}
    cure = f'kernel_init=jinit.variance_scaling(1 / {count}, "fan_in", "truncated_normal")'
    return {
        number: Finding(
            "exploding",
            f"{count} residual branches are not scaled: this one adds "
            f"{branch.branch / branch.stream:.2g} times the stream's mean square, and the stream's "
            f"RMS grows to {factor(grown)} what it was",
            cure,
        )
        for number, branch in ends
        if branch.branch > _UNSCALED * branch.stream
    }


def _log(value: float) -> float:
    return math.inf if math.isnan(value) else math.log(value) if value > 0 else -math.inf


def _range(expected: Expectation) -> str:
    low, high = (math.exp(each / 2) for each in expected.growth_band[1:])
    return f"{low:.2g} to {high:.2g}"
