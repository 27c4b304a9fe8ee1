"""The axis of whole-model initializations: rules, recipes, plans and recommendations."""

from collections.abc import Iterable
from typing import Any

import jax
from jax import Array

from jinit.choice import check_choice
from jinit.model import Model, PyTree
from jinit.rules import Plan, plan, recommend
from jinit.sweep.network import Network

RULES_AXIS = "rules"
"""Axis whose values say how all parameters of a network are drawn."""

_WORDS = ("own", "recommended")


def check_rules(values: Iterable[Any]) -> None:
    """Raise if a value of the axis `rules` is neither a known word, rules, nor a function.

    Args:
      values: the values.

    Raises:
      ValueError: if a word is unknown.
    """
    for value in values:
        if isinstance(value, str):
            check_choice("axis 'rules': word", value, _WORDS)


def draw_by_rules(network: Network, key: Array, value: Any) -> PyTree:
    """Draw the parameters of a network by one value of the axis `rules`.

    Args:
      network: the network.
      key: the key of the lane.
      value: `own` for the initialization that `build` gives the network, `recommended` for
        `jinit.recommend`, rules or a recipe as `jinit.init` takes them, or a function of the Model
        that returns rules or a Plan.
    """
    if isinstance(value, str) and value == "own":
        return network.init(key)
    with jax.ensure_compile_time_eval():  # fitting looks at arrays, also while `init` is traced
        fitted = _fit(network.model, value)
    return network.model.unwrap(fitted.init(key))


def _fit(model: Model, value: Any) -> Plan:
    if isinstance(value, str):
        return recommend(model)
    rules: Any = value(model) if callable(value) else value
    return rules if isinstance(rules, Plan) else plan(model, rules)
