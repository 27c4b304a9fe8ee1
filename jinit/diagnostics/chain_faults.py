"""Faults that layers have together: of what they do to a signal, each after the other."""

import math
from collections.abc import Sequence

from jinit.diagnostics.cures import kernel_line, mismatch, needed
from jinit.diagnostics.expect import Expectation
from jinit.diagnostics.finding import Case, Finding, factor
from jinit.diagnostics.rows import Row

_OFF = math.log(1.25)
"""Gains closer than this are what is needed."""
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
    small = expected.growth < 0 and row.may_be_small
    if band.low <= expected.growth <= band.high or small:
        return None
    word = "exploding" if expected.growth > 0 else "vanishing"
    each = factor(expected.growth / (expected.depth + 1))
    what = (
        f"its signal is {factor(expected.growth)} what came in {expected.depth + 1} layers "
        f"before, {each} for every layer (healthy in total: {_range(expected)})"
    )
    return _blamed(case, number, word, what, case.up_to(number))


def backward(case: Case, number: int) -> Finding | None:
    """What the layers of a chain have done to the gradient together."""
    expected = case.expected[number]
    if not expected.above or math.isnan(expected.back_growth) or expected.back_growth == math.inf:
        return None
    band = expected.back_band
    if band.low <= expected.back_growth <= band.high:
        return None
    each = factor(expected.back_growth / expected.above)
    what = (
        f"the gradient that reaches it is {factor(expected.back_growth)} that of the layer "
        f"{expected.above} layers later, {each} for every layer"
    )
    word = "vanishing"
    if expected.back_growth > 0:
        last = case.chain(number)[-1]
        apart = case.rows[number].found.made.apart, case.rows[last].found.made.apart
        steady_ = abs(case.expected[last].growth) < case.expected[last].growth_band.high
        word = "chaotic" if steady_ and apart[1] > 0.3 * apart[0] else "exploding"
    return _blamed(case, number, word, what, case.onwards(number))


def collapse(case: Case, number: int) -> Finding | None:
    """Results that are alike for all inputs."""
    row, expected = case.rows[number], case.expected[number]
    if not expected.depth:
        return None
    first = case.rows[case.chain(number)[0]].found.made.apart
    apart = row.found.made.apart
    limit = 2 * expected.growth_band.low
    if not first > 1e-6 or math.isnan(apart) or math.log(max(apart, _SAME_ROWS) / first) > limit:
        return None
    what = f"its results are alike for all inputs, up to {apart:.1e} of their size"
    return _blamed(case, number, "collapsed", what, case.up_to(number))


def _blamed(case: Case, number: int, word: str, what: str, members: Sequence[int]) -> Finding:
    """The layer itself, if its gain is off; else the one of a stretch whose gain is off most."""
    row = case.rows[number]

    def off(place: int) -> float:
        each = case.rows[place]
        point = needed(each)
        if point is None or not each.gain2:
            return math.inf
        open_end = each.leaf.activation is None or each.leaf.activation.end == "output"
        return 0.0 if open_end else abs(math.log(each.gain2 / point[0]))

    worst = max(members, key=off)
    if off(number) > _OFF or off(worst) <= _OFF:
        return Finding(word, f"{what}: {mismatch(row)}", kernel_line(row))
    return Finding(
        word,
        f"{what}: {mismatch(case.rows[worst])}",
        kernel_line(case.rows[worst]),
        case.rows[worst].name,
    )


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
