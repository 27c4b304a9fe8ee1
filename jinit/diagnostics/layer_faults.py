"""Faults that one layer has by itself."""

import math

import jax.numpy as jnp

from jinit.diagnostics.audit import misread
from jinit.diagnostics.cures import kernel_line, mismatch, name_of, needed
from jinit.diagnostics.finding import Case, Finding, share
from jinit.diagnostics.rows import Row

_LOCAL = math.log(100.0)
"""A kernel is at fault by itself if its gain is more than ten times too large or too small."""
_SATURATED = 0.6
"""Share of activations at their limits from which on a layer is saturated; a healthy relu6, which
has half of them at its lower limit, may have more."""
_DEVIATIONS = 4.5
_DEAD = 0.75
_FEWEST_ENTRIES = 16
"""Entries of a kernel below which its mean square says little."""
_ZERO_ENDS = ("residual", "output")
"""Where a kernel of zeros is a deliberate start."""


def overflow(case: Case, number: int) -> Finding | None:
    """Numbers beyond the range of their type."""
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
        if not (earlier or wrong or math.isfinite(row.found.taken.second)):
            return _not_its_own(case)
        what = "its results are not finite"
        return Finding("overflowing", what, _of_range(row, limit), *(earlier or wrong)[:1])
    if made.largest > limit / 16:
        what = f"its largest result, {made.largest:.3g}, is close to the largest {dtype}"
        return Finding("overflowing", what, _of_range(row, limit))
    if row.found.back.broken:
        what, source = "its gradient is not finite", wrong or later[-1:]
        return Finding("overflowing", what, _of_range(row, limit), *source[:1])
    return None


def _not_its_own(case: Case) -> Finding:
    """Of the first layer that is given NaN, with kernels that are all right."""
    what = "what it takes in is not finite"
    if case.broken:
        path = case.broken[0]
        cure = f"draw it anew: jinit.init(model, key, only={path!r}, keep=params)"
        return Finding("overflowing", f"{what}: there is NaN or infinity in {path}", cure)
    return Finding("overflowing", what, "look for NaN and infinity in the inputs")


def _of_range(row: Row, limit: float) -> str:
    if limit < 1e30:
        return f"dtype=jnp.bfloat16: {row.contraction.dtype} ends at {limit:g}, bfloat16 at 3e38"
    return kernel_line(row)


def underflow(case: Case, number: int) -> Finding | None:
    """Gradients below the range of their type."""
    row = case.rows[number]
    smallest = float(jnp.finfo(row.contraction.dtype).tiny)
    rms = math.sqrt(row.found.back.second)
    if smallest < 1e-30 or not rms or row.found.back.lost < 0.5 or rms > 1e3 * smallest:
        return None
    return Finding(
        "underflowing",
        f"{share(row.found.back.lost)} of its gradient is lost below {smallest:.2g}, the smallest "
        f"{row.contraction.dtype}",
        "dtype=jnp.bfloat16, or multiply the loss by 1024 and divide the gradient by it",
    )


def symmetry(case: Case, number: int) -> Finding | None:
    """Kernels, units or inputs that are equal."""
    row = case.rows[number]
    if row.leaf.path in case.twins:
        other = case.twins[row.leaf.path]
        what = f"its kernel equals {other}, entry by entry: one key was used twice"
        return Finding("symmetric", what, "give each a key of its own: jax.random.split(key)")
    what = _of_alike(row)
    return Finding("symmetric", what, kernel_line(row)) if what else None


def _of_alike(row: Row) -> str:
    """What is alike within one layer; nothing, if it is as it should be."""
    weight, after = row.weight, row.leaf.activation
    if weight.spread == 0 and math.prod(row.leaf.shape) > 1:
        beside = after is not None and after.kernels > 1  # another kernel's results are added
        if weight.second == 0 and (after is None or after.end in _ZERO_ENDS or beside):
            return ""
        what = "zero" if weight.second == 0 else f"the same number, {weight.mean:.3g}"
        return f"all of its weights are {what}, so that its units stay alike"
    if row.found.made.identical == 1 and row.found.taken.second > 0:
        return "all of its units compute the same"
    counts = zip(("units", "inputs"), row.equal.weights, row.equal.both, strict=True)
    for what, count, kept in counts:
        if count:
            lasting = "and equal gradients keep them so" if kept else "until gradients part them"
            return f"{count} of its {what} have the weights of another one, {lasting}"
    return ""


