"""From measurements and expectations to a verdict for every layer, its cause and its cure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp

from jinit.diagnostics.audit import misread
from jinit.diagnostics.cures import kernel_line, name_of, needed
from jinit.diagnostics.expect import Expectation
from jinit.diagnostics.rows import Row

VERDICTS = (
    *("overflowing", "underflowing", "symmetric", "dead", "saturated", "exploding", "vanishing"),
    *("chaotic", "collapsed", "misscaled", "stable"),
)
"""From the worst to the best."""

_LOCAL = math.log(100.0)
"""A kernel is at fault by itself if its gain is more than ten times too large or too small."""
_SATURATED = 0.6
"""A healthy relu6 has half of its activations at its lower limit, as relu has its zeros."""
_DEVIATIONS = 4.5
_DEAD = 0.75
_FEWEST_ENTRIES = 16
"""Entries of a kernel below which its mean square says little."""
_OFF = math.log(1.25)
"""Gains closer than this are what is needed."""
_SAME_ROWS = 1e-13
"""1 - c below which float32 cannot tell directions apart."""
_UNSCALED = 0.25
"""Mean square of a residual branch over its stream's, above which the stream grows quickly."""
_ZERO_ENDS = ("residual", "output")
"""Where a kernel of zeros is a deliberate start."""


@dataclass(frozen=True)
class Finding:
    """What is the matter with one layer."""

    verdict: str
    cause: str = ""
    cure: str = ""
    source: str = ""
    """Layer that it comes from; empty if it is this one."""


STABLE = Finding("stable")


@dataclass(frozen=True)
class Case:
    """All that a judgement may look at."""

    rows: Sequence[Row]
    expected: Sequence[Expectation]
    twins: Mapping[str, str]

    def chain(self, number: int) -> list[int]:
        """Numbers of the layers in the chain of one, in order."""
        members = [number]
        for _ in range(self.expected[number].depth):
            members.insert(0, self.rows[members[0]].before or 0)
        for _ in range(self.expected[number].above):
            members.append(self.rows[members[-1]].after or 0)
        return members

    def up_to(self, number: int) -> list[int]:
        """The layers of its chain until this one."""
        return self.chain(number)[: self.expected[number].depth + 1]

    def onwards(self, number: int) -> list[int]:
        """The layers of its chain from this one."""
        return self.chain(number)[self.expected[number].depth :]


def findings(
    rows: Sequence[Row], expected: Sequence[Expectation], twins: Mapping[str, str]
) -> tuple[Finding, ...]:
    """The first thing that is wrong with each layer, the worst first."""
    case = Case(rows, expected, twins)
    unscaled = _unscaled(rows)
    found = []
    for number in range(len(rows)):
        each = next(filter(None, (look(case, number) for look in _LOOKS)), STABLE)
        found.append(unscaled.get(number, each) if each is STABLE else each)
    return tuple(found)


def _overflow(case: Case, number: int) -> Finding | None:
    row = case.rows[number]
    if row.weight.broken:
        return Finding(
            "overflowing",
            "some of its weights are NaN or infinite",
            f"draw them anew: jinit.init(model, key, only={row.leaf.path!r}, keep=params)",
        )
    made, dtype = row.found.made, row.contraction.dtype
    wrong = [each.name for each in case.rows if each.weight.broken]
    earlier = [each.name for each in case.rows[:number] if each.found.made.broken]
    later = [each.name for each in case.rows[number + 1 :] if each.found.back.broken]
    limit = float(jnp.finfo(dtype).max)
    if made.broken:
        what = "its results are not finite"
        return Finding("overflowing", what, _of_range(row, limit), *(earlier or wrong)[:1])
    if made.largest > limit / 16:
        what = f"its largest result, {made.largest:.3g}, is close to the largest {dtype}"
        return Finding("overflowing", what, _of_range(row, limit))
    if row.found.back.broken:
        what, source = "its gradient is not finite", wrong or later[-1:]
        return Finding("overflowing", what, _of_range(row, limit), *source[:1])
    return None


def _of_range(row: Row, limit: float) -> str:
    if limit < 1e30:
        return f"dtype=jnp.bfloat16: {row.contraction.dtype} ends at {limit:g}, bfloat16 at 3e38"
    return kernel_line(row)


