"""Check that plain data is a diagnosis, before it is shown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinit.report.diagnosis.faults import VERDICT_MEANINGS
from jinit.report.text import escape_unprintable

_STATISTICS = (
    "rms",
    "second_moment",
    "gradient_rms",
    "correlation",
    "dead_fraction",
    "saturated_fraction",
)
"""Those that every page of a diagnosis shows."""
_SQUARES = ("second_moment",)
SPECTRUM_NUMBERS = ("largest", "smallest", "mean_square")
"""Statistics of the singular values of a Jacobian."""

"""Statistics whose square roots are shown."""
_Kind = type | tuple[type, ...]
_FIELDS: dict[str, _Kind] = {
    "verdict": str,
    "layers": list,
    "faults": list,
    "loss": (int, float, type(None)),
    "loss_name": str,
    "notes": list,
    "shares": Mapping,
}
_LAYER_FIELDS: dict[str, _Kind] = {
    "path": str,
    "verdict": str,
    "cause": str,
    "cure": str,
    "statistics": Mapping,
    "predicted": Mapping,
}
_NAMES = {str: "a text", list: "a list", Mapping: "an object"}


def check_diagnosis(data: Any) -> None:
    """Raise if data is not that of a diagnosis.

    Args:
      data: what was read from a file.

    Raises:
      ValueError: if it is not what `Diagnosis.to_dict()` returns; the message names the place.

    >>> check_diagnosis({"loss": 1.0})
    Traceback (most recent call last):
    ValueError: not a diagnosis: 'verdict' is missing; expected what `jinit diagnose --json`...
    """
    _check_fields("", data, _FIELDS)
    _check_verdict("", data)
    for group in ("layers", "faults", "other_faults"):
        for number, layer in enumerate(_read_list(data, group)):
            place = f"{group}[{number}]"
            _check_fields(f"{place}.", layer, _LAYER_FIELDS)
            _check_verdict(f"{place}.", layer)
            _check_numbers(place, layer, _STATISTICS if group == "layers" else ())
    for number, note in enumerate(data["notes"]):
        _require(isinstance(note, str), f"notes[{number}]", "a text", note)
    for name, share in data["shares"].items():
        _require(_is_number(share), f"shares.{name}", "a number", share)
    _check_details(data)


def _check_details(data: Mapping[str, Any]) -> None:
    """Check what only some diagnoses have."""
    if rate := data.get("learning_rate"):
        _check_fields("learning_rate.", rate, {"verdict": str, "sentence": str})
        ratios = rate.get("update_ratio", {})
        _require(_is_numbers(ratios), "learning_rate.update_ratio", "numbers by name", ratios)
    if spectrum := data.get("jacobian"):
        _check_fields("jacobian.", spectrum, {"singular_values": list, "examples": int})
        values = dict(enumerate(spectrum["singular_values"]))
        _require(_is_numbers(values), "jacobian.singular_values", "numbers", spectrum)
        _check_fields("jacobian.", spectrum, dict.fromkeys(SPECTRUM_NUMBERS, object))
        numbers = {name: spectrum[name] for name in SPECTRUM_NUMBERS}
        _require(_is_numbers(numbers), "jacobian", "numbers", numbers)
    provenance = data.get("provenance", {})
    _require(isinstance(provenance, Mapping), "provenance", "an object", provenance)


def _read_list(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = data.get(name, [])
    _require(isinstance(value, list | tuple), name, "a list", value)
    return value


def _check_fields(place: str, data: Any, fields: Mapping[str, _Kind]) -> None:
    _require(isinstance(data, Mapping), place.rstrip(".") or "the whole", "an object", data)
    for name, kind in fields.items():
        if name not in data:
            raise ValueError(_message(f"{f'{place}{name}'!r} is missing"))
        value = list(data[name]) if isinstance(data[name], tuple) else data[name]
        expected = _NAMES.get(kind, "a number") if isinstance(kind, type) else "a number"
        _require(isinstance(value, kind), f"{place}{name}", expected, value)


def _check_verdict(place: str, data: Mapping[str, Any]) -> None:
    names = ", ".join(VERDICT_MEANINGS)
    is_known = data["verdict"] in VERDICT_MEANINGS
    _require(is_known, f"{place}verdict", f"one of {names}", data["verdict"])


def _check_numbers(place: str, layer: Mapping[str, Any], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in layer["statistics"]]
    if missing:
        raise ValueError(_message(f"{f'{place}.statistics.{missing[0]}'!r} is missing"))
    statistics = layer["statistics"]
    _require(_is_numbers(statistics), f"{place}.statistics", "numbers by name", statistics)
    for group in ("predicted", "healthy"):
        intervals = layer.get(group, {})
        _require(isinstance(intervals, Mapping), f"{place}.{group}", "an object", intervals)
        for name, ends in intervals.items():
            is_interval = isinstance(ends, list | tuple) and len(ends) == 3
            is_interval = is_interval and _is_numbers(dict(enumerate(ends)))
            _require(is_interval, f"{place}.{group}.{name}", "three numbers", ends)
            if name in _SQUARES:
                is_square = all(end is None or not end < 0 for end in ends)
                _require(is_square, f"{place}.{group}.{name}", "squares", ends)
    histograms = layer.get("histograms") or {}
    _require(isinstance(histograms, Mapping), f"{place}.histograms", "an object", histograms)
    for name, found in histograms.items():
        _require(_is_histogram(found), f"{place}.histograms.{name}", "a histogram", found)


def _is_histogram(data: Any) -> bool:
    if not isinstance(data, Mapping) or not isinstance(data.get("counts"), list | tuple):
        return False
    numbers = [data.get("low"), data.get("high"), *data["counts"]]
    if len(numbers) < 3 or not all(map(_is_number, numbers)):
        return False
    return math.isfinite(sum(data["counts"]))


def _is_numbers(data: Any) -> bool:
    """Return whether data holds numbers by name; None stands for NaN and infinity."""
    return isinstance(data, Mapping) and all(
        value is None or _is_number(value) for value in data.values()
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(is_right: bool, place: str, expected: str, seen: Any) -> None:
    if not is_right:
        text = repr(seen)
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise ValueError(_message(f"{place}: expected {expected}, got {shown}"))


def _message(problem: str) -> str:
    return escape_unprintable(
        f"not a diagnosis: {problem}; expected what `jinit diagnose --json` writes or "
        "`Diagnosis.to_dict()` returns; write the file again with this version of jinit"
    )
