"""Lesson: which initializer for which activation."""

from collections.abc import Sequence

from jinit.report.learn.drawing import lesson_table
from jinit.report.learn.numbers import ActivationRow
from jinit.report.page import DataTable, Formula, Prose, Section, Snippet, TableColumn
from jinit.report.text import compact_text

_SAME = 1.05
"""Ratio below which the first layer of a deep network needs nothing of its own."""


def activation_section(rows: Sequence[ActivationRow]) -> Section:
    """Return the lesson on the choice by activation.

    Args:
      rows: activations with gains and critical variances.
    """
    without = [row.name for row in rows if not row.is_critical]
    by_name = {row.name: row for row in rows}
    tanh = by_name["tanh"]
    return Section(
        "4. Choose by activation",
        [
            Prose(
                [
                    "Two questions decide. Does the signal keep its size? Does the gradient? The "
                    "gain answers the first one, the number $χ_1$ the second:"
                ]
            ),
            Formula(
                [
                    (
                        "g^2 = 1/{E[φ(z)^2]}",
                        "With $Var(w) = g^2/n_in$ the mean square of the signal stays 1.",
                    ),
                    (
                        "χ_1 = σ_w^2 E[φ′(z)^2]",
                        "The squared gradient is multiplied by this in every layer, with "
                        "$σ_w^2 = n_in Var(w)$. Above 1 it explodes in a deep network, below 1 "
                        "it vanishes.",
                    ),
                ]
            ),
            _table(rows),
            Prose(
                [
                    "In a network of few layers, or with a normalization after every layer, the "
                    "gain is all you need. In a deep chain without normalization $χ_1$ must be 1 "
                    "as well, which is called critical. relu gives both at once. For tanh the gain "
                    f"{tanh.gain:.4f} would have $χ_1 = {tanh.chi:.4f}$, and over 50 layers the "
                    f"squared gradient would grow {tanh.chi**50:,.0f} times; hence gain 1 in "
                    "deep networks, where the signal shrinks slowly but the gradient survives. "
                    "gelu and silu need a small signal, and so a small first layer.",
                    f"{', '.join(without)} has no scale that keeps both. Use tanh or relu instead, "
                    "a normalization, or residual branches.",
                ]
            ),
            Snippet(
                "jinit.recommend(model)  # reads the activations and depth of your model",
                "The same choice for a whole model",
            ),
        ],
    )


def _table(rows: Sequence[ActivationRow]) -> DataTable:
    return lesson_table(
        "Activations with their gains, and the critical variance of a plain chain of 8 layers",
        [
            TableColumn("activation"),
            TableColumn("E[φ]", "mean of φ(z), z standard normal", 4),
            TableColumn("E[φ²]", "mean square", 5),
            TableColumn("gain", "1 / √E[φ²]", 5),
            TableColumn("χ₁ with it", "factor of the squared gradient per layer", 5),
            TableColumn("initializer of jinit", "for few layers or with normalization"),
            TableColumn("deep chain: σ_w²", "n_in times the variance, without normalization"),
        ],
        [
            [
                row.name,
                _clean(row.mean),
                row.second,
                row.gain,
                row.chi,
                row.initializer,
                _deep_text(row),
            ]
            for row in rows
        ],
    )


def _clean(mean: float) -> float:
    """Return 0 for a mean that is rounding error."""
    return mean if abs(mean) > 1e-12 else 0.0


def _deep_text(row: ActivationRow) -> str:
    variance = compact_text(row.deep_weights, 4)
    if not row.is_critical:
        return f"none; {variance} is the best of bad ones"
    if max(row.deep_weights / row.deep_first, row.deep_first / row.deep_weights) < _SAME:
        return variance
    return f"{variance}, in the first layer {compact_text(row.deep_first, 3)}"