def _underflow(case: Case, number: int) -> Finding | None:
    row = case.rows[number]
    smallest = float(jnp.finfo(row.contraction.dtype).tiny)
    rms = math.sqrt(row.found.back.second)
    if smallest < 1e-30 or not rms or row.found.back.lost < 0.5 or rms > 1e3 * smallest:
        return None
    return Finding(
        "underflowing",
        f"{_share(row.found.back.lost)} of its gradient is lost below {smallest:.2g}, the smallest "
        f"{row.contraction.dtype}",
        "dtype=jnp.bfloat16, or multiply the loss by 1024 and divide the gradient by it",
    )


def _symmetry(case: Case, number: int) -> Finding | None:
    row, weight = case.rows[number], case.rows[number].weight
    leaf, value = row.leaf, math.sqrt(row.weight.second)
    cure = kernel_line(row)
    if leaf.path in case.twins:
        what = f"its kernel equals {case.twins[leaf.path]}, entry by entry: one key was used twice"
        return Finding("symmetric", what, "give each a key of its own: jax.random.split(key)")
    if weight.spread == 0 and math.prod(leaf.shape) > 1:
        after = leaf.activation
        if value == 0 and (after is None or after.end in _ZERO_ENDS):
            return None
        what = "zero" if value == 0 else f"the same number, {weight.mean:.3g}"
        return Finding(
            "symmetric", f"all of its weights are {what}, so that its units stay alike", cure
        )
    if row.found.made.identical == 1 and row.found.taken.second > 0:
        return Finding("symmetric", "all of its units compute the same", cure)
    for count, what in zip(row.repeated, ("units", "inputs"), strict=True):
        if count:
            return Finding(
                "symmetric", f"{count} of its {what} have the weights of another one", cure
            )
    return None


def _dead(case: Case, number: int) -> Finding | None:
    row = case.rows[number]
    if row.found.taken.second == 0:
        silent = [each for each in case.rows[:number] if each.found.taken.second > 0]
        source = silent[-1].name if silent else ""
        return Finding(
            "dead", "nothing arrives", "" if source else "give inputs that are not zero", source
        )
    after = None if row.after is None else case.rows[row.after]
    limit = max(_DEAD, min(1.0, 0.5 + _DEVIATIONS * math.sqrt(0.25 / row.width)))
    if after is None or after.found.taken.dead < limit or row.width < 2:
        return None
    if row.found.made.second == 0:
        return None
    share = f"{_share(after.found.taken.dead)} of its units are 0 for every example"
    if row.found.bias_second > row.gain2 * row.found.taken.second:
        bias = math.sqrt(row.found.bias_second)
        return Finding(
            "dead", f"{share}: its biases, {bias:.3g}, outweigh its sums", "bias_init=jinit.zeros"
        )
    return Finding("dead", share, kernel_line(row))


def _saturation(case: Case, number: int) -> Finding | None:
    row = case.rows[number]
    after = None if row.after is None else case.rows[row.after]
    if after is None or after.found.taken.saturated <= _SATURATED:
        return None
    what = (
        f"{_share(after.found.taken.saturated)} of its activations are at the limits of "
        f"{name_of(row.leaf.activation)}: its pre-activations have RMS "
        f"{math.sqrt(row.found.made.second):.3g}"
    )
    if row.found.bias_second > row.gain2 * row.found.taken.second:
        return Finding("saturated", f"{what}, most of it biases", "bias_init=jinit.zeros")
    if row.found.taken.second > 4 and row.gain2 < 4:
        return Finding(
            "saturated",
            f"{what}, since what it takes in has RMS {math.sqrt(row.found.taken.second):.3g}",
            "scale the inputs to mean 0 and standard deviation 1",
        )
    return Finding("saturated", what, kernel_line(row))


def _local(case: Case, number: int) -> Finding | None:
    """A gain that is out of all proportion, whatever the other layers do."""
    row = case.rows[number]
    if math.prod(row.leaf.shape) < _FEWEST_ENTRIES or not row.gain2:
        return None
    if row.weight.mean**2 > row.weight.second / 2:
        return Finding("misscaled", _mismatch(row), kernel_line(row))
    off, after = math.log(row.gain2), row.leaf.activation
    hidden = after is not None and after.normalizes
    if abs(off) < _LOCAL or (off < 0 and row.may_be_small and not hidden):
        return None
    if not hidden:
        return Finding("exploding" if off > 0 else "vanishing", _mismatch(row), kernel_line(row))
    speed = f"{row.gain2:.2g} times slower" if off > 0 else f"{1 / row.gain2:.2g} times faster"
    what = f"{_mismatch(row)}; the normalization after it hides that, but it turns {speed}"
    return Finding("misscaled", what, kernel_line(row))


