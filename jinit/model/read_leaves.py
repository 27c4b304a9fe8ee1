"""All parameters of a computation, with their roles, branches, chains and parts in attention."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jinit.model.attention import find_attention
from jinit.model.branches import find_branches
from jinit.model.chains import chain_positions
from jinit.model.contractions import Contraction, find_contractions
from jinit.model.ensembles import separate_members
from jinit.model.graph import Graph
from jinit.model.leaves import Leaf, choose_use, read_leaf
from jinit.model.recurrence import Recurrences, find_recurrences
from jinit.model.uses import Site, find_sites
from jinit.model.weight_links import link_weights


def read_leaves(
    graph: Graph, paths: Sequence[str], arrays: Sequence[Any], untrained_paths: frozenset[str]
) -> list[Leaf]:
    """Return the parameters of a computation in the order of their first uses, unused ones last.

    Args:
      graph: the computation; its first inputs are the parameters.
      paths: their paths.
      arrays: their shapes and dtypes.
      untrained_paths: paths of those that are not trained.
    """
    shapes = [array.shape for array in arrays]
    sites = tuple(separate_members(find_sites(graph, shapes), shapes))
    branches = find_branches(sites)
    uses: dict[int, list[Site]] = {}
    for site in sites:
        uses.setdefault(site.use.leaf, []).append(site)
    unused = [index for index in range(len(arrays)) if index not in uses]
    leaves = {
        index: read_leaf(paths[index], arrays[index], uses.get(index, ()), branches)
        for index in (*uses, *unused)
    }
    chosen = {index: choose_use(found) for index, found in uses.items()}
    trained = {index: site for index, site in chosen.items() if paths[index] not in untrained_paths}
    leaves = link_weights(leaves, trained, sites, branches)
    for index, parts in find_attention(sites, branches).items():
        leaves[index] = replace(leaves[index], attention=parts)
    leaves = _add_recurrences(leaves, find_recurrences(sites))
    return list(_add_chains(leaves, find_contractions(graph, sites, shapes), paths).values())


def _add_recurrences(leaves: dict[int, Leaf], found: Recurrences) -> dict[int, Leaf]:
    """Return the leaves by index, with what they do to the carry of loops."""
    return {
        index: replace(
            leaf,
            is_recurrent=index in found.kernels and leaf.stacked_layers == 1,
            forget_gate=found.forget_gates.get(index) if leaf.role == "bias" else None,
        )
        for index, leaf in leaves.items()
    }


def _add_chains(
    leaves: dict[int, Leaf], contractions: Sequence[Contraction], paths: Sequence[str]
) -> dict[int, Leaf]:
    """Return the leaves by index, kernels with their position in a chain."""
    activations = {index: leaf.activation for index, leaf in leaves.items()}
    chained = dict(leaves)
    for index, position in chain_positions(contractions, activations).items():
        chained[index] = replace(
            leaves[index],
            chain_length=position.length,
            begins_chain=position.is_first,
            bias_path="" if position.bias is None else paths[position.bias],
        )
    return chained
