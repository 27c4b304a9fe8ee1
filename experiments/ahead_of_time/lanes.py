"""The programs that `jinit sweep` trains and scores lanes with."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import jinit
from jinit.sweep.data import Data
from jinit.sweep.group_computations import GroupComputations, JittedCall
from jinit.sweep.groups import Group, group_configs
from jinit.sweep.lane_program import TrainingCall
from jinit.sweep.layout import BlockLayout
from jinit.sweep.settings import read_settings

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "cnn": {"network": "cnn"},
    "transformer": {"task": "characters"},
}
"""Options of `jinit sweep` by name of the network: the default sweep, and two others."""
_SPACE = {"init": ["he_normal"], "activation": ["relu"], "depth": [8], "lr": [1e-3]}
"""One configuration of the default space: its training program is that of all initializations."""


class Network(NamedTuple):
    """A network as a sweep trains it."""

    group: Group
    data: Data
    call: TrainingCall
    """The steps up to a recording."""
    whole: TrainingCall
    """All steps and recordings as one call."""

    @property
    def state_bytes(self) -> int:
        """Bytes of the parameters and of the optimizer's state of one lane, without padding."""
        import jax

        leaves = jax.tree.leaves(self.group.state)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


@cache
def network(name: str) -> Network:
    """Return the network that is trained with relu.

    Args:
      name: one of `NETWORKS`.
    """
    task, build, space, options, _ = read_settings(None, NETWORKS[name], _SPACE)
    definition = jinit.Sweep(task, build, space, **options).definition
    group = group_configs(definition.space, definition.trial, definition.data)[0]
    if definition.data is None:
        raise ValueError(f"{name}: its sweep has no data")
    recordings = definition.steps // definition.record_every
    calls = [TrainingCall(definition.record_every, count) for count in (1, recordings)]
    return Network(group, definition.data, *calls)


def programs(
    name: str, layout: BlockLayout, device: Any, kinds: tuple[str, ...] = ("training", "scoring")
) -> Iterator[tuple[str, JittedCall]]:
    """Yield programs of a block of lanes with their names.

    Args:
      name: one of `NETWORKS`.
      layout: layout of the block.
      device: the device to compile for; None for a platform to be chosen later.
      kinds: which of them.
    """
    group, data, call, whole = network(name)
    computations = GroupComputations(group, layout, data, device)
    if "training" in kinds:
        yield "training", computations.training(call)
    if "whole training" in kinds:
        yield "whole training", computations.training(whole)
    if "scoring" in kinds:
        yield "scoring", computations.scoring(computations.start_parts)
    if "measurement" in kinds:
        yield "measurement", computations.measurement()
