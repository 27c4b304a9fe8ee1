"""Judge measurements that were made inside another program, such as that of a sweep."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jinit.diagnostics.judging.conclude import DiagnosisContext, conclude
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.judging.parameter_facts import parameter_facts
from jinit.diagnostics.measuring.batch import Batch, output_shapes
from jinit.diagnostics.measuring.batch_facts import batch_facts
from jinit.diagnostics.measuring.every_operation import OperationSizes
from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.measure import Measurements
from jinit.diagnostics.measuring.runs import Setting, loss_graph, record_sizes
from jinit.model import Model, Place, PyTree


class RecordedJudge:
    """Judges networks that were measured before, by the rules of `diagnose`.

    The verdict is that of `jinit.diagnose` with the same parameters, batch and loss. Parameters are
    needed, and the network runs again, only to explain a suspicion: parameters that have no
    gradient or seem to be equal, growth between layers, numbers that are not finite.

    Args:
      model: the traced network.
      inputs: the batch on which the network was measured.
      targets: its targets.
      loss: `loss(outputs, targets)`, a mean over examples.
      loss_name: name of the loss: `cross-entropy` has a known value for a uniform guess.
    """

    def __init__(
        self, model: Model, inputs: PyTree, targets: PyTree, loss: Loss, loss_name: str
    ) -> None:
        self._setting = Setting(model, loss, optimizer=None)
        self._batch = Batch([inputs], [targets], jax.random.key(0))
        output_shape = jax.tree.leaves(output_shapes(model))[0].shape
        self._context = DiagnosisContext(
            model,
            loss_name,
            classes=output_shape[-1] if output_shape else 1,
            batch=batch_facts([inputs], [targets]),
            loss_graph=partial(loss_graph, self._setting, self._batch),
        )

    def diagnose(self, measurements: Measurements, draw: Callable[[], PyTree]) -> Diagnosis:
        """Return the diagnosis of one initialization.

        Args:
          measurements: its measurements, with NumPy arrays.
          draw: returns its parameters.
        """

        def record(places: Sequence[Place]) -> Mapping[Place, OperationSizes]:
            return record_sizes(self._setting, draw(), self._batch, places) if places else {}

        facts = parameter_facts(self._setting, draw, measurements, self._batch)
        return conclude(self._context, measurements, facts, record)


def without_ranks(measurements: Measurements) -> Measurements:
    """Return measurements without the effective ranks, which no verdict needs.

    A compiled function that returns the result does not compute them.

    Args:
      measurements: what `measure` returned.
    """

    def drop(layer: Any) -> Any:
        ranks = jnp.full_like(layer.preactivation.effective_rank, jnp.nan)
        return layer._replace(preactivation=layer.preactivation._replace(effective_rank=ranks))

    return measurements._replace(layers=tuple(map(drop, measurements.layers)))
