"""The effect of the scale of the initial weights, as a page with a slider."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jinit.report.diagnosis.faults import VERDICT_MEANINGS
from jinit.report.page import (
    DataTable,
    Headline,
    Paragraphs,
    Section,
    TableColumn,
    check_page_path,
    write_page,
)
from jinit.report.scale.charts import layers_by_scale, loss_by_scale
from jinit.report.scale.text import factor_name, recommended_sentence, stable_sentence

_HOW = (
    "All kernels are multiplied by one factor; × 1 is the initialization that was given. Biases, "
    "embeddings and parameters of normalizations stay as they are."
)


def scale_report(data: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of the effect of scale: one HTML file that needs no network.

    Args:
      data: plain data from `ScaleEffect.to_dict()`.
      path: the file to write, whose name ends in .html.

    Returns:
      The path.

    Raises:
      MissingExtraError: if Jinja is not installed.
      ValueError: if the name of the file ends otherwise, or it cannot be written.

    >>> scale_report({}, "scale.pdf")
    Traceback (most recent call last):
    ValueError: cannot write scale.pdf: expected a name that ends in .html, such as scale.html
    """
    check_page_path(path)
    provenance = data["provenance"].items()
    return write_page(
        path,
        "The effect of the scale of the initial weights",
        [
            Section("Answer", [_headline(data), Paragraphs([_HOW])]),
            Section("Signal and gradient", [layers_by_scale(data)]),
            Section("Loss", [loss_by_scale(data)]),
            Section("All scales", [_scale_table(data)]),
        ],
        subtitle=", ".join(f"{name} {value}" for name, value in provenance),
    )


def _headline(data: Mapping[str, Any]) -> Headline:
    verdict = data["verdicts"][nearest_to_one(data["scales"])]
    tone = "good" if verdict == "stable" else "bad"
    given = f"the given initialization is {verdict}: {VERDICT_MEANINGS[verdict]}"
    needs = recommended_sentence(data)
    details = [f"{given}.", *([f"{needs}, as jinit.recommend gives them."] if needs else [])]
    return Headline(_sentence(stable_sentence(data)), list(map(_sentence, details)), tone)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _scale_table(data: Mapping[str, Any]) -> DataTable:
    heads = [
        TableColumn("scale", "factor of all kernels"),
        TableColumn("verdict"),
        TableColumn("loss", "the loss before the first step"),
        TableColumn("signal", "standard deviation of the pre-activations of the last layer"),
        TableColumn("gradient", "standard deviation of the gradient at the first layer"),
        TableColumn("why", "cause of the worst fault"),
    ]
    rows = [
        [
            (factor_name(scale), scale),
            data["verdicts"][place],
            _number(data["loss"][place]),
            _number(data["signal_std"][place][-1]),
            _number(data["gradient_std"][place][0]),
            data["causes"][place],
        ]
        for place, scale in enumerate(data["scales"])
    ]
    return DataTable("Verdict, loss, signal and gradient at each scale", heads, rows)


def _number(value: float | None) -> float | str:
    return "not finite" if value is None else value


def nearest_to_one(scales: list[float]) -> int:
    """Return the place of the scale that is nearest to 1.

    >>> nearest_to_one([0.5, 1.0, 2.0])
    1
    """
    return int(np.argmin(np.abs(np.log(scales))))
