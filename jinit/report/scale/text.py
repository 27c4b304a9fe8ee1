"""The effect of the scale of the initial weights, in sentences."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from jinit.report.text import UNKNOWN_TEXT, compact_text, escape_unprintable


def factor_name(scale: float) -> str:
    """Return a factor as text.

    >>> factor_name(0.5), factor_name(2**0.25)
    ('× 0.5', '× 1.19')
    """
    return f"× {compact_text(scale, 3)}"


def scale_text(data: Mapping[str, Any]) -> str:
    """Return the verdicts by scale, one line for each range of scales with one verdict.

    Args:
      data: plain data from `ScaleEffect.to_dict()`.

    >>> data = {"scales": [1.0, 2.0, 4.0], "verdicts": ["stable", "stable", "exploding"]}
    >>> print(scale_text(data | {"recommended": 1.2}))
    stable at × 1 … × 2
      stable     × 1 … × 2
      exploding  × 4
      the kernels need × 1.2 by theory
    """
    runs = verdict_runs(data["scales"], data["verdicts"])
    width = max(len(verdict) for verdict, _ in runs)
    lines = [f"  {verdict:{width}}  {text}" for verdict, text in runs]
    return "\n".join([stable_sentence(data), *lines, f"  {recommended_sentence(data)}"]).rstrip()


def verdict_runs(scales: Sequence[float], verdicts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the verdicts in order of the scales, each with the range of scales that have it.

    Args:
      scales: the scales, from the smallest on.
      verdicts: the verdict at each.

    >>> verdict_runs([1.0, 2.0], ["stable", "stable"])
    [('stable', '× 1 … × 2')]
    """
    runs = []
    for verdict, members in groupby(zip(verdicts, scales, strict=True), key=lambda pair: pair[0]):
        names = [factor_name(scale) for _, scale in members]
        runs.append((verdict, names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"))
    return runs


def stable_sentence(data: Mapping[str, Any]) -> str:
    """Return at which scales the network is stable.

    >>> stable_sentence({"scales": [1.0], "verdicts": ["dead"]})
    'stable at no scale from × 1 to × 1'
    """
    scales = data["scales"]
    runs = verdict_runs(scales, data["verdicts"])
    ranges = [text for verdict, text in runs if verdict == "stable"]
    if not ranges:
        ends = f"{factor_name(scales[0])} to {factor_name(scales[-1])}"
        return f"stable at no scale from {ends}"
    return f"stable at {' and '.join(ranges)}"


def recommended_sentence(data: Mapping[str, Any]) -> str:
    """Return the factor that the kernels need by theory; empty if it is not known.

    >>> recommended_sentence({"recommended": None})
    ''
    """
    factor = data["recommended"]
    return "" if factor is None else f"the kernels need {factor_name(factor)} by theory"


def loss_at(data: Mapping[str, Any], place: int) -> str:
    """Return name and value of the loss at a scale.

    Args:
      data: plain data from `ScaleEffect.to_dict()`.
      place: number of the scale.
    """
    loss = data["loss"][place]
    value = "not finite" if loss is None else compact_text(loss, 4)
    return f"{escape_unprintable(data['loss_name'])} {value or UNKNOWN_TEXT}"
