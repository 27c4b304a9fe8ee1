"""The weight that a signal meets, as a function of the parameter."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jinit.model.known_values import KnownValue
from jinit.model.operation import value_numbers
from jinit.model.uses import Site
from jinit.model.weight_axes import TrackedWeight
from jinit.model.weight_forms import PLAIN, WeightForm


@dataclass(frozen=True)
class UsedWeight:
    """The weight that a signal meets at one site."""

    factor: float = 1.0
    """Its constant factor before the parameter."""
    normalized_by: str = ""
    """Name of the normalization; empty if the scale of the parameter counts."""
    normalized_rms: float | None = None
    """Root mean square of a normalized weight."""
    reason: str = ""
    """Why it is neither; empty if it is."""


def read_used_weight(site: Site) -> UsedWeight:
    """Return the weight that is used at a site.

    Args:
      site: a use of a parameter.
    """
    weight = _find_weight(site)
    form = PLAIN if weight is None else weight.form
    if site.use.role == "unread":
        return UsedWeight(reason=form.reason)
    if site.use.role == "kernel" and form.has_offset and _is_alone(site):
        return UsedWeight(reason="a constant is added to it before it is used")
    if site.use.projects_latent and form.is_plain:
        return UsedWeight()  # constants after it scale its result, such as the scores of attention
    if form is PLAIN or form.is_plain:
        return UsedWeight(factor=abs(form.scale or 1.0))
    if form.is_normalized:
        name = form.normalization or "normalization"
        return UsedWeight(normalized_by=name, normalized_rms=form.rms)
    return UsedWeight(reason=form.reason or _missing_reason(form))


def _is_alone(site: Site) -> bool:
    """Return whether no other parameter is part of the weight; low-rank updates have others."""
    return {weight.leaf for weight in _weights_at(site)} == {site.use.leaf}


def _missing_reason(form: WeightForm) -> str:
    """Return why entries that went through linear operations only are not read."""
    if form.degree != 1:
        return f"the weight that is used grows with the power {form.degree:g} of it"
    if form.scale == 0:
        return "it is multiplied by zero"
    return "it is multiplied by numbers that cannot be read"


def _find_weight(site: Site) -> TrackedWeight | None:
    """Return the parameter in the operands of the operation that uses it."""
    return next((w for w in _weights_at(site) if w.leaf == site.use.leaf), None)


def _weights_at(site: Site) -> Iterator[TrackedWeight]:
    for value in _operand_values(site):
        yield from value.weights
        yield from value.chosen_weights


def _operand_values(site: Site) -> Iterator[KnownValue]:
    """Yield the operands; before a sum of products, those of the product."""
    operation, graph = site.operation, site.scope.graph
    numbers = value_numbers(operation.operands)
    if operation.name == "reduce_sum" and numbers and numbers[0] in graph.producers:
        numbers += value_numbers(graph.producers[numbers[0]].operands)
    for number in numbers:
        yield site.scope.values[number]


def find_scales(
    chosen: Mapping[int, Site], normalized: Mapping[int, Site], sites: tuple[Site, ...]
) -> dict[int, int]:
    """Return the parameter that scales each normalized weight, as indices of parameters.

    It multiplies the weight before the product with the signal, or the product right after it.

    Args:
      chosen: the use that describes each parameter.
      normalized: the uses among them whose weight is normalized.
      sites: all uses.
    """
    scales: dict[int, int] = {}
    for leaf, site in normalized.items():
        others = [weight for weight in _weights_at(site) if weight.leaf in chosen]
        before = [weight.leaf for weight in others if _is_scale(weight, leaf)]
        scales |= {leaf: before[0]} if before else {}
    for leaf, site in chosen.items():
        product = _scaled_product(site)
        if product is not None and sites[product].use.leaf in normalized:
            scales.setdefault(sites[product].use.leaf, leaf)
    return scales


def _is_scale(weight: TrackedWeight, leaf: int) -> bool:
    form = weight.form
    is_own = form.is_plain and not form.has_offset
    return weight.leaf != leaf and weight.factor_kind == "scale" and is_own


def _scaled_product(site: Site) -> int | None:
    """Return the site of the contraction whose result a scale multiplies; None if there is none."""
    weight = _find_weight(site)
    is_plain = weight is not None and weight.form.is_plain and not weight.form.has_offset
    if site.use.role != "scale" or site.operation.name != "mul" or not is_plain:
        return None
    values = [site.scope.values[number] for number in value_numbers(site.operation.operands)]
    return next((v.contraction_site for v in values if v.contraction_site is not None), None)
