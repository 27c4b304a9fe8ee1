"""Facts about the parameters of a network, some of which need further runs of it."""

import jax

from jinit.diagnostics.judging.conclude import find_equal_leaves
from jinit.diagnostics.judging.finding import ParameterFacts
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.zero_gradients import GradientFunction, find_zero_gradients
from jinit.model import Model, PyTree


def parameter_facts(
    model: Model, params: PyTree, measurements: Measurements, gradients: GradientFunction
) -> ParameterFacts:
    """Return the facts about the parameters of one initialization.

    Args:
      model: the traced network.
      params: its parameters.
      measurements: its measurements, with NumPy arrays.
      gradients: function of parameters that returns their gradients by path, on the same batch.
    """
    return ParameterFacts(
        equal=find_equal_leaves(model, measurements, jax.tree.leaves(params)),
        zero_gradients=find_zero_gradients(model, params, measurements, gradients),
        weights=measurements.weights,
        leaves={leaf.path: leaf for leaf in model.leaves},
        has_own_init=model.init is not None,
    )
