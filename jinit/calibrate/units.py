"""The layers and affine functions of a network whose units can be scaled and shifted."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax

from jinit.calibrate.layers import LayerSite, read_sites
from jinit.calibrate.unit_operands import UnitOperand
from jinit.model import Model, Operation, Place
from jinit.model.primitives import VALUE_PRESERVING
from jinit.model.uses import Scope, Site, find_sites
from jinit.model.weight_axes import AXIS_MOVES, REDUCTIONS

_SELECTIONS = frozenset({"select_n", "max", "min"})
"""Operations that choose between a signal and its multiple, as PReLU does."""


class UnitSite(NamedTuple):
    """A layer, or an affine function that stands alone, with what scales and shifts its units."""

    path: str
    """Path of the kernel; of the scale, if there is no kernel."""
    factor: UnitOperand
    """The kernel, its scale, or the scale of the affine function."""
    offset: UnitOperand | None
    """The bias; None if there is none that shifts every unit."""
    loop_lengths: tuple[int, ...]
    is_stacked: bool
    """Whether each iteration of the loops has parameters of its own."""
    is_normalized: bool
    """Whether the factor is the scale of a normalized kernel."""
    reason: str = ""
    """Why the units cannot be scaled one by one; empty if they can."""
    offset_reason: str = ""
    """Why the units cannot be shifted; empty if they can."""

    @property
    def last(self) -> UnitOperand:
        """The operand after which the units are normalized."""
        operands = [self.factor] if self.offset is None else [self.factor, self.offset]
        return max(operands, key=lambda each: each.place)

    def row_names(self) -> list[str]:
        """Return a name for each layer: one for each iteration with parameters of its own."""
        if not self.is_stacked:
            return [self.path]
        return [f"{self.path}[{number}]" for number in range(math.prod(self.loop_lengths))]


def read_units(model: Model) -> tuple[UnitSite, ...]:
    """Return the layers and affine functions of a network in the order of their first execution.

    An affine function right after a layer takes the place of its kernel. Its scale has one entry
    for each unit of a signal and is not the scale of a normalization.

    Args:
      model: the network.

    >>> import jax.numpy as jnp
    >>> from jinit.model import trace
    >>> params = {"b": jnp.zeros((1, 4)), "s": jnp.ones((1, 4)), "w": jnp.ones((4, 3))}
    >>> model = trace(lambda p, x: ((x + p["b"]) * p["s"]) @ p["w"], params, jnp.ones((8, 4)))
    >>> [(site.path, site.offset is not None) for site in read_units(model)]
    [('s', True), ('w', False)]
    """
    return tuple(sorted(_Reader(model).read(), key=lambda site: site.last.place))


def read_kernels(model: Model) -> tuple[UnitSite, ...]:
    """Return the layers of a network with their kernels, in the order of `Model.contractions`.

    Args:
      model: the network.
    """
    reader = _Reader(model)
    return tuple(map(reader.read_layer, reader.layers.values()))


class _Reader:
    """The search for the sites of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        shapes = [leaf.shape for leaf in jax.tree.leaves(model.params)]
        self.layers = {site.place: site for site in read_sites(model)}
        found = find_sites(model.graph, shapes)
        self.inner = {
            place: [site for site in found if site.place == place] for place in self.layers
        }
        sites = [site for site in found if site.place not in self.layers]
        self.scales = {s.place: s for s in sites if self._is_affine(s, "scale", ("mul", "div"))}
        self.biases = {
            s.place: s for s in sites if self._is_affine(s, "bias", ("add", "add_any", "sub"))
        }
        affine = [*self.scales.values(), *self.biases.values()]
        known = {*self.layers, *self.scales, *self.biases}
        self.sources = {site.place: _source(site, known) for site in affine}
        self.joined = {path for paths in model.joined_kernels for path in paths}

    def read(self) -> Iterator[UnitSite]:
        """Yield affine functions, then the other layers."""
        owned: set[Place] = set()
        for scale in self.scales.values():
            site = self._read_affine(scale)
            if site is not None:
                owned.add(self._begin(scale.place) or scale.place)
                yield site
        yield from (
            self.read_layer(each) for each in self.layers.values() if each.place not in owned
        )

    def _is_affine(self, site: Site, role: str, names: Sequence[str]) -> bool:
        leaf = self.model.leaf(self.model.paths[site.use.leaf])
        is_alone = leaf.role == role == site.use.role and not leaf.is_normalization
        return is_alone and site.operation.name in names and _operand(site) is not None

    def _begin(self, place: Place) -> Place | None:
        """Return the place of the layer before an affine function; None if it stands alone."""
        before = self.sources[place]
        if before in self.biases:
            before = self.sources[before]
        return before if before in self.layers else None

    def _read_affine(self, scale: Site) -> UnitSite | None:
        """Return an affine function; None if its scale does not belong to single units."""
        factor = _operand(scale)
        layer = self.layers.get(self._begin(scale.place) or ())
        if factor is None or not factor.units or _is_selected(scale):
            return None
        lengths = self.model.graph.loop_lengths(scale.scope.place)
        leaf = self.model.leaf(self.model.paths[factor.leaf])
        if lengths is None or math.prod(leaf.shape) not in (
            factor.unit_count,
            factor.unit_count * math.prod(lengths),
        ):
            return None
        offset, offset_reason = self._find_offset(factor, lengths, self._biases_of(scale))
        return UnitSite(
            path=leaf.path if layer is None else layer.path,
            factor=factor,
            offset=offset,
            loop_lengths=lengths,
            is_stacked=bool(lengths) and math.prod(leaf.shape) > factor.unit_count,
            is_normalized=bool(leaf.carries),
            reason=self._sharing(factor, lengths),
            offset_reason=offset_reason,
        )

    def _biases_of(self, scale: Site) -> list[Site]:
        """Return the bias after a scale, or else that before it."""
        after = [site for site in self.biases.values() if self.sources[site.place] == scale.place]
        before = self.biases.get(self.sources[scale.place] or ())
        return after or ([] if before is None else [before])

    def read_layer(self, layer: LayerSite) -> UnitSite:
        """Return a layer with its kernel, or the scale of its kernel.

        Args:
          layer: the layer.
        """
        contraction, operation = layer.contraction, layer.operation
        kernel = 1 - contraction.signal_operand
        batch = operation.dot_dimension_numbers[1][0] if operation.name == "dot_general" else ()
        units = (*range(len(batch)), *contraction.unit_axes)
        scale_path = self.model.leaf(layer.path).scale_path
        scales = {
            self.model.paths[site.use.leaf]: site.use.leaf for site in self.inner[layer.place]
        }
        index = scales.get(scale_path, contraction.kernel)
        factor = UnitOperand(layer.place, kernel, index, units, operation)
        biases = [site for site in self.biases.values() if self.sources[site.place] == layer.place]
        offset, offset_reason = self._find_offset(factor, contraction.loop_lengths, biases)
        return UnitSite(
            path=layer.path,
            factor=factor,
            offset=offset,
            loop_lengths=contraction.loop_lengths,
            is_stacked=contraction.is_stacked,
            is_normalized=index != contraction.kernel,
            reason=self._layer_reason(layer, factor),
            offset_reason=offset_reason,
        )

    def _layer_reason(self, layer: LayerSite, factor: UnitOperand) -> str:
        lengths = layer.contraction.loop_lengths
        if layer.operation.name == "ragged_dot_general" or (
            layer.operation.name == "conv_general_dilated" and factor.operand == 0
        ):
            return f"its units cannot be told apart in the result of {layer.operation.name}"
        if not layer.is_single:
            return _sharing_reason(lengths and not layer.contraction.is_stacked)
        if layer.path in self.joined:
            return "it is applied together with other kernels"
        if factor.leaf == layer.contraction.kernel:
            return layer.reason
        leaf = self.model.leaf(self.model.paths[factor.leaf])
        if math.prod(leaf.shape) != factor.unit_count * math.prod(lengths):
            return f"its scale {leaf.path} does not have one entry for each unit"
        return self._sharing(factor, lengths)

    def _find_offset(
        self, factor: UnitOperand, lengths: tuple[int, ...], biases: Sequence[Site]
    ) -> tuple[UnitOperand | None, str]:
        """Return the bias of every unit, or why there is none."""
        offset = _operand(biases[0]) if biases else None
        if offset is None:
            return None, "it has no bias, so that its units keep their means"
        leaf = self.model.leaf(self.model.paths[offset.leaf])
        reason = self._sharing(offset, lengths)
        sizes = {math.prod(leaf.shape), offset.unit_count * math.prod(lengths)}
        if not reason and (offset.unit_count != factor.unit_count or len(sizes) > 1):
            reason = "it does not have one entry for each unit"
        return (None, f"its bias {leaf.path} keeps its value: {reason}") if reason else (offset, "")

    def _sharing(self, operand: UnitOperand, lengths: tuple[int, ...]) -> str:
        """Return why a scale or a bias does not belong to one layer; empty if it does."""
        leaf = self.model.leaf(self.model.paths[operand.leaf])
        is_repeated = math.prod(leaf.shape) < operand.unit_count * math.prod(lengths)
        is_shared = leaf.use_count > 1 or (bool(lengths) and is_repeated)
        return _sharing_reason(leaf.use_count == 1) if is_shared else ""