def dead(case: Case, number: int) -> Finding | None:
    """Units that are zero for every example."""
    row = case.rows[number]
    if row.found.taken.second == 0:
        silent = [each for each in case.rows[:number] if each.found.taken.second > 0]
        source = silent[-1].name if silent else ""
        return Finding(
            "dead", "nothing arrives", "" if source else "give inputs of mean square 1", source
        )
    after = None if row.after is None else case.rows[row.after]
    limit = max(_DEAD, min(1.0, 0.5 + _DEVIATIONS * math.sqrt(0.25 / row.width)))
    if after is None or after.found.taken.dead < limit or row.width < 2:
        return None
    if row.found.made.second == 0:
        return None
    what = f"{share(after.found.taken.dead)} of its units are 0 for every example"
    if row.found.bias_second > row.gain2 * row.found.taken.second:
        bias = math.sqrt(row.found.bias_second)
        return Finding(
            "dead", f"{what}: its biases, {bias:.3g}, outweigh its sums", "bias_init=jinit.zeros"
        )
    if row.is_normalized:
        what = (
            f"{what} after the normalization, whose scale or bias, or a batch of one, makes it so"
        )
        return Finding("dead", what, "scale_init=jinit.ones, bias_init=jinit.zeros, more examples")
    return Finding("dead", what, kernel_line(row))


def saturation(case: Case, number: int) -> Finding | None:
    """Activations at their limits."""
    row = case.rows[number]
    after = None if row.after is None else case.rows[row.after]
    limit = max(_SATURATED, case.expected[number].handed_on.most_saturated)
    if after is None or after.found.taken.saturated <= limit:
        return None
    what = (
        f"{share(after.found.taken.saturated)} of its activations are at the limits of "
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


def local(case: Case, number: int) -> Finding | None:
    """A gain that is out of all proportion, whatever the other layers do."""
    row = case.rows[number]
    if math.prod(row.leaf.shape) < _FEWEST_ENTRIES or not row.gain2:
        return None
    if row.weight.mean**2 > row.weight.second / 2:
        return Finding("misscaled", mismatch(row), kernel_line(row))
    point, hidden = needed(row), row.is_normalized
    off = min((math.log(row.gain2 / each) for each in (1.0, *(point or ())[:1])), key=abs)
    silent = row.after is not None and case.rows[row.after].weight.second == 0  # as in LoRA
    if abs(off) < _LOCAL or (off < 0 and (row.may_be_small or silent) and not hidden):
        return None
    if not hidden:
        return Finding("exploding" if off > 0 else "vanishing", mismatch(row), kernel_line(row))
    speed = f"{row.gain2:.2g} times slower" if off > 0 else f"{1 / row.gain2:.2g} times faster"
    what = f"{mismatch(row)}; the normalization after it hides that, but it turns {speed}"
    return Finding("misscaled", what, kernel_line(row))


def fans(case: Case, number: int) -> Finding | None:
    """A kernel that is scaled by other axes than those that are summed over."""
    row = case.rows[number]
    std = math.sqrt(max(row.weight.second - row.weight.mean**2, 0.0))
    what = misread(row.leaf, std)
    if not what or row.is_normalized or math.prod(row.leaf.shape) < 10 * _FEWEST_ENTRIES:
        return None
    axes = dict(zip(range(len(row.leaf.shape)), row.leaf.axes, strict=True))
    return Finding(
        "misscaled",
        what,
        f"jinit.init(model, key, rules), which reads the axes off the computation: {axes}",
    )
