"""Configurations as text for people, without the axes that have one value."""

from collections.abc import Iterable, Mapping
from typing import Any

from jinit.report.sweep.outline import Outline
from jinit.report.text import value_text


def facet_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Return words without their axis, and numbers with it if they vary.

    Args:
      config: value by axis.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"activation": ["relu"], "depth": [2, 4]}
    >>> outline = Outline("digits", Metric("loss"), axes, (), (0,), total_lanes=2)
    >>> facet_label({"activation": "relu", "depth": 2}, outline)
    'relu, depth 2'
    """
    numbers = _varying_numbers(config, outline.facet_axes, outline)
    pairs = [f"{axis} {value_text(config[axis])}" for axis in numbers]
    return ", ".join([*_words(config, outline.facet_axes), *pairs])


def competitor_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Return the values of the axes that compete: words, then numbers in brackets.

    Args:
      config: value by axis.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros", "ones"], "gain": [1.0, 2.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init", "gain"), (0,), total_lanes=4)
    >>> competitor_label({"init": "zeros", "gain": 2.0}, outline)
    'zeros [gain=2]'
    """
    return _label(config, outline, ())


def competitor_words(config: Mapping[str, Any], outline: Outline) -> str:
    """Return the words that compete, without the numbers.

    Args:
      config: value by axis.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros", "ones"], "gain": [1.0, 2.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init", "gain"), (0,), total_lanes=4)
    >>> competitor_words({"init": "zeros", "gain": 2.0}, outline)
    'zeros'
    """
    return ", ".join(_words(config, outline.compare))


def candidate_label(config: Mapping[str, Any], outline: Outline) -> str:
    """Return the label of the competitor with its tuned values.

    Args:
      config: value by axis.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"init": ["zeros", "ones"], "lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, ("init",), (0,), 4, tune=("lr",))
    >>> candidate_label({"init": "zeros", "lr": 0.1}, outline)
    'zeros [lr=0.1]'
    """
    return _label(config, outline, outline.varying_tuned_axes)


def tuned_text(config: Mapping[str, Any], outline: Outline) -> str:
    """Return the tuned values, such as `lr=0.1, l2=0`.

    Args:
      config: value by axis.
      outline: the outline of the sweep.

    >>> from jinit.report.sweep.metric import Metric
    >>> axes = {"lr": [0.1, 1.0]}
    >>> outline = Outline("digits", Metric("loss"), axes, (), (0,), total_lanes=2, tune=("lr",))
    >>> tuned_text({"lr": 0.1}, outline)
    'lr=0.1'
    """
    return ", ".join(_pairs(config, outline.varying_tuned_axes))


def _label(config: Mapping[str, Any], outline: Outline, tuned: Iterable[str]) -> str:
    """Return words and numbers in brackets; numbers that compete without words need none."""
    words = competitor_words(config, outline)
    numbers = _pairs(config, _varying_numbers(config, outline.compare, outline))
    head = words or ", ".join(numbers)
    pairs = [*(numbers if words else ()), *_pairs(config, tuned)]
    if not head:
        return ", ".join(pairs) or "the configuration"
    return f"{head} [{', '.join(pairs)}]" if pairs else head


def _pairs(config: Mapping[str, Any], axes: Iterable[str]) -> list[str]:
    present = [axis for axis in axes if config.get(axis) is not None]
    return [f"{axis}={value_text(config[axis])}" for axis in present]


def _words(config: Mapping[str, Any], axes: Iterable[str]) -> list[str]:
    values = [config.get(axis) for axis in axes]
    return [value_text(value) for value in values if isinstance(value, str)]


def _varying_numbers(config: Mapping[str, Any], axes: Iterable[str], outline: Outline) -> list[str]:
    varying = [axis for axis in axes if axis in outline.varying_axes]
    return [axis for axis in varying if not isinstance(config.get(axis), str | None)]
