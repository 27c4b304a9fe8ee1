"""Diagnose a network at initialization: measure it, compare it with theory, judge it."""

from collections.abc import Callable
from functools import cache, partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.diagnosis_details import add_histograms, add_jacobian
from jinit.diagnostics.differentiability import explain_missing_gradient
from jinit.diagnostics.initial_params import draw_many, given_arguments, read_params
from jinit.diagnostics.judge_optimizer import judge_optimizer
from jinit.diagnostics.judging.conclude import (
    DiagnosisContext,
    conclude,
    conclude_seeds,
)
from jinit.diagnostics.judging.diagnosis import Diagnosis
from jinit.diagnostics.judging.parameter_facts import parameter_facts
from jinit.diagnostics.judging.precision_notes import add_precision_notes
from jinit.diagnostics.measuring.batch import Batch, output_shapes, prepare_loss_batch
from jinit.diagnostics.measuring.batch_facts import batch_facts
from jinit.diagnostics.measuring.histograms import SignalSample, sample_signals
from jinit.diagnostics.measuring.losses import Loss, choose_loss
from jinit.diagnostics.measuring.measure import Measurements, count_examples, summarize
from jinit.diagnostics.measuring.observe import Observation
from jinit.diagnostics.measuring.runs import (
    Setting,
    loss_graph,
    observe_one,
    observe_seeds,
    observed_gradients,
    record_sizes,
    trained_gradients,
)
from jinit.diagnostics.measuring.trained import trained_flags
from jinit.hooks import read_network
from jinit.model import Model, PyTree, trace_for

_ProgressCallback = Callable[[str], None]
"""Called with a short text when a stage begins."""


def diagnose(
    model: Any,
    params: PyTree | Callable[[Array], PyTree] | None = None,
    *batch: PyTree,
    loss: Loss | None = None,
    key: Array | None = None,
    optimizer: Any = None,
    seeds: int | None = None,
    jacobian: bool = False,
    progress: _ProgressCallback | None = None,
) -> Diagnosis:
    r"""Run a network once forward and once backward, and judge its initialization.

    Every use of a kernel on a signal is a layer, layers inside `nn.scan` included. Its measurements
    are compared with the mean-field theory of its weights, activation and width: `E[h²]` follows
    `q' = σ_w² E[φ(√q z)²] + σ_b²`, and squared gradients grow by `χ = σ_w² E[φ'(√q z)²]` per layer.
    In a healthy network `ln q` fluctuates with a standard deviation of `√(Σ 5/n)` (relu, n units
    per layer) and, with smooth activations at criticality, follows a power of the depth. Only a
    signal or gradient outside of that interval is called vanishing or exploding.

    Args:
      model: a network from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`; or a module or
        TrainState of Flax, with an example input in `batch`.
      params: its parameters: for a Linen module its variables or a TrainState. None means the
        network's own initialization. With `seeds`, a function `key -> params` or None. An NNX
        module and a TrainState bring their own, and the batch follows: `diagnose(state, x, y)`.
      batch: inputs, then targets. Only the number of examples, axis 0, may differ from the traced
        inputs. Without any, the inputs of a traced model are drawn from a normal distribution. A
        module takes as many inputs as its call has arguments without defaults.
      loss: `loss(outputs, *targets)`, a mean over examples. Without it, integer targets mean
        cross-entropy, targets with the shape of the outputs mean squared error, and no targets a
        random direction of the outputs, whose gradient depends on the network alone.
      key: random key of the random direction, of drawn inputs and of `seeds`.
      optimizer: an optax transformation. Its first update is measured: `learning_rate` says
        whether the initialization or the learning rate is wrong, and parameters that the update
        cannot move in their dtype are faults.
      seeds: number of initializations to measure at once. Statistics are then medians over them,
        the verdict is the most frequent one, and `shares` has the fraction of each.
      jacobian: whether to measure the singular values of the Jacobian as well, by
        `jinit.diagnostics.jacobian`; with `seeds`, of the first initialization.
      progress: function that is called with a short text when a stage begins, such as `print`:
        tracing, compiling, running, measuring and judging.

    Returns:
      The verdict, the faults with their causes and cures, and the statistics of all layers.

    Raises:
      TypeError: if `model` is not a network, `key` not a key, `optimizer` not an optax
        transformation, or `loss` not a function.
      ValueError: if parameters or batch do not match the model, a module has no example input or
        cannot be called with it, targets suggest no loss or are labels out of range, `seeds` is
        below 1, or the model returns no array, has complex parameters or parameters without
        entries, or cannot be differentiated.

    References:
      Poole et al., "Exponential expressivity in deep neural networks through transient chaos",
      2016.
      Schoenholz et al., "Deep information propagation", 2017.
      Hanin & Nica, "Products of many large random matrices and gradients in deep neural networks",
      2018.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = list(0.05 * jax.random.normal(jax.random.key(0), (9, 64, 64)))
    >>> def apply(w, x):
    ...     for kernel in w:
    ...         x = jnp.tanh(x @ kernel)
    ...     return x @ w[0]
    >>> x = jax.random.normal(jax.random.key(1), (32, 64))
    >>> diagnosis = jinit.diagnose(jinit.trace(apply, w, x), w, x)
    >>> diagnosis.verdict, diagnosis.faults[0].cure
    ('vanishing', 'kernel_init=jinit.lecun_normal()')
    """
    model, params, batch = read_network("diagnose", model, given_arguments(params, batch))
    model = trace_for(model, batch)
    prepared = prepare_loss_batch("diagnose", model, batch, loss, key)
    _check_options(optimizer, seeds)
    _check_model(model)
    report_stage = progress or _ignore_progress
    setting = Setting(model, loss, optimizer)
    outputs = output_shapes(model)
    output_shape = jax.tree.leaves(outputs)[0].shape
    loss_name = choose_loss(loss, outputs, prepared.targets).name
    context = DiagnosisContext(
        model,
        loss_name,
        classes=output_shape[-1] if output_shape else 1,
        batch=batch_facts(prepared.inputs, prepared.targets),
        loss_graph=cache(partial(loss_graph, setting, prepared)),
    )
    if seeds is None:
        trees = [read_params("diagnose", model, params, prepared.key)]
        measurements, samples = _measure_one(setting, trees[0], prepared, progress)
        report_stage("judging")
        gradients = partial(observed_gradients, setting, prepared)
        facts = parameter_facts(model, trees[0], measurements, gradients)
        record = partial(record_sizes, setting, trees[0], prepared)
        diagnosis = conclude(context, measurements, facts, record)
    else:
        report_stage(f"drawing {seeds} {'initialization' if seeds == 1 else 'initializations'}")
        draws = draw_many("diagnose", model, params, jax.random.split(prepared.key, seeds))
        measurements, samples = _measure_seeds(setting, draws, prepared, progress)
        report_stage("judging")
        networks = [jax.tree.map(itemgetter(n), (draws, measurements)) for n in range(seeds)]
        trees = [params for params, _ in networks]
        gradients = partial(trained_gradients, setting, prepared)
        facts = [parameter_facts(model, params, each, gradients) for params, each in networks]
        recorders = [partial(record_sizes, setting, each, prepared) for each in trees]
        measured = [each for _, each in networks]
        diagnosis = conclude_seeds(context, measured, facts, recorders)
    diagnosis = add_precision_notes(diagnosis, model, trees[0])
    diagnosis = add_histograms(diagnosis, model, samples)
    if jacobian:
        report_stage("measuring the Jacobian")
        diagnosis = add_jacobian(diagnosis, model, trees[0], prepared)
    if optimizer is None or not any(trained_flags(model)):
        return diagnosis
    report_stage("measuring the first update")
    return judge_optimizer(diagnosis, model, trees, prepared, loss, optimizer)