def _sharing_reason(is_recurrent: object) -> str:
    where = "in every step of a recurrence" if is_recurrent else "in several places"
    return f"it is applied {where}"


def _operand(site: Site) -> UnitOperand | None:
    """Return the parameter of an elementwise operation as its operand; None if it has no axes."""
    operation, scope = site.operation, site.scope
    for number, operand in enumerate(operation.operands):
        known = scope.values[operand].weights if isinstance(operand, int) else ()
        for weight in known:
            if weight.leaf != site.use.leaf or weight.axes is None:
                continue
            if operation.name == "div" and number == 0:
                return None
            segments = enumerate(weight.axes)
            units = tuple(axis for axis, each in segments if any(part.size > 1 for part in each))
            return UnitOperand(site.place, number, weight.leaf, units, operation)
    return None


def _is_selected(site: Site) -> bool:
    graph = site.scope.graph
    users = graph.users.get(site.operation.results[0], [])
    return any(graph.operations[user].name in _SELECTIONS for user in users)


def _source(site: Site, known: set[Place]) -> Place | None:
    """Return the place of the layer or affine function whose result an operation takes in."""
    scope = site.scope
    values: list[int] = [value for value in site.operation.operands if scope.is_signal(value)]
    while len(values) == 1 and len(scope.graph.users[values[0]]) == 1:
        if values[0] in scope.graph.outputs or values[0] not in scope.graph.producers:
            return None
        operation = scope.graph.producers[values[0]]
        place = (*scope.place, _positions(scope)[operation.results[0]])
        if place in known:
            return place
        if not _moves(operation):
            return None
        values = [value for value in operation.operands if scope.is_signal(value)]
    return None


def _moves(operation: Operation) -> bool:
    """Return whether an operation keeps every entry."""
    is_move = operation.name in AXIS_MOVES and operation.name not in REDUCTIONS
    is_whole = math.prod(operation.shapes[0]) == math.prod(operation.operand_shapes[0])
    return (is_move or operation.name in VALUE_PRESERVING) and is_whole


def _positions(scope: Scope) -> Mapping[int, int]:
    return {op.results[0]: number for number, op in enumerate(scope.graph.operations)}