def _mismatch(row: Row) -> str:
    """What its gain is, what it should be, and why it is not, as far as that can be told."""
    gain, point = math.sqrt(row.gain2), needed(row)
    if row.weight.mean**2 > row.weight.second / 2:
        return f"its weights have mean {row.weight.mean:.3g}, not zero, so that its units are alike"
    fan = misread(row.leaf, math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0)))
    if fan:
        return fan
    follows = name_of(row.leaf.activation)
    if point is None:
        return f"{follows} shrinks the gradient at any gain"
    wants = "is what keeps the signal" if follows == "identity" else f"is what {follows} needs"
    return f"its gain √(fan_in · mean w²) is {gain:.3g}, where {math.sqrt(point[0]):.3g} {wants}"


def _forward(case: Case, number: int) -> Finding | None:
    """What the layers of a chain have done to the signal together."""
    row, expected = case.rows[number], case.expected[number]
    if not expected.depth or math.isnan(expected.growth):
        return None
    band = expected.growth_band
    small = expected.growth < 0 and row.may_be_small
    if band.low <= expected.growth <= band.high or small:
        return None
    word = "exploding" if expected.growth > 0 else "vanishing"
    each = _factor(expected.growth / (expected.depth + 1))
    what = (
        f"its signal is {_factor(expected.growth)} what came in {expected.depth + 1} layers "
        f"before, {each} for every layer (healthy in total: {_range(expected)})"
    )
    return _blamed(case, number, word, what, case.up_to(number))


def _backward(case: Case, number: int) -> Finding | None:
    """What the layers of a chain have done to the gradient together."""
    expected = case.expected[number]
    if not expected.above or math.isnan(expected.back_growth) or expected.back_growth == math.inf:
        return None
    band = expected.back_band
    if band.low <= expected.back_growth <= band.high:
        return None
    each = _factor(expected.back_growth / expected.above)
    what = (
        f"the gradient that reaches it is {_factor(expected.back_growth)} that of the layer "
        f"{expected.above} layers later, {each} for every layer"
    )
    word = "vanishing"
    if expected.back_growth > 0:
        last = case.chain(number)[-1]
        apart = case.rows[number].found.made.apart, case.rows[last].found.made.apart
        steady_ = abs(case.expected[last].growth) < case.expected[last].growth_band.high
        word = "chaotic" if steady_ and apart[1] > 0.3 * apart[0] else "exploding"
    return _blamed(case, number, word, what, case.onwards(number))


def _collapse(case: Case, number: int) -> Finding | None:
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
        return Finding(word, f"{what}: {_mismatch(row)}", kernel_line(row))
    return Finding(
        word,
        f"{what}: {_mismatch(case.rows[worst])}",
        kernel_line(case.rows[worst]),
        case.rows[worst].name,
    )


def _fans(case: Case, number: int) -> Finding | None:
    row = case.rows[number]
    std = math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0))
    what = misread(row.leaf, std)
    if not what or math.prod(row.leaf.shape) < 10 * _FEWEST_ENTRIES:
        return None
    axes = dict(zip(range(len(row.leaf.shape)), row.leaf.axes, strict=True))
    return Finding(
        "misscaled",
        what,
        f"jinit.init(model, key, rules), which reads the axes off the computation: {axes}",
    )


def _unscaled(rows: Sequence[Row]) -> dict[int, Finding]:
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
            f"RMS grows to {_factor(grown)} what it was",
            cure,
        )
        for number, branch in ends
        if branch.branch > _UNSCALED * branch.stream
    }


def _log(value: float) -> float:
    return math.inf if math.isnan(value) else math.log(value) if value > 0 else -math.inf


def _factor(log_ratio: float) -> str:
    return f"{math.exp(min(log_ratio / 2, 700)):.2g} times"


def _range(expected: Expectation) -> str:
    low, high = (math.exp(each / 2) for each in expected.growth_band[1:])
    return f"{low:.2g} to {high:.2g}"


def _share(part: float) -> str:
    return f"{100 * part:.3g} %"


Look = Callable[[Case, int], Finding | None]
_LOOKS: tuple[Look, ...] = (
    *(_overflow, _underflow, _symmetry, _dead, _saturation, _local, _forward, _backward),
    *(_collapse, _fans),
)
