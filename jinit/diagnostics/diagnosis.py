"""A network at its starting point: measured, compared with theory, judged."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jinit.diagnostics.audit import leaves_of
from jinit.diagnostics.expect import Band, Expectation, expectations
from jinit.diagnostics.judge import VERDICTS, Finding, findings
from jinit.diagnostics.losses import Loss, chosen
from jinit.diagnostics.measure import Found, measure
from jinit.diagnostics.rows import Row, rows
from jinit.diagnostics.symmetry import alike, twins
from jinit.model import Model
from jinit.theory import initial_loss

_PROGRAMS: WeakKeyDictionary[Model, dict[Any, Callable[..., Found]]] = WeakKeyDictionary()
_LARGE_INPUT = 25.0
_FAR_FROM_CHANCE = 2.0


@dataclass(frozen=True)
class LayerDiagnosis:
    """One layer: a place where a kernel is applied to a signal."""

    path: str
    verdict: str
    cause: str
    cure: str
    source: str
    """Layer that the fault comes from; empty if it is this one."""
    shape: tuple[int, ...]
    """Of its pre-activations."""
    statistics: Mapping[str, float]
    """What was measured, by name; NaN where there is nothing to measure."""
    predicted: Mapping[str, Band]
    """What theory expects of a network of this width, and between what a healthy one may lie."""


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a network at its starting point.

    Statistics of a layer, of its pre-activations unless said otherwise: `mean`, `std`, `rms`,
    `second_moment`, `correlation` (mean cosine of pairs of rows), `effective_rank`; of what it
    takes in, `input_rms`; of what is made of it, `zero_fraction`, `dead_fraction`,
    `saturated_fraction`; `gradient_rms` and `weight_gradient_rms` of the loss of one example;
    `inner`, ⟨W, ∂W⟩; `update_ratio`, RMS of the optimizer's first update over the weights'; and
    `branch_ratio`, RMS of the residual branch over its stream's.

    >>> Diagnosis("stable", (), 2.3, "cross-entropy").healthy
    True
    """

    verdict: str
    """The worst of any layer."""
    layers: tuple[LayerDiagnosis, ...]
    """In execution order."""
    loss: float
    loss_name: str
    notes: tuple[str, ...] = ()
    """What else is to be known."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """With `seeds`, the share of starts with each verdict."""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict == "stable"

    @property
    def faults(self) -> tuple[LayerDiagnosis, ...]:
        """The layers at which something is wrong that comes from nowhere else, the worst first."""
        own = [each for each in self.layers if each.verdict != "stable" and not each.source]
        every = own or [each for each in self.layers if each.verdict != "stable"]
        return tuple(sorted(every, key=lambda each: VERDICTS.index(each.verdict)))

    def table(self) -> Any:
        """The page for a terminal: what is wrong, where, why, what to write instead; all layers.

        `rich.print(diagnosis.table())` shows it; `print(diagnosis)` is the short form.
        """
        from jinit.report import needed_for

        with needed_for("A diagnosis as a table"):
            from jinit.report.diagnosis import diagnosis_page

        return diagnosis_page(self.to_dict())

    def plot(self, path: Any = None) -> Any:
        """A figure of signal, gradient and correlation by layer, beside theory's bands.

        Written to `path` as PNG if given; needs `jinit[report]`.
        """
        from jinit.report import diagnosis_figure

        return diagnosis_figure(self.to_dict(), path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, which JSON can hold: NaN and infinity are None."""
        return _plain(asdict(self) | {"faults": [asdict(each) for each in self.faults]})

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {len(self.layers)} layers, {self.loss_name} {self.loss:.4g}"]
        lines += [f"  {each.path}: {each.verdict}; {each.cause}" for each in self.faults[:5]]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def diagnose(
    model: Model,
    params: Any,
    *batch: Any,
    loss: Loss | None = None,
    key: Array | None = None,
    optimizer: Any = None,
    seeds: int | None = None,
) -> Diagnosis:
    r"""Run a network once forward and once backward, and say what is wrong with its start.

    Every place where a kernel is applied to a signal is a layer, those inside `nn.scan` included.
    Its measurements are compared with what mean-field theory expects of its weights, activation
    and width: `E[h²]` follows `q' = σ_w² E[φ(√q z)²] + σ_b²`, squared gradients grow by
    `χ = σ_w² E[φ'(√q z)²]` a layer, and `ln q` of a healthy network strays by `√(Σ 5/n)` (relu)
    and, as smooth activations do at criticality, like a power of the depth. Only what leaves that
    band is called vanishing or exploding.

    Args:
      model: from `jinit.linen.trace`, `jinit.nnx.trace` or `jinit.trace`.
      params: its parameters; with `seeds`, a function `key -> params`, or None for the model's own.
      batch: inputs like those that the model was traced with, then targets. Without any, the
        inputs are normal numbers of the traced shapes.
      loss: `loss(outputs, *targets)`, a mean over examples. Without one, integer targets mean
        cross-entropy, targets like the outputs mean squared error, and no targets a random
        direction, whose gradient says what the network alone does.
      key: of the random direction, of inputs that are not given, and of `seeds`.
      optimizer: an optax transformation whose first update is measured.
      seeds: number of starts to measure at once; statistics are then medians over them, the
        verdict is that of most starts, and `shares` has all.

    Raises:
      TypeError: `model` is no Model.
      ValueError: parameters or a batch unlike the model's; targets that suggest no loss.

    Reference: Poole et al., "Exponential expressivity in deep neural networks through transient
    chaos", 2016; Schoenholz et al., "Deep information propagation", 2017; Hanin & Nica, "Products
    of many large random matrices and gradients in deep neural networks", 2018.

    >>> import jax, jinit, jax.numpy as jnp
    >>> w = list(0.05 * jax.random.normal(jax.random.key(0), (9, 64, 64)))
    >>> def apply(w, x):
    ...     for each in w:
    ...         x = jnp.tanh(x @ each)
    ...     return x @ w[0]
    >>> x = jax.random.normal(jax.random.key(1), (32, 64))
    >>> found = jinit.diagnose(jinit.trace(apply, w, x), w, x)
    >>> found.verdict, found.faults[0].cure
    ('vanishing', 'kernel_init=jinit.lecun_normal()')
    """
    if not isinstance(model, Model):
        raise TypeError(
            f"diagnose: expected a Model, got {type(model).__name__}; make one with "
            "jinit.linen.trace(module, x), jinit.nnx.trace(constructor, x) or "
            "jinit.trace(apply, params, x)"
        )
    key = jax.random.key(0) if key is None else key
    inputs, rest = _batch(model, batch, key)
    function, name = chosen(loss, jax.eval_shape(model.apply, model.params, *inputs), rest)
    program = _program(model, function, name if loss is None else loss, optimizer, seeds)
    if seeds is not None:
        starts = jax.random.split(key, seeds)
        drawn = _starts(model, params)
        many = jax.jit(jax.vmap(drawn))(starts)
        return _of_seeds(model, program(many, inputs, rest, key), seeds, name)
    leaves = leaves_of(model, params)
    whole = jax.tree.unflatten(jax.tree.structure(model.params), leaves)
    found = jax.device_get(program(whole, inputs, rest, key))
    return _diagnosis(model, found, _equal(model, found, leaves), name)


