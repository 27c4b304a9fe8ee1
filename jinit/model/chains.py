"""Chains: layers that follow each other with nothing but an activation in between."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinit.model.activation import Activation
from jinit.model.contractions import Contraction
from jinit.model.operation import Place

_LINK_ENDS = ("product", "pooling")
"""Ends of an activation's path that lead to the next layer of a chain."""


class ChainPosition(NamedTuple):
    """The place of a layer in its chain."""

    length: int = 1
    """Number of layers of the chain that an activation follows; iterations of a loop over stacked
    kernels count one by one."""
    is_first: bool = True
    """Whether no other layer of the chain is before it."""
    bias: int | None = None
    """Index of the bias among the parameters; None if there is none."""


def chain_positions(
    contractions: Sequence[Contraction], activations: Mapping[int, Activation | None]
) -> dict[int, ChainPosition]:
    """Return the position of every kernel in the longest chain that it is part of.

    Args:
      contractions: the products of weights with signals, in execution order.
      activations: the activation after each kernel, by index of the parameter.
    """
    linked = {each.place: each for each in contractions if _is_link(each, activations)}
    places = {each.place for each in contractions}
    following = {place: _next_place(each) for place, each in linked.items()}
    entered = {place for place in following.values() if place in places}
    by_place = {each.place: each for each in contractions}
    positions: dict[int, ChainPosition] = {}
    for each in contractions:
        if each.place in entered and not _is_loop_head(each, following):
            continue
        for member, length in _walk(each.place, by_place, following):
            position = ChainPosition(length, member.place not in entered, member.bias)
            known = positions.get(member.kernel)
            if known is None or position.length > known.length:
                positions[member.kernel] = position
    return positions


def _is_link(contraction: Contraction, activations: Mapping[int, Activation | None]) -> bool:
    """Return whether a scalar function and the next layer follow, and nothing else uses it."""
    activation = activations.get(contraction.kernel)
    return (
        activation is not None
        and activation.argument_count == 1
        and activation.kernel_count == 1
        and not activation.has_normalization
        and contraction.has_single_consumer
        and (
            activation.end in _LINK_ENDS
            or (activation.end == "output" and contraction.loop_follower is not None)
        )
    )


def _next_place(contraction: Contraction) -> Place | None:
    return contraction.follower or contraction.loop_follower


def _is_loop_head(contraction: Contraction, following: Mapping[Place, Place | None]) -> bool:
    """Return whether only the last layer of its own loop leads to this layer."""
    before = [place for place, after in following.items() if after == contraction.place]
    return all(place >= contraction.place for place in before)


def _walk(
    head: Place, by_place: Mapping[Place, Contraction], following: Mapping[Place, Place | None]
) -> list[tuple[Contraction, int]]:
    """Return the layers from a head on, each with the number of links of the chain."""
    members = [by_place[head]]
    while (after := following.get(members[-1].place)) in by_place and after is not None:
        if by_place[after] in members:
            break
        members.append(by_place[after])
    # Iterations of a loop are links only if the chain leads from one to the next.
    first = None if after is None else by_place.get(after)
    looped = members[members.index(first) :] if first is not None else []
    links = sum(
        _repetitions(each) if each in looped else 1 for each in members if each.place in following
    )
    return [(each, max(links, 1)) for each in members]


def _repetitions(contraction: Contraction) -> int:
    return math.prod(contraction.loop_lengths) if contraction.is_stacked else 1
