"""Links between the parameters of a network: scales of normalizations, constants in between."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jinit.model.activation_path import ActivationPath
from jinit.model.branches import Branches
from jinit.model.leaves import Leaf
from jinit.model.operation import CONTRACTION_PRIMITIVES
from jinit.model.signal_factors import find_signal_factor
from jinit.model.used_weights import find_scales
from jinit.model.uses import Scope, Site


def link_weights(
    leaves: dict[int, Leaf],
    chosen: Mapping[int, Site],
    sites: tuple[Site, ...],
    branches: Branches,
) -> dict[int, Leaf]:
    """Return the parameters with the constants on their inputs and the scales of normalized ones.

    A kernel whose result is normalized gets the path of the scale of that normalization.

    Args:
      leaves: the parameters by index.
      chosen: the use that describes each of them.
      sites: all uses.
      branches: the residual branches of the computation.
    """
    counted = _count_signal_factors(leaves, chosen, branches)
    return _link_normalizations(_link_scales(counted, chosen, sites), chosen, branches)


def _link_scales(
    leaves: dict[int, Leaf], chosen: Mapping[int, Site], sites: tuple[Site, ...]
) -> dict[int, Leaf]:
    normalized = {leaf: site for leaf, site in chosen.items() if leaves[leaf].normalized_by}
    scales = find_scales(chosen, normalized, sites) if normalized else {}
    linked = dict(leaves)
    for weight, scale in scales.items():
        linked[weight] = replace(linked[weight], scale_path=leaves[scale].path)
        linked[scale] = replace(linked[scale], carries=leaves[weight].path)
    return linked


def _link_normalizations(
    leaves: dict[int, Leaf], chosen: Mapping[int, Site], branches: Branches
) -> dict[int, Leaf]:
    """Return the parameters, kernels with the scale of the normalization that follows them."""
    scales: dict[Scope, list[Site]] = {}
    for index, site in chosen.items():
        if leaves[index].role == "scale" and leaves[index].is_normalization:
            scales.setdefault(site.scope, []).append(site)
    linked = dict(leaves)
    for index, site in chosen.items():
        activation, found = leaves[index].activation, scales.get(site.scope)
        if not found or activation is None or not activation.has_normalization:
            continue
        path = ActivationPath(site, branches.residual_streams.get(site.scope, {}))
        for scale in sorted(found, key=lambda each: each.position):
            if path.contains(scale.operation.results[0]):
                carrier = leaves[scale.use.leaf].path
                linked[index] = replace(linked[index], rescaled_by=carrier)
                break
    return linked


def _count_signal_factors(
    leaves: dict[int, Leaf], chosen: Mapping[int, Site], branches: Branches
) -> dict[int, Leaf]:
    scales = _OutputScales(leaves, chosen, branches)
    counted = dict(leaves)
    for index, leaf in leaves.items():
        site = chosen.get(index)
        if leaf.role != "kernel" or site is None or not _is_direct_product(site):
            continue
        factor = find_signal_factor(site, scales.before)
        if factor != 1 and not leaf.normalized_by:
            counted[index] = replace(leaf, weight_factor=leaf.weight_factor * factor)
        elif factor != 1 and leaf.normalized_rms is not None:
            counted[index] = replace(leaf, normalized_rms=leaf.normalized_rms * factor)
    return counted


def _is_direct_product(site: Site) -> bool:
    return site.use.is_direct and site.operation.name in CONTRACTION_PRIMITIVES


class _OutputScales:
    """The constants that end activations, by the value where each activation ends.

    Args:
      leaves: the parameters by index.
      chosen: the use that describes each of them.
      branches: the residual branches of the computation.
    """

    def __init__(
        self,
        leaves: Mapping[int, Leaf],
        chosen: Mapping[int, Site],
        branches: Branches,
    ) -> None:
        self._leaves, self._branches = leaves, branches
        self._sites: dict[Scope, list[Site]] = {}
        for site in chosen.values():
            self._sites.setdefault(site.scope, []).append(site)
        self._ends: dict[Scope, dict[int, float]] = {}

    def before(self, scope: Scope, value: int) -> float | None:
        """Return the constant before a value that is an activation's result; None if it is none."""
        if scope not in self._ends:
            self._ends[scope] = self._find_ends(self._sites.get(scope, ()), scope)
        return self._ends[scope].get(value)

    def _find_ends(self, sites: Sequence[Site], scope: Scope) -> dict[int, float]:
        ends: dict[int, float] = {}
        for site in sites:
            activation = self._leaves[site.use.leaf].activation
            if activation is not None and activation.end == "product":
                path = ActivationPath(site, self._branches.residual_streams.get(scope, {}))
                ends[path.end.last] = activation.output_scale
        return ends