def _batch(model: Model, batch: Sequence[Any], key: Array) -> tuple[list[Any], list[Any]]:
    """Inputs of the model, drawn if there are none, and targets."""
    count = len(model.inputs)
    if not batch:
        keys = jax.random.split(key, max(count, 1))
        return [
            jax.tree.map(partial(_drawn, own), each)
            for own, each in zip(keys, model.inputs, strict=False)
        ], []
    if len(batch) < count:
        raise ValueError(f"diagnose: the model takes {count} inputs, got a batch of {len(batch)}")
    inputs, rest = list(batch[:count]), list(batch[count:])
    for number, (given, traced) in enumerate(zip(inputs, model.inputs, strict=True)):
        one, other = jax.tree.map(jnp.shape, given), jax.tree.map(lambda leaf: leaf.shape, traced)
        if one != other:
            raise ValueError(
                f"diagnose: input {number} has shape {one}, and the model was traced with {other}; "
                "trace it with this batch"
            )
    return inputs, rest


def _drawn(key: Array, like: Any) -> Array:
    if jnp.issubdtype(like.dtype, jnp.floating):
        return jax.random.normal(key, like.shape, like.dtype)
    if jnp.issubdtype(like.dtype, jnp.integer):
        return jnp.zeros(like.shape, like.dtype)
    raise ValueError(f"diagnose: cannot draw inputs of {like.dtype}: give a batch")


