"""Facts about the parameters of a network, some of which need further runs of it."""

from collections.abc import Callable

import jax
from jax import Array

from jinit.diagnostics.judging.conclude import find_equal_leaves
from jinit.diagnostics.judging.finding import ParameterFacts
from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.runs import Setting, observe_one
from jinit.diagnostics.measuring.symmetry import find_equal_products
from jinit.diagnostics.measuring.zero_gradients import ZeroGradients, find_zero_gradients
from jinit.model import PyTree


def parameter_facts(
    setting: Setting, draw: Callable[[], PyTree], measurements: Measurements, batch: Batch
) -> ParameterFacts:
    """Return the facts about the parameters of one initialization.

    Args:
      setting: the network and its loss.
      draw: returns the parameters; called only if some seem to be equal or have no gradient.
      measurements: its measurements, with NumPy arrays.
      batch: the batch that it was measured on.
    """

    def gradients(params: PyTree) -> dict[str, Array]:
        changes = observe_one(setting, params, batch).changes  # compiled already by `diagnose`
        return {path: change.gradient for path, change in changes.items()}

    model, weights = setting.model, measurements.weights
    has_equal = bool(find_equal_products(measurements.products))
    has_zeros = any(each.gradient_second == 0 for each in weights.values())
    params = draw() if has_equal or has_zeros else None
    return ParameterFacts(
        equal=find_equal_leaves(model, measurements, jax.tree.leaves(params)) if has_equal else {},
        zero_gradients=find_zero_gradients(model, params, measurements, gradients)
        if has_zeros
        else ZeroGradients(),
        weights=weights,
        roles={leaf.path: leaf.role for leaf in model.leaves},
    )
