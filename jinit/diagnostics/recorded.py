"""Judge measurements that were made inside another program, such as that of a sweep."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jinit.diagnostics.judging.conclude import DiagnosisContext, conclude, find_equal_leaves
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.judging.finding import ParameterFacts
from jinit.diagnostics.measuring.batch_facts import batch_facts
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.observe import observe
from jinit.diagnostics.measuring.symmetry import find_equal_products
from jinit.diagnostics.measuring.zero_gradients import ZeroGradients, find_zero_gradients
from jinit.model import Model, PyTree


class RecordedJudge:
    """Judges networks that were measured before, by the rules of `diagnose`.

    The verdict is that of `jinit.diagnose` with the same parameters, batch and loss. Parameters are
    needed only if some of them have no gradient, or seem to be equal; they are then drawn again.

    Args:
      model: the traced network.
      inputs: the batch on which the network was measured.
      targets: its targets.
      loss: `loss(outputs, targets)`, a mean over examples.
      loss_name: name of the loss: `cross-entropy` has a known value for a uniform guess.
    """

    def __init__(
        self,
        model: Model,
        inputs: Any,
        targets: Any,
        loss: Callable[[Any, Any], Array],
        loss_name: str,
    ) -> None:
        self.model, self.inputs, self.targets, self.loss = model, inputs, targets, loss
        outputs = jax.tree.leaves(jax.eval_shape(model.apply, model.params, inputs))[0]
        self._context = DiagnosisContext(
            model,
            loss_name,
            classes=outputs.shape[-1] if outputs.ndim else 1,
            batch=batch_facts([inputs], [targets]),
        )

    def diagnose(self, measurements: Measurements, draw: Callable[[], PyTree]) -> Diagnosis:
        """Return the diagnosis of one initialization.

        Args:
          measurements: its measurements, with NumPy arrays.
          draw: returns its parameters.
        """
        return conclude(self._context, measurements, self._parameter_facts(measurements, draw))

    def _parameter_facts(
        self, measurements: Measurements, draw: Callable[[], PyTree]
    ) -> ParameterFacts:
        has_equal = bool(find_equal_products(measurements.products))
        has_zeros = any(each.gradient_second == 0 for each in measurements.weights.values())
        params = draw() if has_equal or has_zeros else None
        leaves = jax.tree.leaves(params)
        return ParameterFacts(
            equal=find_equal_leaves(self.model, measurements, leaves) if has_equal else {},
            zero_gradients=find_zero_gradients(self.model, params, measurements, self._gradients)
            if has_zeros
            else ZeroGradients(),
            weights=measurements.weights,
            roles=self._roles,
        )

    @cached_property
    def _roles(self) -> dict[str, str]:
        return {leaf.path: leaf.role for leaf in self.model.leaves}

    @cached_property
    def _gradients(self) -> Callable[[PyTree], dict[str, Array]]:
        """A compiled function of parameters that returns their gradients by path."""

        def loss(outputs: PyTree) -> Array:
            return self.loss(outputs, self.targets)

        @jax.jit
        def gradients(params: PyTree) -> dict[str, Array]:
            changes = observe(self.model, params, [self.inputs], loss).changes
            return {path: change.gradient for path, change in changes.items()}

        return gradients


def without_ranks(measurements: Measurements) -> Measurements:
    """Return measurements without the effective ranks, which no verdict needs.

    A compiled function that returns the result does not compute them.
    """

    def drop(layer: Any) -> Any:
        ranks = jnp.full_like(layer.preactivation.effective_rank, jnp.nan)
        return layer._replace(preactivation=layer.preactivation._replace(effective_rank=ranks))

    return measurements._replace(layers=tuple(map(drop, measurements.layers)))