def _program(
    model: Model, function: Loss, name: Any, optimizer: Any, seeds: int | None
) -> Callable[..., Found]:
    """The compiled measurement, kept as long as the model."""
    known = _PROGRAMS.setdefault(model, {})
    label = name, optimizer, seeds is not None
    if label not in known:

        def run(params: Any, inputs: Any, rest: Any, key: Array) -> Found:
            return measure(
                model, params, inputs, lambda outputs: function(outputs, rest, key), optimizer
            )

        many = jax.vmap(run, in_axes=(0, None, None, None))
        known[label] = jax.jit(run if seeds is None else many)
    return known[label]


def _starts(model: Model, params: Any) -> Callable[[Array], Any]:
    draw = model.init if params is None else params
    if draw is None or not callable(draw):
        raise ValueError(
            "diagnose: with seeds, params must be a function key -> params, such as "
            "lambda key: jinit.init(model, key, rules), or None for a model with its own init; got "
            f"{type(params).__name__}"
        )
    return lambda key: model.tree(draw(key))


def _equal(model: Model, found: Found, leaves: Sequence[Any]) -> dict[str, str]:
    """By path, the earlier parameter that is equal: of those that look alike, to the last bit."""
    near = alike(found.products)
    asked = {*near, *near.values()}
    every = zip(model.paths, leaves, strict=True)
    return twins({path: leaf for path, leaf in every if path in asked})


def _near(found: Found) -> dict[str, str]:
    """The same, told from random products alone."""
    near = alike(found.products)
    return {path: other for path, other in near.items() if found.weights[path].spread > 0}


def _diagnosis(model: Model, found: Found, equal: Mapping[str, str], name: str) -> Diagnosis:
    measured = rows(model, found)
    expected = expectations(measured)
    judged = findings(measured, expected, equal)
    layers = tuple(map(_layer, measured, expected, judged, [measured] * len(measured)))
    words = [each.verdict for each in judged]
    return Diagnosis(
        min(words, key=VERDICTS.index, default="stable"),
        layers,
        float(found.loss),
        name,
        tuple(_notes(model, found, measured, name)),
    )


def _layer(
    row: Row, expected: Expectation, finding: Finding, measured: Sequence[Row]
) -> LayerDiagnosis:
    made, back, weight = row.found.made, row.found.back, row.weight
    after = None if row.after is None else measured[row.after].found.taken
    branch = row.branch
    predicted = {"second_moment": expected.second, "gradient_rms": None}
    if expected.gradient is not None and back.total > 0:
        per_entry = back.second / back.total
        predicted["gradient_rms"] = Band(
            *(math.sqrt(each * per_entry) for each in expected.gradient)
        )
    return LayerDiagnosis(
        row.name,
        finding.verdict,
        finding.cause,
        finding.cure,
        finding.source,
        row.contraction.shape,
        {
            "mean": made.mean,
            "std": math.sqrt(max(made.second - made.mean**2, 0.0)),
            "rms": math.sqrt(made.second),
            "second_moment": made.second,
            "largest": made.largest,
            "correlation": 1 - made.apart,
            "effective_rank": made.rank,
            "input_rms": math.sqrt(row.found.taken.second),
            "zero_fraction": after.zero if after else math.nan,
            "dead_fraction": after.dead if after else math.nan,
            "saturated_fraction": after.saturated if after else math.nan,
            "gradient_rms": math.sqrt(back.second),
            "weight_rms": math.sqrt(weight.second),
            "weight_gradient_rms": math.sqrt(weight.gradient_second),
            "inner": weight.inner,
            "update_ratio": _ratio(weight.update_second, weight.second),
            "branch_ratio": math.nan if branch is None else _ratio(branch.branch, branch.stream),
        },
        {name: band for name, band in predicted.items() if band is not None},
    )


