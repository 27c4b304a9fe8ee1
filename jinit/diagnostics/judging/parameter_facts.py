"""Facts about the parameters of a network, some of which need further runs of it."""

import jax
from jax import Array

from jinit.diagnostics.judging.conclude import find_equal_leaves
from jinit.diagnostics.judging.finding import ParameterFacts
from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.runs import Setting, observe_one
from jinit.diagnostics.measuring.zero_gradients import find_zero_gradients
from jinit.model import PyTree


def parameter_facts(
    setting: Setting, params: PyTree, measurements: Measurements, batch: Batch
) -> ParameterFacts:
    """Return the facts about the parameters of one initialization.

    Args:
      setting: the network and its loss.
      params: its parameters.
      measurements: its measurements, with NumPy arrays.
      batch: the batch that it was measured on.
    """

    def gradients(params: PyTree) -> dict[str, Array]:
        changes = observe_one(setting, params, batch).changes  # compiled already by `diagnose`
        return {path: change.gradient for path, change in changes.items()}

    model = setting.model
    return ParameterFacts(
        equal=find_equal_leaves(model, measurements, jax.tree.leaves(params)),
        zero_gradients=find_zero_gradients(model, params, measurements, gradients),
        weights=measurements.weights,
        leaves={leaf.path: leaf for leaf in model.leaves},
        has_own_init=model.init is not None,
    )
