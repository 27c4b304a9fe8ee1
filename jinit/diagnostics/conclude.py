"""From what was measured of a network to its diagnosis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np

from jinit.diagnostics.band import Band
from jinit.diagnostics.diagnosis import Diagnosis, LayerDiagnosis
from jinit.diagnostics.expect import Expectation, expectations
from jinit.diagnostics.finding import VERDICTS, Finding
from jinit.diagnostics.judge import findings
from jinit.diagnostics.measure import Found
from jinit.diagnostics.network_faults import of_whole
from jinit.diagnostics.rows import Row, rows
from jinit.diagnostics.symmetry import alike, twins
from jinit.model import Model
from jinit.theory import initial_loss

_FAR_FROM_CHANCE = 2.0


class About(NamedTuple):
    """What is looked at, and by which loss."""

    model: Model
    loss: str
    classes: int
    """Length of the last axis of the first output."""


def conclude(about: About, found: Found, equal: Mapping[str, str]) -> Diagnosis:
    """Of one start; `equal` has, by path, the earlier parameter that is the same."""
    measured = rows(about.model, found)
    expected = expectations(measured)
    broken = [path for path, each in found.weights.items() if each.broken]
    judged = findings(measured, expected, equal, broken)
    layers = tuple(map(_layer, measured, expected, judged, [measured] * len(measured)))
    words = [each.verdict for each in judged]
    chance = math.log(about.classes) if about.loss == "cross-entropy" else math.inf
    word, note = of_whole(about.loss, float(found.loss), chance, measured)
    return Diagnosis(
        min([word, *words], key=VERDICTS.index),
        layers,
        float(found.loss),
        about.loss,
        tuple(filter(None, [note, *_notes(about, found, measured)])),
    )


def conclude_seeds(about: About, many: Found) -> Diagnosis:
    """One diagnosis of many starts, along axis 0: medians, and the verdict of most."""
    every = [jax.tree.map(itemgetter(n), many) for n in range(len(many.loss))]
    each = [conclude(about, found, _near(found)) for found in every]
    words = [one.verdict for one in each]
    shares = {word: words.count(word) / len(words) for word in VERDICTS if word in words}
    most = max(shares, key=lambda word: shares[word])
    typical = next(one for one in each if one.verdict == most)
    return Diagnosis(
        most,
        tuple(map(_median, zip(*(one.layers for one in each), strict=True), typical.layers)),
        float(np.median([one.loss for one in each])),
        about.loss,
        typical.notes,
        shares,
    )


def equal_leaves(model: Model, found: Found, leaves: Sequence[Any]) -> dict[str, str]:
    """By path, the earlier parameter that is equal: of those that look alike, to the last bit."""
    near = alike(found.products)
    asked = {*near, *near.values()}
    every = zip(model.paths, leaves, strict=True)
    return twins({path: leaf for path, leaf in every if path in asked})


def _near(found: Found) -> dict[str, str]:
    """The same, told from random products alone."""
    near = alike(found.products)
    return {path: other for path, other in near.items() if found.weights[path].spread > 0}


def _layer(
    row: Row, expected: Expectation, finding: Finding, measured: Sequence[Row]
) -> LayerDiagnosis:
    made, back, weight = row.found.made, row.found.back, row.weight
    after = None if row.after is None else measured[row.after].found.taken
    branch = row.branch
    predicted = {
        "second_moment": expected.second,
        "gradient_rms": None,
        "correlation": expected.correlation,
        "zero_fraction": expected.handed_on.zero,
        "saturated_fraction": expected.handed_on.saturated,
    }
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
            "equal_units": row.equal.weights[0],
            "equal_inputs": row.equal.weights[1],
            "equal_unit_gradients": row.equal.gradients[0],
            "equal_input_gradients": row.equal.gradients[1],
            "update_ratio": _ratio(weight.update_second, weight.second),
            "branch_ratio": math.nan if branch is None else _ratio(branch.branch, branch.stream),
        },
        {name: band for name, band in predicted.items() if band is not None},
    )


def _ratio(one: float, other: float) -> float:
    return math.sqrt(one / other) if other > 0 else math.nan


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


def _notes(about: About, found: Found, measured: Sequence[Row]) -> list[str]:
    notes = []
    if not measured:
        notes.append("no kernel meets a signal where jinit can see it: nothing was measured")
    unread = about.model.graph.unread
    if unread:
        notes.append(
            f"{unread} products are inside branches, custom derivatives or while loops and were "
            "not looked at"
        )
    if about.loss == "cross-entropy":
        notes.append(_beside_chance(float(found.loss), float(found.outputs.std), about.classes))
    return notes


def _beside_chance(loss: float, std: float, classes: int) -> str:
    """What the loss says beside that of guessing."""
    chance = math.log(classes)
    if loss > _FAR_FROM_CHANCE * chance:
        return (
            f"the loss, {loss:.3g}, is far above ln {classes} = {chance:.3g}, that of guessing: "
            f"the logits have standard deviation {std:.3g}"
        )
    theory = f"; theory: {initial_loss(classes, std):.4g} for such logits" if std < 1 else ""
    return (
        f"loss {loss:.4g} beside ln {classes} = {chance:.4g} of guessing, logits of standard "
        f"deviation {std:.3g}{theory}"
    )