def _ratio(one: float, other: float) -> float:
    return math.sqrt(one / other) if other > 0 else math.nan


def _notes(model: Model, found: Found, measured: Sequence[Row], name: str) -> list[str]:
    notes = []
    if not measured:
        notes.append("no kernel meets a signal where jinit can see it: nothing was measured")
    if model.graph.unread:
        notes.append(
            f"{model.graph.unread} products are inside branches, custom derivatives or while loops "
            "and were not looked at"
        )
    if name == "cross-entropy":
        classes = model_outputs(model)[-1]
        chance = math.log(classes)
        expected = (
            initial_loss(classes, float(found.outputs.std)) if found.outputs.std < 1 else None
        )
        if found.loss > _FAR_FROM_CHANCE * chance:
            notes.append(
                f"the loss, {found.loss:.3g}, is far above ln {classes} = {chance:.3g}, that of "
                f"guessing: the logits have standard deviation {found.outputs.std:.3g}"
            )
        else:
            beside = f"; theory: {expected:.4g} for such logits" if expected else ""
            notes.append(
                f"loss {found.loss:.4g} beside ln {classes} = {chance:.4g} of guessing, logits of "
                f"standard deviation {found.outputs.std:.3g}{beside}"
            )
    large = measured[0].found.taken.second if measured else 0.0
    if large > _LARGE_INPUT:
        notes.append(
            f"the inputs have RMS {math.sqrt(large):.3g}, and initializers count on about 1: scale "
            "them to mean 0 and standard deviation 1"
        )
    return notes


def model_outputs(model: Model) -> tuple[int, ...]:
    """Shape of the network's first output."""
    outputs = jax.eval_shape(model.apply, model.params, *model.inputs)
    return tuple(jax.tree.leaves(outputs)[0].shape)


def _of_seeds(model: Model, many: Found, seeds: int, name: str) -> Diagnosis:
    """One diagnosis of many starts: medians, and the verdict of most."""
    many = jax.device_get(many)
    every = [jax.tree.map(lambda leaf, n=n: leaf[n], many) for n in range(seeds)]
    each = [_diagnosis(model, found, _near(found), name) for found in every]
    words = [one.verdict for one in each]
    shares = {word: words.count(word) / seeds for word in VERDICTS if word in words}
    most = max(shares, key=lambda word: shares[word])
    typical = next(one for one in each if one.verdict == most)
    return Diagnosis(
        most,
        tuple(map(_median, zip(*(one.layers for one in each), strict=True), typical.layers)),
        float(np.median([one.loss for one in each])),
        name,
        typical.notes,
        shares,
    )


def _median(layers: Sequence[LayerDiagnosis], typical: LayerDiagnosis) -> LayerDiagnosis:
    """Medians over starts; 5 and 95 percent of them as what was seen."""
    statistics: dict[str, float] = {}
    for name in typical.statistics:
        seen = np.array([each.statistics[name] for each in layers])
        known = seen[np.isfinite(seen)]
        low, median, high = np.quantile(known, [0.05, 0.5, 0.95]) if known.size else [math.nan] * 3
        statistics |= {name: median, f"{name}_5%": low, f"{name}_95%": high}
    values = asdict(typical) | {"statistics": statistics, "predicted": typical.predicted}
    return LayerDiagnosis(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
