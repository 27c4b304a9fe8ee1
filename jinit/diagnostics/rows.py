"""What was measured of each layer, in execution order, as plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jinit.diagnostics.measure import Branch, Found, Layer
from jinit.diagnostics.statistics import Weight
from jinit.diagnostics.symmetry import repeated
from jinit.model import Contraction, Leaf, Model

_OPEN_ENDS = ("residual", "shortcut", "output", "softmax", "attention", "other")


class Equal(NamedTuple):
    """How many units, and how many inputs, have what another one has; zeros do not count."""

    weights: tuple[int, int] = (0, 0)
    gradients: tuple[int, int] = (0, 0)
    both: tuple[int, int] = (0, 0)
    """Weights and gradients, so that training keeps them equal."""


@dataclass(frozen=True)
class Row:
    """One layer: a place where a kernel is applied to a signal."""

    name: str
    leaf: Leaf
    """Its kernel."""
    contraction: Contraction
    found: Layer
    weight: Weight
    equal: Equal
    before: int | None
    """Number of the layer whose activation it takes in, if there is nothing else between them."""
    after: int | None
    """Number of the layer that takes in what is made of its result."""
    branch: Branch | None
    """What is measured where its result is added to a stream, if that is where it goes."""
    over_rounds: tuple[np.ndarray, np.ndarray] | None = None
    """Of a kernel that all rounds of a loop use: mean square of its pre-activations and sum of
    squares of their gradient, by round."""

    @property
    def width(self) -> int:
        """Number of units."""
        return self.contraction.width

    @property
    def may_be_small(self) -> bool:
        """Whether what follows does not need its scale: a residual branch, a head, attention."""
        after = self.leaf.activation
        return after is None or (after.end in _OPEN_ENDS and not self.is_plain)

    @property
    def is_plain(self) -> bool:
        """Whether a function of one pre-activation is all that follows, up to the next layer."""
        return self.contraction.leads_on(self.leaf.activation)

    @property
    def is_normalized(self) -> bool:
        """Whether a normalization follows, which hides its scale."""
        return self.leaf.activation is not None and self.leaf.activation.normalizes

    @property
    def gain2(self) -> float:
        """Products that are summed times the mean square of the kernel: variance of a unit's sum
        over the mean square of what it takes in."""
        return self.contraction.fan_in * float(self.found.kernel_second)


def rows(model: Model, found: Found) -> tuple[Row, ...]:
    """Every layer of a model that was measured; arrays of `found` are NumPy's."""
    leaves = {leaf.path: leaf for leaf in model.leaves}
    numbers = {each: number for number, each in enumerate(model.layers)}
    places = {each.place: number for number, each in enumerate(model.contractions)}
    ends = _branches(model)

    def after(number: int, step: int | None) -> int | None:
        each = model.contractions[number]
        if each.follower is not None:
            return numbers.get((places[each.follower], step))
        if each.next_round is None or step is None:
            return None
        return numbers.get((places[each.next_round], step + 1))

    paths = {model.paths[each.kernel] for each in model.contractions}
    equal = {path: _equal(found, path) for path in paths & found.products.keys()}
    takers = [after(*layer) for layer in model.layers]
    made = []
    for place, (number, step) in enumerate(model.layers):
        contraction = model.contractions[number]
        leaf = leaves[model.paths[contraction.kernel]]
        sources = [source for source, taker in enumerate(takers) if taker == place]
        chained = len(sources) == 1 and _is_chain(leaves, model, sources[0])
        branch = ends.get(number)
        made.append(
            Row(
                model.layer_names[place],
                leaf,
                contraction,
                _of_round(found.layers[number], contraction.rounds, step),
                Weight(*map(float, found.weights[leaf.path])),
                equal.get(leaf.path, Equal()),
                sources[0] if chained else None,
                takers[place],
                None
                if branch is None
                else _of_round(found.branches[branch], contraction.rounds, step),
                _over_rounds(found.layers[number]) if contraction.rounds and step is None else None,
            )
        )
    return tuple(made)


def _equal(found: Found, path: str) -> Equal:
    weights, gradients = found.products[path], found.gradient_products[path]
    return Equal(repeated(weights), repeated(gradients), repeated(weights, gradients))


def _is_chain(leaves: Mapping[str, Leaf], model: Model, source: int) -> bool:
    """Whether a function of one pre-activation, entry by entry, is all that follows the layer, and
    the next layer all that it goes to."""
    number, _ = model.layers[source]
    contraction = model.contractions[number]
    after = leaves[model.paths[contraction.kernel]].activation
    return contraction.alone and contraction.leads_on(after)


def _branches(model: Model) -> dict[int, int]:
    """By number of the contraction whose result a residual sum adds, the number of the sum."""
    found: dict[int, int] = {}
    leaves = {leaf.path: leaf for leaf in model.leaves}
    for number, residual in enumerate(model.residuals):
        ends = [
            place
            for place, each in enumerate(model.contractions)
            if each.place[:-1] == residual.place[:-1]
            and each.place < residual.place
            and leaves[model.paths[each.kernel]].end == "residual"
        ]
        if ends and ends[-1] not in found:
            found[ends[-1]] = number
    return found


def _over_rounds(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    second, total = layer.made.second, layer.back.total
    return np.asarray(second, np.float64).ravel(), np.asarray(total, np.float64).ravel()


def _of_round(values: Any, rounds: Sequence[int], step: int | None) -> Any:
    """Numbers of one round of a loop; of all rounds that use one kernel, their mean."""

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return type(value)(*map(one, value))
        flat = np.asarray(value, np.float64).reshape(-1)
        if not rounds:
            return float(flat[0])
        return float(flat.mean() if step is None else flat[step])

    return one(values)