def _ignore_progress(stage: str) -> None:
    del stage


def _check_options(optimizer: Any, seeds: Any) -> None:
    if seeds is not None and not (isinstance(seeds, int | np.integer) and seeds > 0):
        raise ValueError(
            f"diagnose: seeds: expected a number of initializations, at least 1, got {seeds!r}"
        )
    if optimizer is not None and not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(
            "diagnose: optimizer: expected an optax transformation, such as optax.adam(1e-3), got "
            f"{optimizer!r}"
        )


def _check_model(model: Model) -> None:
    """Raise if the measurements or the theory do not apply to a model."""
    if not jax.tree.leaves(output_shapes(model)):
        raise ValueError(
            "diagnose: the model returns no array, so there is nothing to measure; trace a "
            "function that returns its outputs"
        )
    for path, leaf in model.by_path(model.params).items():
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise ValueError(
                f"diagnose: the parameter {path!r} is complex, but the theory is about real "
                "weights; store its real and imaginary parts as two parameters"
            )
        if 0 in leaf.shape:
            raise ValueError(
                f"diagnose: the parameter {path!r} has shape {leaf.shape} and so no entries to "
                "measure; check the sizes of the layer, or leave the parameter out of the model"
            )


_Measured = tuple[Measurements, tuple[SignalSample, ...]]


def _measure_one(
    setting: Setting, params: PyTree, batch: Batch, progress: _ProgressCallback | None
) -> _Measured:
    """Return the measurements and samples of one initialization, as NumPy arrays."""
    observation = _run(observe_one, setting, params, batch, progress)
    return jax.device_get(_summarize_one(setting, batch, params, observation))


def _measure_seeds(
    setting: Setting, params: PyTree, batch: Batch, progress: _ProgressCallback | None
) -> _Measured:
    """Return those of many initializations, along axis 0 of every array."""
    observation = _run(observe_seeds, setting, params, batch, progress)
    return jax.device_get(jax.vmap(partial(_summarize_one, setting, batch))(params, observation))


def _summarize_one(
    setting: Setting, batch: Batch, params: PyTree, observation: Observation
) -> _Measured:
    model, examples = setting.model, count_examples(batch.inputs)
    samples = sample_signals(model, observation)
    return summarize(model, params, observation, examples), samples


def _run(
    function: Any,
    setting: Setting,
    params: PyTree,
    batch: Batch,
    progress: _ProgressCallback | None,
) -> Observation:
    """Run a jitted function; with `progress`, name each stage when it begins."""
    with explain_missing_gradient("diagnose"):
        if progress is None:
            return function(setting, params, batch)
        progress("tracing the network")
        traced = function.trace(setting, params, batch)
        progress("compiling")
        traced.lower().compile()  # the call below finds the program in JAX's cache
        progress("running")
        observation = jax.block_until_ready(function(setting, params, batch))
        count = len(setting.model.layers)
        progress(f"measuring {count} {'layer' if count == 1 else 'layers'}")
        return observation
