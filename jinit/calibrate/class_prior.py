"""The bias of the output layer that predicts the frequencies of the classes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.calibrate.batches import DataBatches
from jinit.calibrate.checks import check_number
from jinit.calibrate.losses import are_labels
from jinit.calibrate.method import BaseInitializer, Findings, Method, apply_or_keep
from jinit.calibrate.report import Report
from jinit.model import Model, PyTree

_LARGEST_ERROR = 1e-2
"""Largest error of the derivative of the outputs by the bias, for bfloat16."""
_PASSES = 4.0
"""Forward passes over a batch: two directional derivatives."""


def class_prior(
    model: Model | None = None,
    params: PyTree = None,
    data: Any = None,
    key: Array | None = None,
    *,
    init: BaseInitializer = "he_normal",
    smoothing: float = 1.0,
) -> Any:
    r"""Set the bias of the output layer so that it predicts the frequencies of the classes.

    With n_k of N labels in class k, of K classes, and the smoothing c, the bias is

        b_k = log p_k,    p_k = (n_k + c) / (N + K c),

    for integer targets and one output per class. For integer targets 0 and 1, with one target for
    each output, it is log p_1/p_0, and for other targets of the outputs' shape it is their mean.
    Where the rest of the layer gives zero, the loss equals the entropy of the labels (for c → 0),
    or the variance of the targets, so that training does not begin by learning the frequencies.

    Args:
      model: the traced network, whose outputs are logits; None to get a value of the axis `init`
        of a sweep.
      params: its parameters.
      data: a batch `(inputs, targets)` or an iterable of batches, whose targets count together.
      key: not used: nothing is drawn.
      init: initializer of the kernels in a sweep.
      smoothing: c, the number of examples that are added to each class.

    Returns:
      The parameters with another bias and a Report; without a model, the method with its options.

    Raises:
      ValueError: if the output layer has no bias, the targets do not fit the outputs, a label is
        not a class, or the data does not fit the model.

    References:
      Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017,
      section 3.3, for two classes.

    >>> import jax, jinit, jax.numpy as jnp
    >>> apply = lambda p, x: x @ p["w"] + p["b"][None]
    >>> params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}
    >>> labels = jnp.array([0, 0, 0, 0, 1, 1, 2, 2])
    >>> model = jinit.trace(apply, params, jnp.ones((8, 2)))
    >>> found, report = class_prior(model, params, (jnp.ones((8, 2)), labels), smoothing=1e-6)
    >>> [round(float(p), 3) for p in jax.nn.softmax(found["b"])]
    [0.5, 0.25, 0.25]
    """
    method = ClassPrior(init=init, smoothing=smoothing)
    return apply_or_keep(method, model, params, data, key)


class _Prior(NamedTuple):
    """The outputs that predict the targets best if they are the same for all examples."""

    values: Array
    """One number per entry of the outputs' last axis."""
    loss: Array
    """Mean loss of these outputs over all examples."""
    strange_labels: Array
    """Number of labels that are not classes."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ClassPrior(Method):
    """The method `class_prior` with its options."""

    smoothing: float = 1.0

    name: ClassVar[str] = "class_prior"
    needs_targets: ClassVar[bool] = True

    def check(self) -> None:
        """Raise if an option has a value that cannot work."""
        check_number(self.name, "smoothing", self.smoothing)

    def find(
        self, model: Model, params: PyTree, batches: DataBatches, key: Array
    ) -> tuple[PyTree, Findings]:
        """Return the parameters with another bias, unless the outputs do not follow it."""
        del key
        batch = batches.batch(0)
        outputs = jax.tree.leaves(jax.eval_shape(model.apply, params, *batch.inputs))
        prior = self._read_prior(outputs, batches)
        leaves, structure = jax.tree.flatten(params)
        index = _find_bias(model)
        bias = leaves[index]
        if bias.size != prior.values.size:
            raise ValueError(
                f"{self.name}: the bias {model.paths[index]} of the output layer has the shape "
                f"{list(bias.shape)}, and the outputs {list(outputs[0].shape)}; expected an entry "
                "of the bias for each entry of the outputs' last axis"
            )

        def apply(bias: Array) -> Array:
            changed = [*leaves[:index], bias, *leaves[index + 1 :]]
            outputs = model.apply(jax.tree.unflatten(structure, changed), *batch.inputs)
            return jax.tree.leaves(outputs)[0]

        error = _error_of_derivative(apply, bias)
        can_set = (error < _LARGEST_ERROR) & (prior.strange_labels == 0)
        new = prior.values.reshape(bias.shape).astype(bias.dtype)
        leaves[index] = jnp.where(can_set, new, bias)
        findings = {
            "loss without kernels": prior.loss,
            "smallest bias": leaves[index].min(),
            "largest bias": leaves[index].max(),
            "error of the derivative": error,
            "strange labels": prior.strange_labels,
        }
        rows = {name: each.astype(jnp.float32).reshape(1) for name, each in findings.items()}
        return jax.tree.unflatten(structure, leaves), Findings(rows, {}, _PASSES / batches.length)

    def _read_prior(self, outputs: list[Any], batches: DataBatches) -> _Prior:
        """Return what all targets say about the bias."""
        targets = jax.tree.leaves(batches.examples().targets)
        if len(outputs) == 1 and len(targets) == 1:
            shape, target = outputs[0].shape, targets[0]
            classes = shape[-1] if len(shape) > 1 else 1
            if are_labels(outputs, batches.batch(0).targets):
                return self._prior_of_classes(target, classes)
            example = tuple(shape[1:])
            alike = (example, (*example, 1), example[:-1] if example[-1:] == (1,) else example)
            if target.shape[1:] in alike:
                rows = target.reshape(-1, classes)
                is_float = jnp.issubdtype(target.dtype, jnp.floating)
                return _prior_of_numbers(rows, target) if is_float else self._prior_of_flags(rows)
        shapes = ", ".join(f"{each.dtype}{list(each.shape[1:])}" for each in targets)
        raise ValueError(
            f"{self.name}: targets of {shapes} per example do not say which bias is meant for "
            f"outputs of {', '.join(str(list(each.shape[1:])) for each in outputs)}; expected an "
            "integer below the number of outputs, integers 0 and 1 for each output, or one number "
            "for each output"
        )

    def _prior_of_classes(self, labels: Array, classes: int) -> _Prior:
        is_class = (labels >= 0) & (labels < classes)
        counts = jnp.zeros(classes).at[jnp.where(is_class, labels, classes)].add(1, mode="drop")
        values = jnp.log(counts + self.smoothing) - jnp.log(counts.sum() + classes * self.smoothing)
        loss = -(counts * values).sum() / labels.size
        return _Prior(values, loss, jnp.sum(~is_class))

    def _prior_of_flags(self, flags: Array) -> _Prior:
        ones = (flags == 1).mean(0, dtype=jnp.float32) * len(flags)
        zeros = len(flags) - ones
        values = jnp.log(ones + self.smoothing) - jnp.log(zeros + self.smoothing)
        losses = ones * jax.nn.softplus(-values) + zeros * jax.nn.softplus(values)
        return _Prior(values, losses.mean() / len(flags), jnp.sum((flags != 0) & (flags != 1)))

    def report(self, model: Model, findings: Findings, seconds: float) -> Report:
        """Return the report.

        Raises:
          ValueError: if a label is not a class.
        """
        statistics: dict[str, Any] = jax.tree.map(np.asarray, findings.layers)
        (error,) = statistics.pop("error of the derivative")
        (strange,) = statistics.pop("strange labels")
        if strange:
            raise ValueError(
                f"{self.name}: {int(strange)} label{' is' if strange == 1 else 's are'} not a "
                "class; expected integers from 0 to the number of outputs - 1, or 0 and 1 for each "
                "output; for a regression give floating-point targets"
            )
        path, skipped = model.paths[_find_bias(model)], {}
        if not error < _LARGEST_ERROR:
            skipped[path] = (
                "a change of this bias does not change the outputs by as much; expected outputs "
                "that are the result of the last layer, such as logits"
            )
        return Report(
            repr(self),
            (path,),
            statistics,
            skipped,
            passes=float(findings.passes),
            seconds=seconds,
        )


def _prior_of_numbers(rows: Array, targets: Array) -> _Prior:
    mean = rows.mean(0, dtype=jnp.float32)
    loss = jnp.sum((rows - mean[None]) ** 2) / len(targets)
    return _Prior(mean, loss, jnp.zeros((), jnp.int32))


def _find_bias(model: Model) -> int:
    """Return the index of the output layer's bias among the parameters."""
    last = [each for each in model.contractions if each.follower is None]
    if not last:
        raise ValueError(f"{ClassPrior.name}: the model has no product of a kernel with a signal")
    kernel = model.paths[last[-1].kernel]
    # A transpose may lie between a kernel and its bias; a wrong bias fails the derivative's test.
    alike = [
        leaf.path
        for leaf in model.leaves
        if leaf.role == "bias" and math.prod(leaf.shape) == last[-1].width
    ]
    bias = model.leaf(kernel).bias_path or (alike[-1] if alike else "")
    if not bias or bias in model.untrained_paths:
        raise ValueError(
            f"{ClassPrior.name}: the output layer {kernel} has no trained bias; give it one, such "
            "as by use_bias=True"
        )
    return model.paths.index(bias)


def _error_of_derivative(apply: Callable[[Array], Array], bias: Array) -> Array:
    """Return how far the outputs are from changing by as much as the bias."""
    errors = [jnp.zeros(())]
    # Entries that are equal, and entries that differ: outputs could be another order of the bias.
    for wave in (jnp.ones(bias.size), jnp.cos(jnp.arange(bias.size))):
        wave = wave.astype(bias.dtype)
        slope = jax.jvp(apply, (bias,), (wave.reshape(bias.shape),))[1]
        rows = slope.reshape(-1, bias.size).astype(jnp.float32)
        errors.append(jnp.abs(rows - wave.astype(jnp.float32)[None]).max())
    return jnp.stack(errors).max()
