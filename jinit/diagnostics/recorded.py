"""Judge measurements that were made inside another program, such as that of a sweep."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from jinit.diagnostics.judging.conclude import DiagnosisContext, conclude
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.judging.parameter_facts import parameter_facts
from jinit.diagnostics.measuring.batch import Batch, output_shapes
from jinit.diagnostics.measuring.batch_facts import batch_facts
from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.measure import Measurements, matrix_products
from jinit.diagnostics.measuring.runs import (
    Setting,
    loss_graph,
    record_sizes,
    trained_gradients,
)
from jinit.diagnostics.measuring.symmetry import host_products, repeats_units
from jinit.model import Model, PyTree


class RecordedJudge:
    """Judges networks that were measured before, by the rules of `diagnose`.

    The verdict is that of `jinit.diagnose` with the same parameters, batch and loss. The network
    runs again only to explain a suspicion: parameters without a gradient, equal units, growth
    between layers, numbers that are not finite.

    Args:
      model: the traced network.
      inputs: the arguments with which the network was measured.
      targets: its targets.
      loss: `loss(outputs, *targets)`, a mean over examples; None if the targets imply it.
      loss_name: name of the loss: `cross-entropy` has a known value for a uniform guess.
    """

    def __init__(
        self,
        model: Model,
        inputs: Sequence[PyTree],
        targets: Sequence[PyTree],
        loss: Loss | None,
        loss_name: str,
    ) -> None:
        self._setting = Setting(model, loss, optimizer=None)
        self._batch = Batch(list(inputs), list(targets), jax.random.key(0))
        self._gradients = partial(trained_gradients, self._setting, self._batch)
        output_shape = jax.tree.leaves(output_shapes(model))[0].shape
        self._context = DiagnosisContext(
            model,
            loss_name,
            classes=output_shape[-1] if output_shape else 1,
            batch=batch_facts(list(inputs), list(targets)),
            loss_graph=cache(partial(loss_graph, self._setting, self._batch)),
        )

    def diagnose(self, measurements: Measurements, params: PyTree) -> Diagnosis:
        """Return the diagnosis of one initialization.

        Args:
          measurements: its measurements, with NumPy arrays, reduced by `keep_compact`.
          params: its parameters.
        """
        measurements = self._add_products(measurements, params)
        record = partial(record_sizes, self._setting, params, self._batch)
        facts = parameter_facts(self._setting.model, params, measurements, self._gradients)
        return conclude(self._context, measurements, facts, record)

    def _add_products(self, measurements: Measurements, params: PyTree) -> Measurements:
        """Return measurements with the products by which equal parameters and units are found.

        Gradients are computed again only for parameters with equal units.
        """
        model = self._setting.model
        values = model.by_path(params)
        matrices = {path: values[path] for path in measurements.weights if values[path].ndim > 1}
        products = matrix_products(model, jax.device_get(matrices), host_products)
        suspects = [path for path, each in products.items() if repeats_units(each)]
        gradients = {}
        if suspects:
            found = self._gradients(params)
            gradients = jax.device_get({path: found[path] for path in suspects})
        return measurements._replace(
            products=products,
            gradient_products=matrix_products(model, gradients, host_products),
        )


def keep_compact(measurements: Measurements) -> Measurements:
    """Return measurements without what can be computed again, or what no verdict needs.

    Effective ranks and random products are left out: a compiled function that returns the result
    does not compute them.

    Args:
      measurements: what `measure` returned.
    """

    def drop(layer: Any) -> Any:
        ranks = jnp.full_like(layer.preactivation.effective_rank, jnp.nan)
        return layer._replace(preactivation=layer.preactivation._replace(effective_rank=ranks))

    layers = tuple(map(drop, measurements.layers))
    return measurements._replace(layers=layers, products={}, gradient_products={})
