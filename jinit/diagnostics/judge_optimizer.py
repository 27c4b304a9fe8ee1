"""Measure and judge an optimizer's first update."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import Array

from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.judging.first_step import FirstStep, read_first_step
from jinit.diagnostics.judging.frozen import add_frozen
from jinit.diagnostics.judging.learning_rate import judge_learning_rate
from jinit.diagnostics.judging.thresholds import (
    KEPT_FRACTION,
    MAX_STEPS_TO_BOTTOM,
    WARM_UP_STEPS,
)
from jinit.diagnostics.measuring.batch import Batch
from jinit.diagnostics.measuring.first_update import (
    HESSIAN_PRODUCTS,
    FirstUpdate,
    first_update,
)
from jinit.diagnostics.measuring.losses import Loss
from jinit.diagnostics.measuring.optimizers import schedule_sizes
from jinit.diagnostics.measuring.parameter_update import ParameterUpdate, parameter_update
from jinit.diagnostics.measuring.recent_programs import jit_recent
from jinit.model import Model, PyTree


def judge_optimizer(
    diagnosis: Diagnosis,
    model: Model,
    draws: Sequence[PyTree],
    batch: Batch,
    loss: Loss | None,
    optimizer: Any,
) -> Diagnosis:
    """Return a diagnosis with that of the learning rate, and with frozen parameters.

    Args:
      diagnosis: the diagnosis of the initialization.
      model: the traced network.
      draws: parameters of each initialization that was diagnosed.
      batch: inputs and targets.
      loss: the user's loss, or None.
      optimizer: an optax transformation.
    """
    singles = _measure_all((model, loss, optimizer), draws, batch)
    step = FirstStep(*map(_median, zip(*map(read_first_step, singles), strict=True)))
    first, growth = _median_updates(model, draws, singles, 1.0), 1.0
    if _may_be_warm_up(step, first):
        growth = _schedule_growth(model, optimizer)
    ratios = _update_ratios(model, first)
    kernels = [ratio for path, ratio in ratios.items() if model.leaf(path).role == "kernel"]
    learning_rate = judge_learning_rate(step, ratios, _median(kernels), growth, diagnosis.verdict)
    is_growing = 1 < growth < math.inf
    largest = _median_updates(model, draws, singles, growth) if is_growing else first
    return add_frozen(replace(diagnosis, learning_rate=learning_rate), model, largest)


def _may_be_warm_up(step: FirstStep, updates: Mapping[str, ParameterUpdate]) -> bool:
    """Return whether an update is so small that it may be the first of a warm-up."""
    is_frozen = any(update.kept_fraction > KEPT_FRACTION for update in updates.values())
    return not step.update_size or step.steps_to_bottom > MAX_STEPS_TO_BOTTOM or is_frozen


def _schedule_growth(model: Model, optimizer: Any) -> float:
    """Return the largest of the optimizer's updates over its first one, for equal gradients.

    It is infinite if the first one is zero, zero if all are, and 1 for an optimizer that needs
    parameters of their full shapes.
    """
    try:
        sizes = np.asarray(_run_schedule(model, optimizer))
    except (TypeError, ValueError):
        return 1.0
    first, largest = float(sizes[0]), float(sizes.max())
    if not first:
        return math.inf if largest else 0.0
    return largest / first


@jit_recent(2)
def _run_schedule(model: Model, optimizer: Any) -> Array:
    return schedule_sizes(model, optimizer, WARM_UP_STEPS)


_Setting = tuple[Model, Loss | None, Any]


def _measure_all(setting: _Setting, draws: Sequence[PyTree], batch: Batch) -> list[FirstUpdate]:
    """Return the measurements of each initialization."""
    with explain_missing_gradient("diagnose"):
        try:
            return [_measure(setting, HESSIAN_PRODUCTS, params, batch) for params in draws]
        except (ValueError, TypeError, NotImplementedError):  # no second derivative
            return [_measure(setting, 0, params, batch) for params in draws]


@jit_recent(2)
def _measure(setting: _Setting, products: int, params: PyTree, batch: Batch) -> FirstUpdate:
    model, loss, optimizer = setting
    return first_update(model, params, batch, loss, optimizer, products)


def _median_updates(
    model: Model, draws: Sequence[PyTree], singles: Sequence[FirstUpdate], factor: float
) -> dict[str, ParameterUpdate]:
    """Return the median over initializations of each statistic of each parameter's update."""
    found = []
    for params, single in zip(draws, singles, strict=True):
        values = model.by_path(params)
        found.append(
            [
                parameter_update(values[path], update, factor)
                for path, update in single.updates.items()
            ]
        )
    columns = zip(*jax.device_get(found), strict=True)
    medians = [ParameterUpdate(*map(_median, zip(*column, strict=True))) for column in columns]
    return dict(zip(singles[0].updates, medians, strict=True))


def _median(values: Sequence[Any]) -> float:
    return float(np.median(np.asarray(values, np.float64))) if len(values) else math.nan


def _update_ratios(model: Model, updates: Mapping[str, ParameterUpdate]) -> dict[str, float]:
    """Return the RMS of update over parameter, by path.

    A kernel of zeros counts as one of RMS 1/√fan_in, as its output would need it.
    """
    ratios = {}
    for path, update in updates.items():
        reference, fan_in = update.value_second, model.leaf(path).fan_in
        if not reference and model.leaf(path).role == "kernel" and fan_in:
            reference = 1 / fan_in
        if reference:
            ratios[path] = math.sqrt(update.update_second / reference)
    return ratios
