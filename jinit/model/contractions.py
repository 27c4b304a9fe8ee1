"""Which operations of a graph apply weights to a signal, and what their results reach."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinit.model.enter import Scan
from jinit.model.expression import Activation
from jinit.model.graph import CONTRACTING, Graph, Operation, bodies
from jinit.model.tapped import Place
from jinit.model.walk import Site


@dataclass(frozen=True)
class Contraction:
    """A matrix product or convolution of a weight with a signal."""

    place: Place
    """Of the operation: its position, behind those of the loops that it lies in."""
    kernel: int
    """Index of the weight among the graph's inputs (the largest, if it is made of several)."""
    signal: int
    """Which operand of the operation carries the signal: 0 or 1."""
    units: tuple[int, ...]
    """Axes of the result that enumerate units."""
    shape: tuple[int, ...]
    """Shape of the result."""
    dtype: str
    """Of the result."""
    follower: Place | None
    """Place of the first contraction that takes in what is made of this result, or None."""
    next_round: Place | None = None
    """Place of the contraction that takes it in one round later, with nothing in between but what
    follows here."""
    rounds: tuple[int, ...] = ()
    """How often the loops go round that it lies in."""
    stacked: bool = False
    """Whether each round has a kernel of its own, so that it is a layer of its own."""
    biased: Place | None = None
    """Place of the sum with a bias, if that is the next thing to happen to the result."""
    bias: int = 0
    """Which operand of that sum is the bias."""
    inputs: tuple[int, ...] = ()
    """Axes of the signal that enumerate the units that it comes from."""
    fan_in: int = 1
    """Products that an entry of the result sums over."""
    alone: bool = True
    """Whether nothing but its follower, or the next round, takes in what is made of the result."""

    def leads_on(self, after: Activation | None) -> bool:
        """Whether an activation that follows is a function of this one pre-activation alone, and
        all that lies between it and the next contraction."""
        if after is None or after.arguments > 1 or after.kernels > 1 or after.normalizes:
            return False
        return after.end == "product" or (after.end == "output" and self.next_round is not None)

    @property
    def width(self) -> int:
        """Number of units."""
        return math.prod(self.shape[axis] for axis in self.units)


def in_order(found: Sequence[Contraction]) -> tuple[tuple[int, int | None], ...]:
    """Every layer in execution order: the number of its contraction, and its round if stacked."""
    order: list[tuple[Any, int, int | None]] = []
    for number, each in enumerate(found):
        rounds = range(math.prod(each.rounds)) if each.stacked else [None]
        order += [((each.place[0], step or 0, each.place), number, step) for step in rounds]
    return tuple((number, step) for _, number, step in sorted(order, key=lambda one: one[0]))


def contractions(
    graph: Graph, uses: Sequence[Site], shapes: Sequence[tuple[int, ...]]
) -> tuple[Contraction, ...]:
    """Contractions of parameters with a signal, in the order in which they are first executed.

    Those in the graph itself and in loops that go over stacked operands; `uses` are all uses of
    the parameters of these shapes, as `sites` finds them.
    """
    kernels: dict[Place, list[Site]] = {}
    graphs: dict[Place, Graph] = {}
    rounds: dict[Place, tuple[int, ...] | None] = {}
    for site in uses:
        operation = site.graph.operations[site.position]
        sides = [type(o) is int and site.values[o].signal for o in operation.operands]
        if site.outer not in rounds:
            rounds[site.outer] = graph.rounds(site.outer)
        if operation.primitive.name not in CONTRACTING or not any(sides):
            continue
        if rounds[site.outer] is not None:
            kernels.setdefault((*site.outer, site.position), []).append(site)
            graphs[site.outer] = site.graph
    followers: dict[Place, Place] = {}
    later: dict[Place, Place] = {}
    shared: set[Place] = set()
    for outer, inside in graphs.items():
        found = frozenset(place[-1] for place in kernels if place[:-1] == outer)
        here, reached, several = _followers(inside, found)
        next_round = _next_round(graph, outer, inside, found, reached)
        followers |= {(*outer, one): (*outer, other) for one, other in here.items()}
        later |= {(*outer, one): (*outer, other) for one, other in next_round.items()}
        shared |= {(*outer, one) for one in several}
    return tuple(
        _contraction(
            place,
            kernels[place],
            rounds[place[:-1]] or (),
            (followers.get(place), later.get(place)),
            place not in shared,
            shapes,
        )
        for place in sorted(kernels)
    )


