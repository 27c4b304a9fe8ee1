"""The origins of a value: earlier values it depends on, and how many kernels lie on the way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

Reach = tuple[int, ...]
"""Bit masks of origins: entry k has those from which some path with at most k kernels leads here;
the last entry has all."""

_MOST_KERNELS = 16
"""Paths with more kernels than this are counted as one class."""


@dataclass(frozen=True)
class Origins:
    """The origins of one value.

    Origins are numbered in execution order. They are the values that are not computed from other
    signals, the results of contractions and loops, sums of two signals, and gated signals.
    """

    every: Reach
    """Every origin."""
    carried: Reach
    """The origins whose value is carried on to here: on the way, no other signal gates it."""
    stream: int | None = None
    """Number of the residual stream that the value carries; None if a kernel lies after it."""

    def behind_kernel(self, origin: int) -> "Origins":
        """Return the origins of the result of a kernel, which is a new origin."""
        return Origins(_add_kernel(self.every, 1 << origin), _add_kernel(self.carried, 1 << origin))

    def with_origin(self, origin: int, stream: int | None) -> "Origins":
        """Return the origins of this value as a new origin, and as part of a residual stream."""
        bit = 1 << origin
        return Origins(_add_bit(self.every, bit), _add_bit(self.carried, bit), stream)

    def restarted(self, origin: int, stream: int | None) -> "Origins":
        """Return the origins of a new origin that only depends on this value."""
        return Origins(_add_bit(self.every, 1 << origin), (1 << origin,), stream)

    def depends_on(self, origin: int) -> bool:
        """Return whether an origin is among those of the value."""
        return bool(self.every[-1] >> origin & 1)


def first_origin(origin: int, stream: int | None = None) -> Origins:
    """Return the origins of a value that is not computed from other signals."""
    return Origins((1 << origin,), (1 << origin,), stream)


def merge_origins(values: Iterable[Origins]) -> Origins:
    """Return the origins of the result of an operation that does not gate."""
    distinct = list({id(value): value for value in values}.values())
    if len(distinct) == 1:
        return distinct[0]
    streams = {value.stream for value in distinct} - {None}
    return Origins(
        every=_merge([value.every for value in distinct]),
        carried=_merge([value.carried for value in distinct]),
        stream=streams.pop() if len(streams) == 1 else None,
    )


def multiply_origins(values: Iterable[Origins], kernels: int) -> Origins | None:
    """Return the origins of a product of signals; None if each factor gates the others.

    A factor is not gated by another one that depends on the same kernels or fewer, such as its own
    variance in a normalization, or a mask. An origin with more kernels on the way to the other
    factor is gated all the same.

    Args:
      values: the origins of the factors.
      kernels: bit mask of the origins that are results of kernels.
    """
    distinct = list({id(value): value for value in values}.values())
    masks = [value.every[-1] & kernels for value in distinct]
    union = 0
    for mask in masks:
        union |= mask
    kept = [value for value, mask in zip(distinct, masks, strict=True) if mask == union]
    if not kept:
        return None
    merged = merge_origins(kept)
    carried = [
        _remove_gated(value.carried, [other.every for other in distinct if other is not value])
        for value in kept
    ]
    return Origins(_merge([value.every for value in distinct]), _merge(carried), merged.stream)


def last_common(carried: Origins, other: Origins) -> int | None:
    """Return the last origin that is carried on to one value and that the other depends on."""
    common = carried.carried[-1] & other.every[-1]
    return common.bit_length() - 1 if common else None


def kernel_count(reach: Reach, origin: int) -> int:
    """Return the fewest kernels between an origin and the value."""
    return next(count for count, mask in enumerate(reach) if mask >> origin & 1)


def set_bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _add_kernel(reach: Reach, bit: int) -> Reach:
    shifted = (bit, *_add_bit(reach, bit))
    is_full = len(shifted) > _MOST_KERNELS
    return (*shifted[: _MOST_KERNELS - 1], shifted[-1]) if is_full else shifted


def _remove_gated(carried: Reach, others: list[Reach]) -> Reach:
    """Return a factor's origins without those with more kernels on the way to another factor."""
    rows = []
    for count, mask in enumerate(carried):
        for other in others:
            mask &= other[min(count, len(other) - 1)] | ~other[-1]
        rows.append(mask)
    return tuple(rows)


def _add_bit(reach: Reach, bit: int) -> Reach:
    return tuple(mask | bit for mask in reach)


def _merge(reaches: list[Reach]) -> Reach:
    """Return the entrywise union; a reach that ends early stays at its last entry."""
    last = [reach[-1] for reach in reaches]
    rows = zip_longest(*reaches)
    union = []
    for row in rows:
        mask = 0
        for entry, final in zip(row, last, strict=True):
            mask |= final if entry is None else entry
        union.append(mask)
    return tuple(union)