def _contraction(
    place: Place,
    uses: Sequence[Site],
    rounds: tuple[int, ...],
    followers: tuple[Place | None, Place | None],
    alone: bool,
    shapes: Sequence[tuple[int, ...]],
) -> Contraction:
    site = max(uses, key=lambda each: _rank(shapes[each.use.leaf], each.use.leaf))
    operation = site.graph.operations[site.position]
    sides = [type(o) is int and site.values[o].signal for o in operation.operands]
    signal, shape = sides.index(True), shapes[site.use.leaf]
    named = {axis for axis, _ in site.use.roles}
    free = [size for axis, size in enumerate(shape) if axis not in named and size > 1]
    return Contraction(
        place,
        site.use.leaf,
        signal,
        _unit_axes(operation, 1 - signal),
        operation.shapes[0],
        operation.dtypes[0],
        *followers,
        rounds,
        bool(rounds) and math.prod(free) == math.prod(rounds),
        *_biased(site),
        *_summed(operation, signal),
        alone,
    )


def _biased(site: Site) -> tuple[Place | None, int]:
    """Where a bias is added to the result and to nothing else, and which operand it is."""
    operation = site.graph.operations[site.position]
    users = site.graph.users.get(operation.results[0], [])
    if len(users) != 1:
        return None, 0
    step = site.graph.operations[users[0]]
    if step.name not in ("add", "add_any") or step.shapes != operation.shapes:
        return None, 0
    bias = 1 - step.operands.index(operation.results[0])
    other = step.operands[bias]
    made = site.values[other] if isinstance(other, int) else None
    alone = made is not None and bool(made.weights) and not made.signal
    return ((*site.outer, users[0]), bias) if alone else (None, 0)


def _summed(operation: Operation, signal: int) -> tuple[tuple[int, ...], int]:
    """Axes of the signal that are summed over and hold units, and how many products are summed."""
    numbers = operation.params["dimension_numbers"]
    if operation.primitive.name == "conv_general_dilated":
        _, inputs, *spatial = numbers.rhs_spec
        shape = operation.operand_shapes[1]
        taps = math.prod(shape[axis] for axis in spatial)
        return (numbers.lhs_spec[1],), shape[inputs] * taps
    contracted = numbers[0][signal]
    return tuple(contracted), math.prod(operation.operand_shapes[signal][a] for a in contracted)


def _followers(
    graph: Graph, found: frozenset[int]
) -> tuple[dict[int, int], dict[int, frozenset[int]], set[int]]:
    """By position, the first of the found operations that takes in what is made of its result; by
    value, the positions of those whose results it is made of; and those whose result goes on in
    several ways: to other operations, to outputs, or into a sum with another's."""
    reached: dict[int, frozenset[int]] = {}
    followers: dict[int, int] = {}
    shared: set[int] = set()
    for position, operation in enumerate(graph.operations):
        arriving = frozenset().union(
            *(reached.get(o, ()) for o in operation.operands if type(o) is int)
        )
        if len(arriving) > 1:
            shared |= arriving
        if position in found:
            shared |= arriving & followers.keys()
            followers |= dict.fromkeys(arriving - followers.keys(), position)
            arriving = frozenset({position})
        reached |= dict.fromkeys(operation.results, arriving)
    for output in graph.outputs:
        if type(output) is int:
            shared |= reached.get(output, frozenset()) & followers.keys()
    return followers, reached, shared


def _next_round(
    graph: Graph,
    outer: Place,
    inside: Graph,
    found: frozenset[int],
    reached: dict[int, frozenset[int]],
) -> dict[int, int]:
    """By position in a loop's body, that of the operation that takes in the result as it is handed
    to the next round."""
    if not outer:
        return {}
    for position in outer[:-1]:
        graph = graph.inside(next(bodies(graph.operations[position].params)))
    loop = graph.operations[outer[-1]]
    if loop.params.get("reverse"):
        return {}
    scan = Scan.of(loop, graph.inside)
    arriving = inside.inputs[scan.fixed : scan.fixed + scan.carried]
    takers = {
        operand: position
        for position in sorted(found, reverse=True)
        for operand in inside.operations[position].operands
        if type(operand) is int
    }
    return {
        source: takers[before]
        for before, after in zip(arriving, inside.outputs, strict=False)
        for source in (reached.get(after, ()) if type(after) is int else ())
        if before in takers
    }


def _rank(shape: tuple[int, ...], leaf: int) -> tuple[int, int, int]:
    return (len(shape), math.prod(shape), -leaf)


def _unit_axes(operation: Operation, weight: int) -> tuple[int, ...]:
    """Axes of the result that come from the weight's own free axes."""
    numbers = operation.params["dimension_numbers"]
    if operation.primitive.name == "conv_general_dilated":
        return (numbers.out_spec[1],)
    (contracted, _), (batch, _) = numbers
    rank = len(operation.shapes[0])
    first_right = len(operation.operand_shapes[0]) - len(contracted)
    return tuple(range(first_right, rank) if weight == 1 else range(len(batch), first_right))
